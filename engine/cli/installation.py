"""Everything `hookwright up` starts on this machine, in order, and what it leaves for the other commands."""

import fcntl
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

from engine.cli.children import Child
from engine.cli.client import ClientFile, read_client_file, write_client_file
from engine.cli.development import invent_secrets, missing_secrets, needs_ai_stand_in
from engine.cli.exits import OK, SETUP
from engine.cli.listening import listen
from engine.cli.output import note
from engine.cli.supervisor import Supervisor
from engine.errors import ConfigurationError
from engine.settings import Settings

READY = 90.0  # seconds everything together may take until the API answers
PATIENCE = 30  # seconds to wait for your own PostgreSQL
ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - how to reach a server that listens everywhere


class Installation:
    """One `hookwright up`. Leaving the context stops whatever was started."""

    def __init__(self, settings: Settings, *, workers: int, ai: bool, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.supervisor = Supervisor(settings.grace)
        self.databases: Any = None  # engine.embedded.Databases
        self.stand_in: str | None = None  # base URL of the AI stand-in
        self.token = ""
        self.sign_in = ""  # one-time code
        self.url = ""
        self._workers = workers
        self._ai = ai
        self._say = say
        self._lock: IO[str] | None = None
        self._api: Child
        self._sockets: list[socket.socket] = []
        self._environment = dict(os.environ)
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._stopped:
            self.stop()

    def start(self) -> bool:
        """Start everything and wait until the API answers; False if that failed or was interrupted (and was told)."""
        settings = self.settings
        self.supervisor.catch_signals()
        self._own_data_dir()
        listener = self._listen(settings.host, settings.port)
        port = listener.getsockname()[1]
        self.url = f"http://{ANY.get(settings.host, settings.host)}:{port}"
        known = self._start_databases()
        self._describe(port)
        self._provide_secrets()
        stand_in = self._reserve_stand_in() if self._ai and needs_ai_stand_in(self._environment) else None
        if not known:
            self._migrate()
        announcement = self._start_processes(listener)
        ready = self.supervisor.wait_until(announcement.arrived, patience=READY)
        if stand_in is not None:  # now, so that it does not slow down the others; calls have waited in its socket
            self._add("dev-ai", ["dev-ai", "--fd", str(stand_in.fileno())], [stand_in.fileno()])
        if not ready:
            if self.supervisor.asked is None:
                note("hookwright: the API did not start; what went wrong stands above")
            return False
        made = announcement.read()
        self._api.once = ()  # a later start has nothing to announce
        self._api.sockets = [listener.fileno()]
        self.token, self.sign_in = made["token"], made["code"]
        self._leave_client_file()
        return True

    def run(self) -> int:
        """Look after it until Ctrl-C, SIGTERM or a set-up that cannot work; then stop it."""
        code = self.supervisor.run(self.databases)
        return max(code, self.stop())

    def stop(self) -> int:
        """Stop everything in order; the exit code."""
        self._stopped = True
        failed = self.supervisor.asked is None
        note("hookwright: stopping")
        code = self.supervisor.stop(self.databases)
        for listener in self._sockets:
            listener.close()
        if self._lock is not None:
            self._lock.close()
        note("hookwright: stopped" if code == OK else "hookwright: stopped, not cleanly")
        return SETUP if failed else code

    def _own_data_dir(self) -> None:
        """Take the lock of the data directory. ConfigurationError if another `up` holds it."""
        data_dir = self.settings.data_dir
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (data_dir / "up.lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read_client_file(data_dir)
            where = f" at {other.url} (process {other.pid})" if other.pid else ""
            raise ConfigurationError(
                f"`hookwright up` already runs on {data_dir}{where}; use --data-dir for a second one"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"cannot use the data directory {data_dir}: {error.strerror}") from None

    def _listen(self, host: str, port: int) -> socket.socket:
        listener = listen(host, port)
        self._sockets.append(listener)
        return listener

    def _start_databases(self) -> bool:
        """Start what no URL is given for; whether the tables are known to be up to date."""
        settings, environment = self.settings, self._environment
        if settings.database_url is None or settings.redis_url is None:
            from engine.embedded import start_databases

            self.databases = start_databases(
                settings.data_dir, postgres=settings.database_url is None, valkey=settings.redis_url is None
            )
            environment["DATABASE_URL"] = settings.database_url or self.databases.database_url
            environment["REDIS_URL"] = settings.redis_url or self.databases.redis_url
        else:
            environment["DATABASE_URL"], environment["REDIS_URL"] = settings.database_url, settings.redis_url
        brought = [
            name for name, url in (("PostgreSQL", settings.database_url), ("Valkey", settings.redis_url)) if url is None
        ]
        self._say(f"{' and '.join(brought)} started" if brought else "Using DATABASE_URL and REDIS_URL")
        return settings.database_url is None and self._schema_mark() == self._remembered_schema()

    def _describe(self, port: int) -> None:
        """Settings the children share."""
        settings, environment = self.settings, self._environment
        environment |= {
            "HOOKWRIGHT_HOST": settings.host,
            "HOOKWRIGHT_PORT": str(port),
            "HOOKWRIGHT_DATA_DIR": str(settings.data_dir),
            "HOOKWRIGHT_PIPELINES": str(settings.pipelines),
            "HOOKWRIGHT_GRACE": str(settings.grace),
            "HOOKWRIGHT_PUBLIC_URL": settings.public_url or self.url,
        }
        self._allow(self.url)

    def _allow(self, url: str) -> None:
        """Let steps reach this one address though it is private."""
        hosts = [*self.settings.allow_hosts, *self._environment.get("HOOKWRIGHT_ALLOW_HOSTS", "").split(",")]
        place = url.removeprefix("http://")
        self._environment["HOOKWRIGHT_ALLOW_HOSTS"] = ",".join(dict.fromkeys(host for host in [*hosts, place] if host))

    def _provide_secrets(self) -> None:
        file = self.settings.secrets_file or self.settings.data_dir / "secrets.env"
        inventable, foreign = missing_secrets(self.settings.pipelines, self._environment, file)
        if inventable:
            invent_secrets(inventable, file)
            self._say(f"Development values made for {', '.join(inventable)}: in {file}")
        if foreign:
            self._say(f"Not set: {', '.join(foreign)}; steps that use them will fail until they stand in {file}")

    def _reserve_stand_in(self) -> socket.socket:
        """The listening socket of the AI stand-in; the others are told where it is."""
        listener = self._listen("127.0.0.1", 0)
        self.stand_in = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self._allow(self.stand_in.removesuffix("/v1"))
        self._environment["HOOKWRIGHT_AI_BASE_URL"] = self.stand_in
        self._say(f"AI stand-in (for development, not a model) on {self.stand_in}; HOOKWRIGHT_AI_BASE_URL replaces it")
        return listener

    def _migrate(self) -> None:
        """In a process of its own: this one stays small."""
        answer = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "engine", "migrate", "--wait", str(PATIENCE)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if self.supervisor.asked is not None:
            return
        if answer.returncode:
            raise ConfigurationError("the database could not be migrated; the reason stands above")
        self._remember_schema()
        self._say("Tables are up to date")

    def _start_processes(self, listener: socket.socket) -> "Announcement":
        announcement = Announcement()
        environment = self._environment | {"HOOKWRIGHT_TOKEN": read_client_file(self.settings.data_dir).token}
        self._api = Child(
            "api",
            ["api", "--fd", str(listener.fileno())],
            environment,
            [listener.fileno(), announcement.descriptor],
            ["--announce", str(announcement.descriptor)],
        )
        self.supervisor.add(self._api)
        for number in range(1, self._workers + 1):
            self._add("worker" if self._workers == 1 else f"worker {number}", ["worker"])
        return announcement

    def _add(self, name: str, command: list[str], sockets: list[int] | None = None) -> None:
        self.supervisor.add(Child(name, command, dict(self._environment), sockets or []))

    def _leave_client_file(self) -> None:
        bundled = self.databases is not None
        write_client_file(
            self.settings.data_dir,
            ClientFile(
                url=self.url,
                token=self.token,
                database_url=self._environment["DATABASE_URL"] if bundled else "",
                redis_url=self._environment["REDIS_URL"] if bundled else "",
                pid=os.getpid(),
            ),
        )

    def describe(self) -> dict[str, object]:
        """What a program wants to know about it."""
        return {
            "url": self.url,
            "token": self.token,
            "sign_in": f"{self.url}/login?code={self.sign_in}",
            "ai_stand_in": self.stand_in,
            "data_dir": str(self.settings.data_dir),
            "pid": os.getpid(),
        }

    def example(self) -> list[str]:
        """Lines to try, with a real signature, for the first webhook there is; none if there is none."""
        answer = subprocess.run(
            [sys.executable, "-m", "engine", "_example"],
            env=self._environment | {"HOOKWRIGHT_URL": self.url, "HOOKWRIGHT_TOKEN": self.token},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=30,
        )
        return answer.stdout.decode(errors="replace").splitlines() if answer.returncode == OK else []

    def _schema_mark(self) -> str:
        """Changes whenever the migrations change or the bundled cluster is made anew."""
        import engine

        root = Path(engine.__file__).parent
        folder = next((p for p in (root / "store" / "_migrations", root.parent / "migrations") if p.is_dir()), root)
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
        for version in sorted(self.settings.data_dir.glob("*/PG_VERSION")):
            state = version.stat()
            digest.update(f"{version} {state.st_ino} {state.st_mtime_ns}".encode())
        return digest.hexdigest()

    def _remembered_schema(self) -> str:
        try:
            return (self.settings.data_dir / "schema.mark").read_text()
        except OSError:
            return ""

    def _remember_schema(self) -> None:
        (self.settings.data_dir / "schema.mark").write_text(self._schema_mark())


class Announcement:
    """A pipe on which the API says, once, that it is ready and with which token and sign-in code."""

    def __init__(self) -> None:
        self._reader, self.descriptor = os.pipe()

    def arrived(self) -> bool:
        """Whether there is something to read."""
        return bool(select.select([self._reader], [], [], 0)[0])

    def read(self) -> dict[str, str]:
        """What the API said; both ends are closed."""
        os.close(self.descriptor)
        with os.fdopen(self._reader, "rb") as pipe:
            made: dict[str, str] = json.loads(pipe.readline())
            return made
