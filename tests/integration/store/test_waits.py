"""Waits: who is woken by which event, and that an event ends one wait of a run."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.awaited import ANY, Awaited, Kind, key_for
from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import RunStatus
from engine.listener import Listener
from engine.queue import connect_queue
from engine.store import Hit, RunUpdate, Store
from engine.store.database import Database
from engine.store.waits import PAGE, as_like
from tests.integration.store.records import claim_one, finished, make_checkpoint, make_event, make_record

ISSUES = Awaited(Kind("github", "issues.*"))
OTHERS = Awaited(Kind("stripe", None))
WAITING = RunUpdate(status=RunStatus.WAITING)


async def tell(store: Store, event: Event, awaited: Awaited = ISSUES) -> list[UUID]:
    """As a listener does."""
    return await store.hear([Hit(awaited.kind.id, awaited.key, event.id)])


async def happen(store: Store, **values: Any) -> Event:
    """A recorded event."""
    event = make_event(**values)
    await store.ingest(make_record(event=event, runs=0))
    return event


@pytest.mark.parametrize(
    ("glob", "pattern"),
    [
        (None, "%"),
        ("a*b?", "a%b_"),
        ("100%_\\", "100\\%\\_\\\\"),
        ("v[0-9].x", "v_.x"),
        ("v[!]a].x", "v_.x"),
        ("v[]].x", "v_.x"),
        ("open[", "open["),
    ],
)
def test_a_pattern_lets_through_what_the_glob_matches(glob: str | None, pattern: str) -> None:
    """A class is any character: the run looks more closely."""
    assert as_like(glob) == pattern


async def test_an_event_wakes_who_waits_for_it(store: Store) -> None:
    """The run is due at once, and the answer names it; others are left alone."""
    _, run = await claim_one(store)
    _, other = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    await store.open_wait(other.id, "w", other.turn, [OTHERS])
    for held in (run, other):
        assert await store.checkpoint(make_checkpoint(held, update=WAITING))
    assert await store.list_awaited() == {one.kind.id: one.kind for one in (ISSUES, OTHERS)}
    event = await happen(store)
    assert await tell(store, event) == [run.id]
    assert [arrived.id for arrived in await store.list_arrivals(run.id, "w")] == [event.id]
    assert await store.due_unrung(0, 10) == [run.id]


async def test_a_run_hears_of_an_event_once(store: Store) -> None:
    """To be told again wakes nobody, not even after the run has refused the event."""
    _, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    assert await store.checkpoint(make_checkpoint(run, update=WAITING))
    event = await happen(store)
    assert await tell(store, event) == [run.id]
    assert await tell(store, event) == []
    await store.refuse_arrivals(run.id, "w", [event.id])
    assert await tell(store, event) == []
    assert await store.list_arrivals(run.id, "w") == []


async def test_a_run_woken_while_it_is_held_is_due_when_let_go(store: Store) -> None:
    """A later claim takes the mark away."""
    worker, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    assert await tell(store, await happen(store)) == []
    waiting = RunUpdate(status=RunStatus.WAITING, due_at=datetime.now(UTC) + timedelta(hours=1))
    await store.checkpoint(make_checkpoint(run, update=waiting))
    [again] = await store.claim([run.id], worker, 1)
    await store.checkpoint(make_checkpoint(again, update=waiting))
    assert await store.claim([run.id], worker, 1) == []


async def test_a_queued_run_is_not_made_due(store: Store) -> None:
    """It may queue for a slot; it looks when it has got that."""
    _, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    later = datetime.now(UTC) + timedelta(hours=1)
    await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.QUEUED, due_at=later)))
    event = await happen(store)
    assert await tell(store, event) == []
    row = await store.get_run(run.id)
    assert row is not None
    assert row.due_at == later
    assert [arrived.id for arrived in await store.list_arrivals(run.id, "w")] == [event.id]


async def test_an_event_ends_one_wait_of_a_run(store: Store) -> None:
    """The other does not see it any more; asked again, the wait knows its event."""
    _, run = await claim_one(store)
    since = datetime.now(UTC)
    for step in ("one", "two"):
        await store.open_wait(run.id, step, run.turn, [ISSUES])
    event = await happen(store)
    await tell(store, event)
    for _ in range(2):  # the first answer may be lost
        assert await store.close_wait(run.id, "one", run.turn, event.id)
    assert not await store.close_wait(run.id, "two", run.turn, event.id)
    assert await store.list_arrivals(run.id, "two") == []
    assert await store.look_back(run.id, "two", since, [ISSUES]) == ([], None)
    opened = await store.open_wait(run.id, "one", run.turn, [ISSUES])
    assert opened is not None
    assert opened.event_id == event.id


async def test_a_turn_that_is_over_opens_and_ends_no_wait(store: Store) -> None:
    """The holder of today decides."""
    _, run = await claim_one(store)
    assert await store.open_wait(run.id, "w", run.turn - 1, [ISSUES]) is None
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    assert not await store.close_wait(run.id, "w", run.turn - 1, None)


async def test_a_wait_that_has_ended_is_heard_of_no_more(store: Store) -> None:
    """Nor one without an event; opened again, it looks back anew."""
    _, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES, OTHERS])
    await store.note_looked(run.id, "w")
    assert await store.close_wait(run.id, "w", run.turn, None)
    assert await store.list_awaited() == {}
    assert await store.open_wait(run.id, "w", run.turn, [ISSUES]) == (False, None)
    assert await store.list_awaited() == {ISSUES.kind.id: ISSUES.kind}


async def test_a_wait_remembers_that_it_has_looked_back(store: Store) -> None:
    """Until it is for something else, as after an input was edited."""
    _, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES, OTHERS])
    assert await store.look_back(run.id, "w", run.created_at, [ISSUES, OTHERS]) == ([], None)
    assert await store.open_wait(run.id, "w", run.turn, [ISSUES, OTHERS]) == (True, None)
    other = Awaited(Kind("github", "issues.*", (("body", "number"),)), key_for([7]))
    assert await store.open_wait(run.id, "w", run.turn, [other]) == (False, None)
    assert await store.list_awaited() == {other.kind.id: other.kind}


async def test_a_look_back_goes_page_by_page(store: Store) -> None:
    """Oldest first; replays and other kinds are left out."""
    _, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    since = datetime.now(UTC)
    first = await happen(store)
    await happen(store, type="push")
    await happen(store, replay_of=first.id)
    ids = sorted([first.id, *[(await happen(store)).id for _ in range(PAGE)]])
    seen = await store.look_back(run.id, "w", since, [ISSUES])
    assert [event.id for event in seen.events] == ids[:-1]
    rest = await store.look_back(run.id, "w", since, [ISSUES], seen.last)
    assert ([event.id for event in rest.events], rest.last) == (ids[-1:], None)


MANY = """
with made as (
    insert into run (id, pipeline, version, status, turn, labels, inputs, cancel_requested, created_at)
    select id, 'test', 'v1', 'waiting', 1, '{}', '{}', false, now() from unnest($1::uuid[]) as id
), waiting as (
    insert into wait (run_id, step, signature, looked) select id, 'w', $3, true from unnest($1::uuid[]) as id
), kinds as (
    insert into wait_kind (id, kind) values ($3, $4)
)
insert into awaited (run_id, step, number, kind, key)
select id, 'w', 1, $3, key from unnest($1::uuid[], $2::uuid[]) as a (id, key)
"""


async def begin_many(store: Store, kind: Kind, keys: list[UUID]) -> list[UUID]:
    """Runs that wait, one for each key."""
    ids = [uuid7() for _ in keys]
    await store._database.fetch(MANY, ids, keys, kind.id, msgspec.json.encode(kind).decode())
    return ids


async def test_an_event_with_a_value_wakes_one_of_ten_thousand_runs(
    store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three statements tell ten events to all who wait for them, however many wait for others."""
    kind = Kind("github", "issues.*", (("body", "number"),))
    ids = await begin_many(store, kind, [key_for([number]) for number in range(10_000)])
    events = [make_event(body=b'{"number": %d}' % number) for number in range(500, 510)]
    await asyncio.gather(*(store.ingest(make_record(event=event, runs=0)) for event in events))
    statements = []
    fetch = Database.fetch

    def counting(self: Database, statement: str, *arguments: Any) -> Any:
        statements.append(statement)
        return fetch(self, statement, *arguments)

    monkeypatch.setattr(Database, "fetch", counting)
    queue = connect_queue(redis_url)
    listener = Listener(store, queue)
    for event in events:
        listener.hear(event)
    await listener.idle()
    assert len(statements) <= 3
    await listener.close()
    await queue.close()
    assert sorted(await store.due_unrung(0, 100)) == sorted(ids[500:510])


async def test_an_event_without_a_value_wakes_all_of_ten_thousand_runs(store: Store) -> None:
    """Some thousands in one statement, each once."""
    ids = await begin_many(store, ISSUES.kind, [ANY] * 10_000)
    assert sorted(await tell(store, await happen(store))) == sorted(ids)
    assert sorted(await store.due_unrung(0, 20_000)) == sorted(ids)


async def test_waits_of_ended_runs_are_heard_of_no_more(store: Store) -> None:
    """They stay as long as the run, since it may be reopened: an event it has taken is taken."""
    _, run = await claim_one(store)
    await store.open_wait(run.id, "w", run.turn, [ISSUES])
    assert await store.prune_waits() == 0
    await store.checkpoint(make_checkpoint(run, update=finished()))
    assert await store.prune_waits() == 1
    assert await store.list_awaited() == {}
    assert await store.prune_waits() == 0
    assert len(await store._database.fetch("select from wait")) == 1
    await store.delete_runs(datetime.now(UTC) + timedelta(hours=1))
    assert await store._database.fetch("select from wait") == []
