"""W4: `hookwright up` from a data directory of its own: how long until it accepts, how much memory at idle."""

import asyncio
import contextlib
import time
from pathlib import Path

from tests.benchmarks.connection import connect
from tests.benchmarks.deliveries import Deliveries
from tests.benchmarks.pipelines import SECRET
from tests.benchmarks.processes import command, family, proportional_bytes, start, stop
from tests.benchmarks.site import Site, free_port

IDLE = 3.0  # seconds of rest before memory is read
START = 90.0  # seconds until the first webhook must be accepted
PAUSE = 0.01  # seconds between two tries


def whole(site: Site) -> dict[str, float]:
    """Start it on an empty directory, then again; look at its memory when it rests."""
    data = site.directory / f"up-{time.monotonic_ns()}"
    first, _ = up(site, data, idle=0.0)
    again, parts = up(site, data, idle=IDLE)
    return {"w4.first_start": first, "w4.start": again, "w4.memory": sum(parts.values()), **parts}


def up(site: Site, data: Path, *, idle: float) -> tuple[float, dict[str, float]]:
    """Seconds to the first accepted webhook, and megabytes by part."""
    port = free_port()
    names = ("DATABASE_URL", "REDIS_URL", "HOOKWRIGHT_DATA_DIR")
    env = {name: value for name, value in site.engine_env.items() if name not in names}
    site.reset_sink()
    began = time.monotonic()
    with (site.directory / "up.log").open("ab") as log:
        arguments = ("up", "--data-dir", data, "--port", port, "--no-dev-ai")
        process = start("engine", *arguments, log=log, env=env)
        try:
            asyncio.run(first_accepted(port, began + START))
            seconds = time.monotonic() - began
            site.arrivals(1)
            time.sleep(idle)
            return seconds, memory(process.pid)
        finally:
            stop(process)


async def first_accepted(port: int, deadline: float) -> None:
    """Try until a delivery gets its 202."""
    deliveries = Deliveries("/hooks/bench", SECRET)
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            (connection,) = await connect(port, 1)
            with contextlib.closing(connection):
                status, _ = await connection.request(deliveries.build())
                if status == 202:
                    return
        await asyncio.sleep(PAUSE)
    raise RuntimeError(f"`hookwright up` accepted no webhook within {START:.0f} s")


def memory(pid: int) -> dict[str, float]:
    """Megabytes by part of everything that `up` has started, itself included."""
    parts = {"w4.api": 0.0, "w4.worker": 0.0, "w4.postgresql": 0.0, "w4.valkey": 0.0, "w4.parent": 0.0}
    for member in family(pid):
        parts[part_of(command(member))] += proportional_bytes(member) / 1e6
    return parts


def part_of(line: str) -> str:
    """Which part a process belongs to, by its command line."""
    if "-m engine api" in line:
        return "w4.api"
    if "-m engine worker" in line:
        return "w4.worker"
    if "valkey" in line:
        return "w4.valkey"
    return "w4.postgresql" if "postgres" in line else "w4.parent"
