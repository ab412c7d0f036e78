"""The bundled PostgreSQL and Valkey: started when no URL is configured, stopped with the process, never orphans.

A server belongs to the process that holds the data directory's lock. Others that find the lock taken use the same
servers and leave them alone. A server that is found although the lock is free was left by a process that died; it is
already on its way out and is waited for.
"""

import fcntl
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import structlog

from engine.embedded_servers import TICK, Bundled, Postgres, Valkey, file_errors, unprivileged_user
from engine.errors import ConfigurationError

START_PATIENCE = 300.0  # seconds: recovery after a crash reads the whole log
ADOPT_PATIENCE = 30.0  # seconds for another process to get its servers ready
STOP_PATIENCE = 30.0  # seconds before a server that does not stop is killed
REVIVE_PAUSE = 2.0  # seconds before a server that could not be started again is tried once more

log = structlog.get_logger("embedded")


class Databases:
    """Running servers. `database_url` and `redis_url` are empty for a server that was not asked for."""

    def __init__(self, servers: list[Bundled], lock: IO[bytes] | None) -> None:
        self._servers = servers
        self._pause_until = 0.0
        self._lock = lock
        urls = {server.name: server.url for server in servers}
        self.database_url = urls.get("PostgreSQL", "")
        self.redis_url = urls.get("Valkey", "")

    @property
    def owned(self) -> bool:
        """Whether this process started the servers and will stop them; False: another one does."""
        return self._lock is not None

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the servers this process started, by name."""
        return {server.name: server.process.pid for server in self._servers if server.process is not None}

    def revive(self) -> list[str]:
        """Start again what has died, and say which. Call it from the main thread, often.

        What cannot be started (a full disk) is logged and tried again by a later call.
        """
        if not self.owned or time.monotonic() < self._pause_until:
            return []
        dead = [server for server in self._servers if server.ended()]
        try:
            _start(dead)
        except (ConfigurationError, OSError) as error:
            log.error("server.not_revived", error=str(error))  # noqa: TRY400 - its text is for the operator
            self._pause_until = time.monotonic() + REVIVE_PAUSE
        return [server.name for server in dead if not server.ended()]

    def stop(self) -> None:
        """Stop what this process has started and wait until it is gone. Nothing to do the second time."""
        if self._lock is None:
            return
        for server in self._servers:
            server.stop_signal()
        for server in self._servers:
            _await_exit(server)
        for server in self._servers:
            shutil.rmtree(server.sockets, ignore_errors=True)
        self._lock.close()
        self._lock = None


def start_databases(data_dir: Path, *, postgres: bool = True, valkey: bool = True) -> Databases:
    """Start the bundled servers on this directory, or find them started by another process.

    Blocks until they accept connections: about 1 s the first time, 0.1 s later, longer after a crash. Must be called
    from the main thread: the kernel stops the servers when the thread that started them ends.
    ConfigurationError says what stands in the way and what to do.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "the bundled databases do not run on Windows: use WSL, or set DATABASE_URL and REDIS_URL"
        )
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start_databases must be called from the main thread")
    root = data_dir.absolute()
    with file_errors(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
    user = unprivileged_user()
    servers: list[Bundled] = []
    if postgres:
        servers.append(Postgres(root, user))
    if valkey:
        servers.append(Valkey(root, user))
    deadline = time.monotonic() + ADOPT_PATIENCE
    while True:
        lock = _lock(root)
        if lock is not None:
            break
        if all(server.running() and server.ready() for server in servers):
            return Databases(servers, None)
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"another process holds {root / 'lock'}, but its databases do not answer: "
                "stop that process, or use another --data-dir"
            )
        time.sleep(TICK)
    databases = Databases(servers, lock)
    try:
        with file_errors(root):
            _start(servers)
    except BaseException:
        databases.stop()
        raise
    return databases


def _start(servers: list[Bundled]) -> None:
    """Start all at once, return when all are ready."""
    for server in reversed(servers):  # Valkey first: it gets ready while PostgreSQL makes its directory
        server.tries = 0
        server.settle()
        server.start()
    deadline = time.monotonic() + START_PATIENCE
    waiting = list(servers)
    while waiting:
        waiting = [server for server in waiting if not server.check()]
        if waiting and time.monotonic() > deadline:
            raise ConfigurationError(f"{waiting[0].name} does not get ready; its log: {waiting[0].log}")
        if waiting:
            time.sleep(TICK)


def _await_exit(server: Bundled) -> None:
    if server.process is None:
        return
    try:
        server.process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        log.warning("server.killed", server=server.name)
        server.process.kill()
        server.process.wait()
    server.process = None


def _lock(root: Path) -> IO[bytes] | None:
    """The data directory's lock, held until the file is closed or the process ends; None: somebody else has it."""
    with file_errors(root):
        file = (root / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        file.close()
        raise ConfigurationError(f"{root} cannot be locked ({error}): use a --data-dir on a local disk") from None
    return file
