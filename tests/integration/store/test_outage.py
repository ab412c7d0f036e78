"""PostgreSQL goes away and comes back: nobody waits long, nothing acknowledged is lost, nothing has to be restarted."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from engine.embedded import Databases, start_databases
from engine.errors import ConfigurationError, Unavailable
from engine.store import Store, connect, migrate
from tests.integration.store.records import (
    claim_one,
    finished,
    ingest_runs,
    make_attempt,
    make_checkpoint,
    make_record,
)

PROMPT = 8.0  # seconds on a busy machine; about 2 on an idle one


@pytest.fixture
def own_server() -> Iterator[Databases]:
    """A PostgreSQL of its own, to be killed."""
    directory = Path(tempfile.mkdtemp(prefix="hookwright-test-"))
    databases = start_databases(directory, valkey=False)
    yield databases
    databases.stop()
    shutil.rmtree(directory)


@pytest.fixture
async def own_store(own_server: Databases) -> AsyncIterator[Store]:
    """A store on that server."""
    await migrate(own_server.database_url)
    store = await connect(own_server.database_url)
    yield store
    await store.close()


def kill(server: Databases) -> None:
    """As a power cut would; returns when the last session has ended too."""
    postmaster = server.pids["PostgreSQL"]
    sessions = [path.parent for path in Path("/proc").glob("[0-9]*/stat") if parent_of(path) == postmaster]
    os.kill(postmaster, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(session.exists() for session in sessions):
        assert time.monotonic() < deadline


def parent_of(stat: Path) -> int:
    """The process id of a process's parent; 0 if it has just ended."""
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def revive(server: Databases) -> None:
    """As the supervisor does."""
    deadline = time.monotonic() + 30
    while "PostgreSQL" not in server.revive():
        assert time.monotonic() < deadline


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(own_server: Databases, own_store: Store) -> None:
    """kill -9 under load: callers see Unavailable, afterwards every acknowledged event is there, once."""
    acknowledged: list[tuple[str, UUID]] = []
    stopped = asyncio.Event()
    busy = asyncio.Event()

    async def sender(name: int) -> None:
        number = 0
        while not stopped.is_set():
            key = f"{name}-{number}"
            try:
                answer = await own_store.ingest(make_record(key))
            except Unavailable:
                continue  # a sender repeats what was not acknowledged
            assert answer.event_id is not None
            acknowledged.append((key, answer.event_id))
            number += 1
            if len(acknowledged) > 500:
                busy.set()

    senders = [asyncio.create_task(sender(name)) for name in range(16)]
    async with asyncio.timeout(60):
        await busy.wait()
        kill(own_server)
        with pytest.raises(Unavailable):
            await own_store.ping()
        before = len(acknowledged)
        revive(own_server)
        while len(acknowledged) < before + 500:
            await asyncio.sleep(0)
        stopped.set()
        await asyncio.gather(*senders)
    for key, event_id in acknowledged:
        assert (await own_store.ingest(make_record(key))).event_id == event_id
    rows = await own_store._database.fetch("select count(*) as events, count(distinct id) as ids from event")
    assert rows[0]["events"] == len({key for key, _ in acknowledged})


async def test_callers_are_told_promptly(own_server: Databases, own_store: Store) -> None:
    """While PostgreSQL is away every kind of call ends in Unavailable, within seconds; then all work again."""
    worker, run = await claim_one(own_store)
    record = make_checkpoint(run, make_attempt(), update=finished())
    kill(own_server)
    began = time.monotonic()
    calls = [
        own_store.ingest(make_record()),
        own_store.checkpoint(record),
        own_store.claim([run.id], worker, 16),
        own_store.heartbeat(worker),
        own_store.list_pipelines(),
        own_store.ping(),
        own_store.documents.put("c", "k", 1),
        own_store.try_lead(),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * len(calls)
    assert time.monotonic() - began < PROMPT
    with pytest.raises(Unavailable):
        await connect(own_server.database_url)
    with pytest.raises(Unavailable):
        await migrate(own_server.database_url)
    revive(own_server)
    assert await own_store.checkpoint(record)
    assert not (await own_store.ingest(make_record())).duplicate
    assert (await own_store.heartbeat(worker)).known
    await own_store.documents.put("c", "k", 1)


async def test_records_nobody_awaits_are_written_after_the_outage(own_server: Databases, own_store: Store) -> None:
    """They are kept, and stay before later records of the same run."""
    _, run = await claim_one(own_store)
    kill(own_server)
    own_store.checkpoint_later(make_checkpoint(run, make_attempt("first", input=b"1")))
    with pytest.raises(Unavailable):
        await own_store.checkpoint(make_checkpoint(run, make_attempt("second")))
    revive(own_server)
    assert await own_store.checkpoint(make_checkpoint(run, make_attempt("second"), update=finished()))
    assert [(attempt.step, attempt.input) for attempt in await own_store.get_attempts(run.id)] == [
        ("first", b"1"),
        ("second", None),
    ]


async def test_lost_connections_are_made_again(own_server: Databases, own_store: Store) -> None:
    """An administrator ends all sessions: nobody notices."""
    worker, run = await claim_one(own_store)
    await own_store.ingest(make_record())
    await own_store.ping()
    other = await asyncpg.connect(own_server.database_url)
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    ended = [row["pid"] for row in await other.fetch(f"select pid, pg_terminate_backend(pid) {others}")]
    while await other.fetchval("select count(*) from pg_stat_activity where pid = any($1)", ended):
        await asyncio.sleep(0)
    await other.close()
    await own_store.ingest(make_record())
    assert (await own_store.heartbeat(worker)).known
    assert await own_store.get_run(run.id)
    assert await own_store.checkpoint(make_checkpoint(run, make_attempt()))


async def test_claim_with_unknown_result_is_given_back(own_server: Databases, own_store: Store) -> None:
    """A claim that broke off leaves no run that nobody works on."""
    worker = await own_store.register_worker("worker", "here", 1)
    ids = await ingest_runs(own_store, 3)
    kill(own_server)
    with pytest.raises(Unavailable):
        await own_store.claim(ids, worker, 16)
    revive(own_server)
    lost = "update run set status = 'running', worker = $1, turn = turn + 1 where id = $2"
    await own_store._database.fetch(lost, worker, ids[0])  # as if the claim had been committed
    assert (await own_store.heartbeat(worker)).known
    assert sorted(run.id for run in await own_store.claim(ids, worker, 16)) == sorted(ids)


async def test_full_disk_is_unavailable_and_says_so(store: Store) -> None:
    """What PostgreSQL reports as disk full reaches the caller as such, and passes."""
    await store._database.fetch(
        """
        create function full_disk() returns trigger language plpgsql as $$
        begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$
        """
    )
    await store._database.fetch("create trigger full_disk before insert on event execute function full_disk()")
    with pytest.raises(Unavailable, match="disk is full"):
        await store.ingest(make_record())
    await store._database.fetch("drop trigger full_disk on event")
    assert not (await store.ingest(make_record())).duplicate


async def test_server_that_hangs_is_unavailable(own_server: Databases, own_store: Store) -> None:
    """A server that answers nothing does not hold callers for ever."""
    await own_store.ingest(make_record())
    backends = await own_store._database.fetch(
        "select pid from pg_stat_activity where query like '%with fresh%' and pid <> pg_backend_pid()"
    )
    os.kill(backends[0]["pid"], signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await own_store.ingest(make_record())
        assert time.monotonic() - began < PROMPT
        assert not (await own_store.ingest(make_record())).duplicate
    finally:
        os.kill(backends[0]["pid"], signal.SIGCONT)


async def test_wrong_urls_are_explained(servers: "object", database_url: str) -> None:
    """A database that does not exist, or nobody there: two different errors."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        await connect(database_url.replace("/test_", "/no_such_"))
    with pytest.raises(Unavailable):
        await connect("postgresql://postgres@127.0.0.1:1/hookwright")
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await connect("mysql://example")
