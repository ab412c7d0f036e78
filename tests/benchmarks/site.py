"""A whole Hookwright in a temporary directory: databases, sink, API and workers, and what measures them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from engine.embedded import Databases, start_databases
from tests.benchmarks import database
from tests.benchmarks.pipelines import SECRET, SECRET_NAME, write_pipelines
from tests.benchmarks.processes import ROOT, cpu_seconds, run_json, start, start_service, stop

START = 60.0  # seconds until the API must answer
PATIENCE = 120.0  # seconds until the sink must have seen everything
PLUGIN = "hookwright_bench-0.dist-info"


class Site:
    """What one benchmark works with. Everything ends with the `with` block."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self._stack = contextlib.ExitStack()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._api: subprocess.Popen[bytes] | None = None
        self._databases: Databases | None = None
        self.marker: str | None = None  # id below which rows are kept by clear()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="hookwright-bench-"))
            self.directory = Path(directory)
            self._databases = start_databases(self.directory / "databases")
            stack.callback(self._databases.stop)
            self.database_url, self.redis_url = self._databases.database_url, self._databases.redis_url
            self._log = stack.enter_context((self.directory / "processes.log").open("ab"))
            stack.callback(self._stop_processes)
            self.env = clean_environment()
            sink, self.sink_port = start_service("tests.benchmarks.sink", env=self.env)
            stack.callback(stop, sink)
            install_plugin(self.directory / "site")
            write_pipelines(self.directory / "pipelines", f"http://127.0.0.1:{self.sink_port}/effect")
            self.engine_env = self.env | self._settings()
            self._migrate()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "HOOKWRIGHT_DATA_DIR": str(self.directory / "data"),
            "HOOKWRIGHT_PIPELINES": str(self.directory / "pipelines"),
            "HOOKWRIGHT_ALLOW_HOSTS": f"127.0.0.1:{self.sink_port}",
            f"HOOKWRIGHT_SECRET_{SECRET_NAME}": SECRET,
            "PYTHONPATH": f"{self.directory / 'site'}{os.pathsep}{ROOT}",
        }

    # Processes

    def _migrate(self) -> None:
        command = [sys.executable, "-m", "engine", "migrate"]
        subprocess.run(command, env=self.engine_env, check=True, stdout=self._log, cwd=ROOT)

    def start_api(self) -> None:
        """Start the API and wait until it is ready."""
        self.port = free_port()
        self._api = start("engine", "api", "--port", self.port, log=self._log, env=self.engine_env)
        deadline = time.monotonic() + START
        while get_status(self.port, "/readyz") != 200:
            if self._api.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the API did not get ready:\n{self.log_tail()}")
            time.sleep(0.05)

    def start_workers(self, count: int = 1) -> None:
        """Worker processes; they begin to take runs as soon as they can."""
        self._workers += [start("engine", "worker", log=self._log, env=self.engine_env) for _ in range(count)]

    def stop_workers(self) -> None:
        """Drain all workers and wait until they have ended."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            stop(worker)
        self._workers.clear()

    @property
    def worker(self) -> subprocess.Popen[bytes]:
        """The only worker."""
        (worker,) = self._workers
        return worker

    @property
    def postgresql_pid(self) -> int:
        """The server's first process."""
        assert self._databases is not None
        return self._databases.pids["PostgreSQL"]

    @contextlib.contextmanager
    def workers(self, count: int = 1) -> Iterator[None]:
        """Workers for a while."""
        self.start_workers(count)
        try:
            yield
        finally:
            self.stop_workers()

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU each part has used so far."""
        assert self._databases is not None
        assert self._api is not None
        pids = self._databases.pids
        return {
            "api": cpu_seconds(self._api.pid),
            "worker": sum(cpu_seconds(worker.pid) for worker in self._workers),
            "postgresql": cpu_seconds(pids["PostgreSQL"]),
            "valkey": cpu_seconds(pids["Valkey"]),
        }

    def pids(self) -> dict[str, int]:
        """Process ids by part, for a profiler."""
        found = {"api": self._api.pid} if self._api is not None else {}
        return found | {f"worker{number}": worker.pid for number, worker in enumerate(self._workers)}

    def log_tail(self) -> str:
        """The last lines that the processes have written."""
        self._log.flush()
        return "\n".join((self.directory / "processes.log").read_text(errors="replace").splitlines()[-12:])

    def _stop_processes(self) -> None:
        self.stop_workers()
        if self._api is not None:
            stop(self._api)

    # Load and effects

    def load(self, mode: str, first: float, second: float, *, path: str = "bench", port: int | None = None) -> Any:
        """Run the load generator, see load.py. RuntimeError if a delivery was refused."""
        arguments = [mode, port or self.port, f"/hooks/{path}", SECRET, first, second]
        report = run_json("tests.benchmarks.load", *arguments, env=self.env)
        if report["refused"]:
            raise RuntimeError(f"deliveries were refused: {report['refused']}\n{self.log_tail()}")
        return report

    def reset_sink(self) -> None:
        """Forget what has arrived."""
        get(self.sink_port, "/reset")

    def arrivals(self, count: int) -> Any:
        """The sink's figures, once at least so many effects have arrived."""
        try:
            return get(self.sink_port, f"/after/{count}", timeout=PATIENCE)
        except TimeoutError:
            seen = get(self.sink_port, "/after/0")
            raise RuntimeError(f"{seen['count']} of {count} effects arrived\n{self.log_tail()}") from None

    def arrivals_in_all(self, count: int) -> Any:
        """The sink's figures, once so many effects have arrived. RuntimeError if one came twice."""
        figures = self.arrivals(count)
        if figures["repeated"] or figures["count"] != count:
            raise RuntimeError(f"{count} effects were due, there were {figures}\n{self.log_tail()}")
        return figures

    def clear(self) -> None:
        """Forget all runs and what is queued. No worker may be running."""
        database.clear(self.database_url, self.marker)
        database.forget(self.redis_url)
        self.reset_sink()


def clean_environment() -> dict[str, str]:
    """Ours, without anything that configures Hookwright or its databases."""
    ours = ("HOOKWRIGHT_", "DATABASE_URL", "REDIS_URL", "OPENAI_", "PG", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def install_plugin(directory: Path) -> None:
    """What a package manager would leave behind for a package with the benchmark's steps."""
    information = directory / PLUGIN
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: hookwright-bench\nVersion: 0\n")
    (information / "entry_points.txt").write_text("[hookwright]\nbench = tests.benchmarks.plugin\n")


def get(port: int, path: str, timeout: float = 10.0) -> Any:
    """JSON from the sink."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def get_status(port: int, path: str) -> int:
    """The status of an answer; 0 if there is none yet."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2.0)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", path)
        return connection.getresponse().status
    return 0


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
