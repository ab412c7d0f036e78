"""Record events, runs and decisions: all that concurrent callers bring goes into one statement."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from engine.core.event import Event
from engine.core.gate import CONCURRENCY, GateRequest
from engine.core.ids import uuid7
from engine.errors import HookwrightError, Unavailable
from engine.store.connection import Held
from engine.store.gather import MOST_BYTES
from engine.store.rows import Dedup, Gathering, Ingested, IngestRecord, InvalidData, NewRun, RunKey
from engine.store.writer import AGAIN, GroupWriter

MOST_TEXT = 500  # characters of a source, type or path: they are indexed, and an index row has a limit
MOST_KEY = 200  # characters; longer idempotency keys are stored as a hash

# Winners of a dedup key write their event, runs and decisions, losers write nothing: `guard` is the event that must
# win. Rows are inserted in the order of their keys, so that two processes with the same keys cannot block each other.
TEMPLATE = """
with {fresh} as (
    insert into dedup (id, event_id, expires_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as d (id, event_id, expires_at) order by d.id
    on conflict (id) do update set event_id = excluded.event_id, expires_at = excluded.expires_at
        where dedup.expires_at <= now()
    returning event_id
), {claimed}new_event as (
    insert into event (id, source, type, received_at, method, path, query, headers, path_params, body, delivery_id,
        replay_of)
    select e.id, e.source, e.type, e.received_at, e.method, e.path, e.query, e.headers, e.path_params, e.body,
        e.delivery_id, e.replay_of
    from unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::text[], $10::text[],
        $11::json[], $12::json[], $13::bytea[], $14::text[], $15::uuid[], $16::uuid[])
        as e (id, source, type, received_at, method, path, query, headers, path_params, body, delivery_id, replay_of,
            guard)
    where e.guard is null or e.guard in (select event_id from fresh)
), new_run as (
    insert into run (id, pipeline, version, event_id, trigger, status, turn, labels, inputs, idempotency_key,
        replay_of, cancel_requested, created_at, scheduled_at, due_at, rung_at, queue, priority, turn_key, expires_at,
        batched, parent, gated)
    select r.id, r.pipeline, r.version, r.event_id, r.trigger, 'queued', 0, r.labels, r.inputs, r.idempotency_key,
        r.replay_of, false, now(), r.scheduled_at, case when not r.held then coalesce(r.due_at, now()) end,
        case when not r.held and (r.due_at is null or r.due_at <= now()) and r.queue <> all ({crowded}::text[])
            then now() end,
        r.queue, r.priority, r.turn_key, r.expires_at, r.batched, r.parent, r.held
    from unnest($17::uuid[], $18::text[], $19::text[], $20::uuid[], $21::text[], $22::jsonb[], $23::json[],
        $24::text[], $25::uuid[], $26::timestamptz[], $27::timestamptz[], $28::uuid[], $29::boolean[], $30::text[],
        $31::smallint[], $32::uuid[], $33::timestamptz[], $34::boolean[], $35::uuid[])
        as r (id, pipeline, version, event_id, trigger, labels, inputs, idempotency_key, replay_of, scheduled_at,
            due_at, guard, held, queue, priority, turn_key, expires_at, batched, parent)
    where (r.guard is null or r.guard in (select event_id from fresh)){won}
    order by r.pipeline, r.idempotency_key, r.id
    on conflict (pipeline, idempotency_key) where idempotency_key is not null do nothing
    returning id
), new_decision as (
    insert into decision (id, event_id, pipeline, trigger, matched, reason, detail)
    select d.id, d.event_id, d.pipeline, d.trigger, {verdict}
    from unnest($36::uuid[], $37::uuid[], $38::text[], $39::text[], $40::boolean[], $41::text[], $42::json[],
        $43::uuid[], $44::uuid[]) as d (id, event_id, pipeline, trigger, matched, reason, detail, guard, run_id){keys}
    where d.guard is null or d.guard in (select event_id from fresh)
){tickets}
select array(select event_id from fresh) as events, array(select id from new_run) as runs{answer}
"""

PLAIN = {
    "fresh": "fresh",
    "claimed": "",
    "won": "",
    "verdict": "d.matched, d.reason, d.detail",
    "keys": "",
    "tickets": "",
    "answer": "",
    "crowded": "$45",
}
STATEMENT = TEMPLATE.format_map(PLAIN)

# The same where a run has a key. Whoever comes second waits for the first one's commit and sees its run: so the key is
# written in any case, and returned as it stands then. `at` decides whether it is free again, not the server's clock.
KEYED = PLAIN | {
    "claimed": """claimed as (
    insert into run_key (id, run_id, claimed_at, expires_at)
    select distinct on (k.id) k.id, k.run_id, k.at, k.expires_at
    from unnest($45::uuid[], $46::uuid[], $47::timestamptz[], $48::timestamptz[], $49::uuid[]) with ordinality
        as k (id, run_id, at, expires_at, guard, number)
    where k.guard is null or k.guard in (select event_id from fresh)
    order by k.id, k.number
    on conflict (id) do update set
        run_id = case when run_key.expires_at <= excluded.claimed_at then excluded.run_id else run_key.run_id end,
        claimed_at = case when run_key.expires_at <= excluded.claimed_at then excluded.claimed_at
            else run_key.claimed_at end,
        expires_at = case when run_key.expires_at <= excluded.claimed_at then excluded.expires_at
            else run_key.expires_at end
    returning id, run_id
), """,
    "won": " and (r.id <> all ($46::uuid[]) or r.id in (select run_id from claimed))",
    "verdict": """
        case when c.run_id <> d.run_id then false else d.matched end,
        case when c.run_id <> d.run_id then 'duplicate' else d.reason end,
        case when c.run_id <> d.run_id then (d.detail::jsonb || jsonb_build_object('run', c.run_id))::json
            else d.detail end""",
    "keys": """
        left join unnest($45::uuid[], $46::uuid[]) as k (id, run_id) on k.run_id = d.run_id
        left join claimed as c on c.id = k.id""",
    "crowded": "$50",
}
KEYED_STATEMENT = TEMPLATE.format_map(KEYED)

# The same where an event joins a burst or batch. Its own key, if any, stands for the run that does not exist yet: it is
# the event that has the key of the trigger. Rows are locked in the order of their slots.
GATHERING = KEYED | {
    "claimed": f"""{KEYED["claimed"]}joining as materialized (
    select j.* from unnest($51::uuid[], $52::integer[], $53::timestamptz[], $54::uuid[], $55::text[], $56::text[],
        $57::text[], $58::text[], $59::float8[], $60::float8[], $61::integer[], $62::uuid[], $63::uuid[])
        with ordinality as j (event_id, bytes, at, slot, pipeline, trigger, kind, key, period, max_wait, max_size,
            run_key, guard, number)
    where (j.guard is null or j.guard in (select event_id from fresh)) and (j.run_key is null
        or exists (select from claimed as c where c.id = j.run_key and c.run_id = j.event_id))
    order by j.slot, j.number
), joined as materialized (
    select j.event_id, j.pipeline, j.trigger, g.gather_id, g.due, g.ready from joining as j,
        gather_event(j.event_id, j.bytes, j.at, j.slot, j.pipeline, j.trigger, j.kind, j.key, j.period, j.max_wait,
            j.max_size, {MOST_BYTES}) as g
), """,  # noqa: S608 - a constant
    "verdict": """
        case when c.run_id <> d.run_id then false else d.matched end,
        case when c.run_id <> d.run_id then 'duplicate' else d.reason end,
        case when c.run_id <> d.run_id then (d.detail::jsonb || jsonb_build_object(
                case when d.run_id = d.event_id then 'event' else 'run' end, c.run_id))::json
            when j.gather_id is not null then (d.detail::jsonb || jsonb_build_object('due_at',
                to_char(j.due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'gather', j.gather_id))::json
            else d.detail end""",
    "keys": """
        left join unnest($45::uuid[], $46::uuid[], $50::text[]) as k (id, run_id, place)
            on k.run_id = d.run_id and k.place = d.pipeline || '/' || d.trigger
        left join claimed as c on c.id = k.id
        left join joined as j on j.event_id = d.event_id and j.pipeline = d.pipeline and j.trigger = d.trigger""",
    "answer": """,
    array(select event_id from joined, unnest(ready)) as completing,
    array(select r.id from joined, unnest(ready) as r (id)) as ready""",
    "crowded": "$64",
}
GATHERING_STATEMENT = TEMPLATE.format_map(GATHERING)

# The same where runs come of bursts and batches: the row must be as it was seen. $45 to $47 are those rows and their
# runs, the others the events of batched runs that are given one by one.
FIRING = PLAIN | {
    "fresh": "deduped",
    "claimed": """fired as (
    delete from gather using (
        select gather.id, f.run_id from gather
        join unnest($45::uuid[], $46::integer[], $47::uuid[]) as f (id, size, run_id)
            on f.id = gather.id and f.size = gather.size
        order by gather.slot, gather.id for update of gather
    ) as f where gather.id = f.id
    returning gather.id, f.run_id
), fresh as (
    select event_id from deduped union all select id from fired
), swept as (
    delete from gathered using fired where gathered.gather_id = fired.id
    returning fired.run_id, gathered.number, gathered.event_id
), moved as (
    insert into batch_event (run_id, number, event_id)
    select run_id, number, event_id from swept where run_id is not null
    union all select * from unnest($48::uuid[], $49::integer[], $50::uuid[])
), """,
    "crowded": "$51",
}
FIRING_STATEMENT = TEMPLATE.format_map(FIRING)

# The same where runs have to get through limits, by statement. Tickets are numbered in the order of the records.
TICKETS = """, new_ticket as (
    insert into ticket (run_id, gate_id, kind, scope, key, most, on_limit, max_queued, period, burst)
    select t.run_id, t.gate_id, t.kind, t.scope, t.key, t.most, t.on_limit, t.max_queued, t.period, t.burst
    from unnest(${}::uuid[], ${}::uuid[], ${}::text[], ${}::text[], ${}::text[], ${}::integer[], ${}::text[],
        ${}::integer[], ${}::float8[], ${}::integer[]) with ordinality
        as t (run_id, gate_id, kind, scope, key, most, on_limit, max_queued, period, burst, number)
    join new_run on new_run.id = t.run_id order by t.number
)"""
GATED_STATEMENTS = {
    TEMPLATE.format_map(parts): TEMPLATE.format_map(
        parts | {"tickets": TICKETS.format(*range(arguments + 1, arguments + 11)), "crowded": f"${arguments + 11}"}
    )
    for parts, arguments in ((PLAIN, 44), (KEYED, 49), (GATHERING, 63), (FIRING, 50))
}

FIRST_EVENTS = "select id, event_id from dedup where id = any($1::uuid[])"
RUNS_OF_EVENTS = """
select event_id, id, pipeline from run where event_id = any($1::uuid[]) and replay_of is null order by id
"""
RUNS_OF_KEYS = """
select run.pipeline, run.idempotency_key, run.id, run.event_id
from unnest($1::text[], $2::text[]) as k (pipeline, key)
join run on run.pipeline = k.pipeline and run.idempotency_key = k.key
"""


class Ingest:
    """The way in."""

    def __init__(self, database_url: str) -> None:
        self._ingesting = Held(database_url)
        self.crowded: Callable[[], list[str]] = list  # queues whose new runs the leader rings, see engine/queue.py
        self.ingest_writer: GroupWriter[IngestRecord, Ingested] = GroupWriter(self._commit_records)

    async def ingest(self, record: IngestRecord) -> Ingested:
        """Commit it. A duplicate writes nothing and returns the first one's event and runs.

        Duplicate means: the dedup key is taken, or each run's (pipeline, idempotency key) is.
        Unavailable: PostgreSQL is away, and it is unknown whether this was written; try again with the same keys.
        InvalidData: PostgreSQL cannot hold a value of this record.
        """
        if record.firing is not None or any(run.events for run in record.runs):
            [answer] = await self.fire([record])
            if isinstance(answer, HookwrightError):
                raise answer
            return answer
        return await self.ingest_writer.submit(record)

    async def fire(self, records: Sequence[IngestRecord]) -> list[Ingested | HookwrightError]:
        """Commit runs of bursts and batches, and such as are given their events, in one statement.

        A burst or batch that has changed, or that somebody else made a run of, is a duplicate: nothing was written.
        """
        for left in (2, 1, 0):
            try:
                return await self._commit_records(records)
            except AGAIN as error:
                if not left:
                    raise Unavailable(f"PostgreSQL is overloaded: {error}") from error
            except asyncpg.DataError as error:
                raise InvalidData(f"PostgreSQL cannot store this: {error}") from error
        raise AssertionError

    async def _commit_records(self, records: Sequence[IngestRecord]) -> list[Ingested | HookwrightError]:
        statement, columns = _choose(records)
        crowded = self.crowded()
        row = (await self._ingesting.fetch(statement, *columns, crowded))[0]
        events, runs = set(row["events"]), set(row["runs"])
        ready: dict[UUID, list[UUID]] = {}
        for event_id, gather_id in zip(row.get("completing", ()), row.get("ready", ()), strict=True):
            ready.setdefault(event_id, []).append(gather_id)
        answers: list[Ingested | HookwrightError | None] = []
        for record in records:
            if record.firing is not None:
                written = sorted((run.id, run.pipeline) for run in record.runs if run.id in runs)
                duplicate = record.firing.gather_id not in events
                answers.append(Ingested(None, written, duplicate=duplicate, rings=_rings(record, runs, crowded)))
                continue
            event_id = record.event.id if record.event is not None else None
            lost = record.dedup is not None and event_id not in events
            if lost or not all(run.id in runs or run.key is not None for run in record.runs):
                answers.append(None)
            else:
                written = sorted((run.id, run.pipeline) for run in record.runs if run.id in runs)
                gathered = ready.get(event_id, []) if event_id else []
                rings = _rings(record, runs, crowded)
                answers.append(Ingested(event_id, written, rings=rings, ready=gathered))
        if all(answers):
            return answers  # type: ignore[return-value]
        first = await self._first([record for record, answer in zip(records, answers, strict=True) if not answer])
        return [
            answer or _repeated(record, events, runs, first) for record, answer in zip(records, answers, strict=True)
        ]

    async def _first(self, records: list[IngestRecord]) -> "_First":
        """What the records that lost would have repeated."""
        first = _First({}, {}, {})
        keys = [dedup_id(record.dedup) for record in records if record.dedup is not None]
        if keys:
            rows = await self._ingesting.fetch(FIRST_EVENTS, keys)
            first.events.update((row["id"], row["event_id"]) for row in rows)
            for row in await self._ingesting.fetch(RUNS_OF_EVENTS, list(first.events.values())):
                first.runs.setdefault(row["event_id"], []).append((row["id"], row["pipeline"]))
        pairs = [
            (clean(run.pipeline), clean_key(run.idempotency_key))
            for record in records
            for run in record.runs
            if run.idempotency_key is not None
        ]
        if pairs:
            names, idempotency_keys = zip(*pairs, strict=True)
            for row in await self._ingesting.fetch(RUNS_OF_KEYS, names, idempotency_keys):
                first.keyed[row["pipeline"], row["idempotency_key"]] = (row["id"], row["event_id"])
        return first


def _rings(record: IngestRecord, written: set[UUID], crowded: list[str]) -> list[tuple[UUID, str]]:
    """Which of the runs are to be rung at once, and in which queue."""
    return [
        (run.id, run.queue)
        for run in record.runs
        if run.id in written and not run.held and run.due_at is None and run.queue not in crowded
    ]


class _First(NamedTuple):
    """Who was there first."""

    events: dict[UUID, UUID]  # dedup id -> event
    runs: dict[UUID, list[tuple[UUID, str]]]  # event -> its runs
    keyed: dict[tuple[str, str], tuple[UUID, UUID | None]]  # (pipeline, idempotency key) -> run, event


def _repeated(record: IngestRecord, events: set[UUID], written: set[UUID], first: _First) -> Ingested | HookwrightError:
    event_id = record.event.id if record.event is not None else None
    if record.dedup is not None and event_id not in events:
        event_id = first.events.get(dedup_id(record.dedup))
        if event_id is None:  # it expired between the two statements
            return Unavailable("the first delivery expires just now: send it again")
        return Ingested(event_id, first.runs.get(event_id, []), duplicate=True)
    runs: list[tuple[UUID, str]] = []
    duplicate = True
    for run in record.runs:
        run_id = run.id
        if run_id in written:
            duplicate = False
        elif run.key is not None:
            continue
        else:
            found = first.keyed.get((clean(run.pipeline), clean_key(run.idempotency_key)))
            if found is None:
                return Unavailable("the first run with this idempotency key is being deleted: send it again")
            run_id = found[0]
            event_id = event_id or found[1]
        runs.append((run_id, run.pipeline))
    return Ingested(event_id, sorted(runs), duplicate=duplicate)


def dedup_id(dedup: Dedup) -> UUID:
    """The key of a dedup row: 128 bits of a hash, since senders choose the text."""
    text = f"{len(dedup.scope)}:{dedup.scope}{dedup.key}".encode("utf-8", "surrogatepass")
    return UUID(bytes=hashlib.sha256(text).digest()[:16])


def _turn_key(run: NewRun) -> UUID:
    """Runs with the same one stand in line, those of different ones take turns: what its `concurrency` says, or all."""
    if run.turn_key is not None:
        return run.turn_key
    return next((gate.id for gate in run.gates if gate.kind == CONCURRENCY), None) or turn_key_of(run.pipeline)


@lru_cache(maxsize=4096)
def turn_key_of(pipeline: str) -> UUID:
    """That of the runs of a pipeline without a `concurrency`."""
    return dedup_id(Dedup("turn", pipeline, 0.0))


def clean(text: str, most: int = MOST_TEXT) -> str:
    """The text as PostgreSQL can hold and index it: no NUL, no lone surrogates, not too long."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if len(text) > most:
        text = text[: most - 1] + "…"
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def clean_key(key: str | None) -> str:
    """An idempotency key as it is stored."""
    if key is None:
        return ""
    if len(key) > MOST_KEY or "\0" in key:
        return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return clean(key)


def encode_labels(labels: dict[str, str]) -> bytes:
    """Labels as jsonb takes them."""
    encoded = msgspec.json.encode(labels)
    if b"\\u0000" in encoded:
        encoded = msgspec.json.encode({clean(name): clean(value) for name, value in labels.items()})
    return encoded


def _choose(records: Sequence[IngestRecord]) -> tuple[str, list[list[Any]]]:
    """The smallest statement that does it, and its arguments."""
    statement, columns = _choose_plain(records)
    tickets = [(run.id, *ticket_row(gate)) for record in records for run in record.runs for gate in run.gates]
    return (GATED_STATEMENTS[statement], [*columns, *_turned(tickets, 10)]) if tickets else (statement, columns)


def ticket_row(gate: GateRequest) -> tuple[Any, ...]:
    """A request as the columns of a ticket."""
    return (
        gate.id, gate.kind, clean(gate.scope), clean(gate.key), gate.most, gate.on_limit, gate.max_queued, gate.period,
        gate.burst,
    )  # fmt: skip


def _choose_plain(records: Sequence[IngestRecord]) -> tuple[str, list[list[Any]]]:
    columns = _columns(records)
    if any(record.firing is not None or any(run.events for run in record.runs) for record in records):
        return FIRING_STATEMENT, [*columns[:44], *_firing_columns(records)]
    if any(record.gatherings for record in records):
        return GATHERING_STATEMENT, columns
    if any(run.key is not None for record in records for run in record.runs):
        return KEYED_STATEMENT, columns[:49]
    return STATEMENT, columns[:44]


def _columns(records: Sequence[IngestRecord]) -> list[list[Any]]:
    now = datetime.now(UTC)
    dedups: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    runs: list[tuple[Any, ...]] = []
    decisions: list[tuple[Any, ...]] = []
    keys: list[tuple[Any, ...]] = []
    joining: list[tuple[Any, ...]] = []
    met: set[UUID] = set()
    for record in records:
        event = record.event
        event_id = event.id if event is not None else None
        guard = event_id if record.dedup is not None else None
        if record.firing is not None:
            event_id, guard = record.firing.event_id, record.firing.gather_id
        if record.dedup is not None:
            key_id = dedup_id(record.dedup)
            if key_id in met:  # a duplicate inside the batch: it is told about the first one afterwards
                continue
            met.add(key_id)
            dedups.append((key_id, event_id, now + timedelta(seconds=record.dedup.seconds)))
        if event is not None:
            events.append(_event_row(event, guard))
        keyed: dict[tuple[str, str | None], UUID] = {}
        for run in record.runs:
            if run.key is not None:
                keyed[run.pipeline, run.trigger] = run.id
                keys.append(_key_row(run.pipeline, run.trigger, run.id, run.key, guard))
            key = clean_key(run.idempotency_key) if run.idempotency_key is not None else None
            runs.append((
                run.id, clean(run.pipeline), run.version, run.event_id, run.trigger, encode_labels(run.labels),
                run.inputs, key, run.replay_of, run.scheduled_at, run.due_at, guard, run.held, clean(run.queue),
                run.priority, _turn_key(run), run.expires_at, run.batched, run.parent,
            ))  # fmt: skip
        for found in record.gatherings:
            assert event is not None
            run_key: UUID | None = None
            if found.run_key is not None:
                keyed[found.pipeline, found.trigger] = event.id
                keys.append(_key_row(found.pipeline, found.trigger, event.id, found.run_key, guard))
                run_key = keys[-1][0]
            joining.append((
                event.id, len(event.body), found.at, _slot(found), found.pipeline, found.trigger, found.kind,
                clean(found.key), found.period, found.max_wait, found.max_size, run_key, guard,
            ))  # fmt: skip
        first = uuid7().int
        for number, decision in enumerate(record.decisions):
            decisions.append((
                UUID(int=first + number), event_id, decision.pipeline, decision.trigger, decision.matched,
                decision.reason, msgspec.json.encode(decision.detail), guard,
                keyed.get((decision.pipeline, decision.trigger)),
            ))  # fmt: skip
    return [
        *_turned(dedups, 3), *_turned(events, 13), *_turned(runs, 19), *_turned(decisions, 9), *_turned(keys, 6),
        *_turned(joining, 13),
    ]  # fmt: skip


def _key_row(pipeline: str, trigger: str | None, run_id: UUID, key: RunKey, guard: UUID | None) -> tuple[Any, ...]:
    scope, place = f"{len(pipeline)}:{pipeline}/{trigger}", f"{pipeline}/{trigger}"
    key_id = dedup_id(Dedup(scope, key.text, key.seconds))
    return key_id, run_id, key.at, key.at + timedelta(seconds=key.seconds), guard, place


def _slot(found: Gathering) -> UUID:
    """Of which at most one burst or batch is open."""
    scope = f"{len(found.pipeline)}:{found.pipeline}/{found.trigger} {found.kind}"
    return dedup_id(Dedup(scope, found.key, 0.0))


def _firing_columns(records: Sequence[IngestRecord]) -> list[list[Any]]:
    fired = [(*record.firing[:2], record.firing.run_id) for record in records if record.firing is not None]
    given = [
        (run.id, number, event_id)
        for record in records
        for run in record.runs
        for number, event_id in enumerate(run.events, 1)
    ]
    return [*_turned(fired, 3), *_turned(given, 3)]


def _event_row(event: Event, guard: UUID | None) -> tuple[Any, ...]:
    return (
        event.id, clean(event.source), clean(event.type), event.received_at, event.method, clean(event.path),
        clean(event.query, most=100_000), msgspec.json.encode(event.headers), msgspec.json.encode(event.path_params),
        event.body, clean(event.delivery_id) if event.delivery_id is not None else None, event.replay_of, guard,
    )  # fmt: skip


def _turned(rows: list[tuple[Any, ...]], width: int) -> list[Any]:
    """Rows as columns."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
