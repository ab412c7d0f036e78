"""Real Hookwright processes, started and killed as an operator or a power cut would."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import httpx

START = 30.0  # seconds a process gets to come up


class Process:
    """One `python -m engine ...`; its log lines are kept and can be waited for."""

    def __init__(self, name: str, *arguments: str, env: dict[str, str]) -> None:
        self.name = name
        self._arguments = arguments
        self._env = env
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, until: str) -> None:
        """Start and wait for a log line that contains the text."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "engine",
            *self._arguments,
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        await self.line(until, seconds=START)

    async def line(self, text: str, *, seconds: float = 30.0) -> str:
        """The first line with this text, once it is there."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: any(text in line for line in self.lines) or self._ended())
        found = next((line for line in self.lines if text in line), None)
        assert found is not None, f"{self.name} ended without {text!r}:\n" + "\n".join(self.lines[-40:])
        return found

    def _ended(self) -> bool:
        return self._reading is not None and self._reading.done()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            async with self._changed:
                self.lines.append(raw.decode(errors="replace").rstrip())
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    def signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, *, seconds: float = 40.0) -> int:
        assert self._process is not None
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def stop(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGTERM)
            try:
                await self.ended(seconds=30)
            except TimeoutError:
                await self.kill()
        if self._reading is not None:
            await self._reading


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, *, database_url: str, redis_url: str, port: int, **more: str) -> dict[str, str]:
    """The environment of a process that works in this folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOOKWRIGHT_", "OPENAI_"))}
    return {
        **kept,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "HOOKWRIGHT_PORT": str(port),
        "HOOKWRIGHT_DATA_DIR": str(folder / ".hookwright"),
        "HOOKWRIGHT_PIPELINES": str(folder / "pipelines"),
        "HOOKWRIGHT_ALLOW_HOSTS": "127.0.0.1",
        "HOOKWRIGHT_LOG_FORMAT": "json",
        **more,
    }


async def ready(url: str, *, seconds: float = START) -> None:
    """Wait until the API says it is ready."""
    async with asyncio.timeout(seconds), httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)  # polls a process that has no other signal
