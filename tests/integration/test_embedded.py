"""The bundled servers: started, found, left behind, killed, refused. Each test runs them in processes of their own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from engine.embedded import start_databases
from engine.embedded_servers import Postgres, Valkey
from engine.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from engine.embedded import start_databases
from engine.errors import ConfigurationError
try:
    databases = start_databases(Path(sys.argv[1]))
except ConfigurationError as error:
    sys.exit(str(error))
print(databases.database_url, databases.redis_url, databases.owned, *databases.pids.values(), flush=True)
for line in sys.stdin:
    if line == "revive\\n":
        print("revived", *databases.revive(), flush=True)
    else:
        break
databases.stop()
print("stopped", flush=True)
"""
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")


class Parent:
    """A process that owns (or shares) the servers on a directory."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self.process = subprocess.Popen(
            [options.pop("python", sys.executable), "-c", PARENT.format(root=str(ROOT)), str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        line = self._out.readline().split()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.database_url, self.redis_url, self.owned = line[0], line[1], line[2] == "True"
        self.pids = [int(word) for word in line[3:]]

    @property
    def _out(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def ask(self, word: str) -> str:
        """Say a word, hear the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._out.readline().strip()

    def stop(self) -> None:
        """A clean end."""
        assert self.process.communicate("stop\n", timeout=60)[0].strip().endswith("stopped")

    def kill(self) -> None:
        """The end without a goodbye."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A place that every user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="hookwright-test-"))
    directory.chmod(0o755)
    yield directory / "data"
    shutil.rmtree(directory)


@pytest.fixture
def ordinary() -> dict[str, Any]:
    """How to start a process as an ordinary user, with a Python that this user can reach."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        options: dict[str, Any] = {**NOBODY, "env": {"PATH": os.defpath, "PYTHONPATH": packages}}
        try:
            probe = subprocess.run([python, "-c", "import structlog"], check=False, capture_output=True, **options)
        except OSError:
            continue
        if probe.returncode == 0:
            return {**options, "python": python}
    pytest.skip("no Python here that an ordinary user can reach")


def query(url: str, statement: str) -> Any:
    """One value, or None, from the database."""
    import asyncio

    import asyncpg

    async def work() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


def test_servers_start_cold_and_warm_and_keep_their_data(data_dir: Path) -> None:
    """What was written before a clean stop is there after the next start; both starts are quick."""
    began = time.monotonic()
    databases = start_databases(data_dir)
    cold = time.monotonic() - began
    try:
        query(databases.database_url, "create table kept as select 42 as number")
        assert query(databases.database_url, "select version()").startswith("PostgreSQL 18")
        assert query(databases.database_url, "show fsync") == "on"
        assert data_dir.stat().st_mode & 0o777 == 0o700
        import redis

        with redis.Redis.from_url(databases.redis_url) as client:
            client.set("kept", "43")
    finally:
        databases.stop()
    began = time.monotonic()
    databases = start_databases(data_dir)
    warm = time.monotonic() - began
    try:
        assert query(databases.database_url, "select number from kept") == 42
        with redis.Redis.from_url(databases.redis_url) as client:
            assert client.get("kept") == b"43"
    finally:
        databases.stop()
        databases.stop()  # the second time does nothing
    assert cold < 10, f"{cold:.1f} s"  # about 0.5 s on an idle machine
    assert warm < 2, f"{warm:.1f} s"  # about 0.06 s


@on_linux
def test_servers_die_with_a_killed_parent_and_the_next_one_recovers(data_dir: Path) -> None:
    """After kill -9 of the parent no server stays; the next parent waits for their shutdown and finds the data."""
    first = Parent(data_dir)
    query(first.database_url, "create table kept as select 42 as number")
    first.kill()
    second = Parent(data_dir)
    assert second.owned
    assert query(second.database_url, "select number from kept") == 42
    assert not any(_alive(pid) for pid in first.pids)
    second.stop()
    assert not any(_alive(pid) for pid in second.pids)


def test_killed_servers_are_revived_with_all_that_was_committed(data_dir: Path) -> None:
    """kill -9 of both servers: revive() starts them again, and PostgreSQL recovers from its log."""
    parent = Parent(data_dir)
    query(parent.database_url, "create table kept as select 42 as number")
    for pid in parent.pids:
        os.kill(pid, signal.SIGKILL)
    revived: set[str] = set()
    while len(revived) < 2:
        revived |= set(parent.ask("revive").split()[1:])
    assert revived == {"PostgreSQL", "Valkey"}
    assert query(parent.database_url, "select number from kept") == 42
    parent.stop()


@on_linux
def test_parent_and_server_killed_together(data_dir: Path) -> None:
    """kill -9 of everything, as when a container is killed: the next start recovers."""
    first = Parent(data_dir)
    query(first.database_url, "create table kept as select 42 as number")
    for pid in (*first.pids, first.process.pid):
        os.kill(pid, signal.SIGKILL)
    first.process.communicate()
    second = Parent(data_dir)
    assert query(second.database_url, "select number from kept") == 42
    second.stop()


def test_second_process_shares_the_servers_and_leaves_them_running(data_dir: Path) -> None:
    """Whoever comes second uses the running servers, and does not stop them."""
    owner = Parent(data_dir)
    guest = Parent(data_dir)
    assert owner.owned
    assert not guest.owned
    assert guest.database_url == owner.database_url
    guest.stop()
    assert query(owner.database_url, "select 1") == 1
    owner.stop()


def test_two_processes_starting_at_once_end_up_with_one_pair_of_servers(data_dir: Path) -> None:
    """The lock decides who makes the directory; the other waits for it."""
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor() as pool:
        parents = list(pool.map(lambda _: Parent(data_dir), range(2)))
    assert sorted(parent.owned for parent in parents) == [False, True]
    for parent in parents:
        assert query(parent.database_url, "select 1") == 1
    for parent in sorted(parents, key=lambda parent: parent.owned):
        parent.stop()


@as_root
def test_ordinary_user_can_run_everything(data_dir: Path, ordinary: dict[str, Any]) -> None:
    """Without root nothing is given up and nothing is needed."""
    data_dir.mkdir()
    os.chown(data_dir, 65534, 65534)
    parent = Parent(data_dir, **ordinary)
    assert (data_dir / "postgres" / "PG_VERSION").stat().st_uid == 65534
    assert Path(f"/proc/{parent.pids[0]}").stat().st_uid == 65534
    assert query(parent.database_url, "select 1") == 1
    parent.stop()


@as_root
def test_root_falls_back_to_nobody_and_back(data_dir: Path) -> None:
    """Where user namespaces are refused the servers run as nobody, on files that change hands."""
    databases = start_databases(data_dir, valkey=False)
    databases.stop()
    for user, owner in (("nobody", 65534), ("namespace", 0)):
        server = Postgres(data_dir.absolute(), user)
        server.start()
        assert server.process is not None
        while not server.check():
            time.sleep(0.01)
        assert (data_dir / "postgres" / "PG_VERSION").stat().st_uid == owner
        assert Path(f"/proc/{server.process.pid}").stat().st_uid == owner
        assert query(server.url, "select 1") == 1
        server.stop_signal()
        server.process.wait(30)
    shutil.rmtree(server.sockets)


@as_root
def test_data_that_nobody_cannot_reach_is_explained(data_dir: Path) -> None:
    """As nobody, a directory below a closed one is refused with advice."""
    closed = data_dir / "closed"
    closed.mkdir(parents=True, mode=0o700)
    server = Valkey(closed, "nobody")
    closed.parent.chmod(0o700)
    server.start()
    assert server.process is not None
    server.process.wait(10)
    with pytest.raises(ConfigurationError, match="user namespaces are not allowed"):
        server.check()
    shutil.rmtree(server.sockets)


def test_directory_that_cannot_be_made_is_explained(data_dir: Path) -> None:
    """A file where the directory should be: the message names it and says what to do."""
    data_dir.write_text("not a directory")
    with pytest.raises(ConfigurationError, match=r"data directory .* cannot be used: .* use another --data-dir"):
        start_databases(data_dir)


@as_root
def test_directory_without_permission_is_explained(data_dir: Path, ordinary: dict[str, Any]) -> None:
    """Not writable: the message says whose right is missing."""
    data_dir.mkdir(mode=0o755)
    with pytest.raises(AssertionError, match="give this user the right to write there"):
        Parent(data_dir / "deeper", **ordinary)


@as_root
@on_linux
def test_full_disk_is_explained(data_dir: Path) -> None:
    """A disk too small for a new cluster: the message says so, and nothing half-made is kept."""
    data_dir.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(data_dir)], check=False).returncode:
        pytest.skip("may not mount here")
    try:
        with pytest.raises(ConfigurationError, match="the disk is full: make room"):
            start_databases(data_dir)
        assert not (data_dir / "postgres").exists()
    finally:
        subprocess.run(["umount", str(data_dir)], check=True)


def test_long_path_still_gets_a_short_socket(data_dir: Path) -> None:
    """The data directory may be deeper than a socket's path can be long."""
    deep = data_dir / ("d" * 100) / ("e" * 100)
    databases = start_databases(deep, valkey=False)
    try:
        assert query(databases.database_url, "select 1") == 1
    finally:
        databases.stop()


def test_broken_valkey_log_is_set_aside(data_dir: Path) -> None:
    """Valkey holds nothing that cannot be made again: an unreadable log does not keep it from starting."""
    databases = start_databases(data_dir, postgres=False)
    databases.stop()
    for file in (data_dir / "valkey" / "appendonlydir").glob("*.manifest"):
        file.write_text("nonsense\n")
    databases = start_databases(data_dir, postgres=False)
    databases.stop()
    assert list((data_dir / "valkey").glob("appendonlydir.broken-*"))


def test_stale_number_of_another_program_is_not_believed(data_dir: Path) -> None:
    """After a crash the number in postmaster.pid may belong to a program that is not PostgreSQL."""
    databases = start_databases(data_dir, valkey=False)
    databases.stop()
    with subprocess.Popen(["sleep", "60"]) as other:
        (data_dir / "postgres" / "postmaster.pid").write_text(f"{other.pid}\n{data_dir}/postgres\n1\n5432\n/tmp\n\n\n")
        databases = start_databases(data_dir, valkey=False)
        assert query(databases.database_url, "select 1") == 1
        databases.stop()
        other.kill()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
