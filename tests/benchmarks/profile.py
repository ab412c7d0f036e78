"""Samples the API and the worker with py-spy while a scenario runs. py-spy is not among the requirements."""

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.site import Site

RATE = 400  # samples per second
LOOK = 0.05  # seconds between two looks for new processes


@contextlib.contextmanager
def sampled(site: Site, directory: Path | None, name: str) -> Iterator[None]:
    """Write DIRECTORY/NAME-PART.txt (collapsed stacks) for every process there is meanwhile."""
    if directory is None:
        yield
        return
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(site, directory, name.replace(" ", "-").replace(",", ""), done))
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(site: Site, directory: Path, name: str, done: threading.Event) -> None:
    program = shutil.which("py-spy")
    if program is None:
        raise RuntimeError("--profile needs py-spy on the PATH")
    samplers: dict[int, subprocess.Popen[bytes]] = {}
    while not done.is_set():
        for part, pid in site.pids().items():
            if pid not in samplers:
                file = directory / f"{name}-{part}-{pid}.txt"
                command = [program, "record", "--format", "raw", "--rate", str(RATE), "--output", str(file)]
                samplers[pid] = subprocess.Popen(
                    [*command, "--pid", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
        time.sleep(LOOK)
    for sampler in samplers.values():
        sampler.send_signal(2)
    for sampler in samplers.values():
        sampler.wait()
