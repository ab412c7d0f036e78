"""Processes of a benchmark: started so that none outlives it, and what /proc says about them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from engine.cli.children import follow_parent

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
STOP = 40.0  # seconds until a process that was asked to end is killed; a worker drains for up to 25


def start(module: str, *arguments: object, log: IO[bytes], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """`python -m module ...`, its output in the log."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=env,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=_follow,
    )


def start_service(module: str, *arguments: object, env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """A service that prints its port once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=env,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=_follow,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.strip().isdigit():
        process.kill()
        raise RuntimeError(f"{module} did not start: {line!r}")
    return process, int(line)


def run_json(module: str, *arguments: object, env: Mapping[str, str], timeout: float = 120.0) -> Any:
    """The one line of JSON that a program prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=env,
        cwd=ROOT,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(map(str, arguments))} failed with exit code {done.returncode}")
    return json.loads(done.stdout)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and wait until it has ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time that a process, its descendants and the children it has buried have used."""
    return sum(_own_cpu(member) for member in family(pid))


def busy_seconds() -> float:
    """CPU time that everything on this machine has used."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = fields
    return (user + nice + system + irq + softirq) / TICKS


def proportional_bytes(pid: int) -> int:
    """Memory of one process, shared pages divided among those who share them (PSS)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def command(pid: int) -> str:
    """The command line."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


@contextlib.contextmanager
def paused(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process stands still meanwhile. Keep it below the seconds after which a worker counts as dead."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _own_cpu(pid: int) -> float:
    """Nanoseconds where the kernel counts them, else ticks; buried children only in ticks."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    buried = (int(fields[13]) + int(fields[14])) / TICKS
    try:
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
        own = sum(int(text.split()[0]) for text in threads) / 1e9
    except (OSError, IndexError):
        own = 0.0
    return (own or (int(fields[11]) + int(fields[12])) / TICKS) + buried


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _follow() -> None:
    follow_parent(None, signal.SIGTERM)
