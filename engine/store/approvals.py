"""Questions to people: asked once, answered once. Raw SQL, as the decision has to be one statement."""

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from engine.core.ids import uuid7
from engine.core.run import FINISHED
from engine.store.audit import audit_columns
from engine.store.database import Database
from engine.store.ingest import clean
from engine.store.rows import NewAudit

TIMED_OUT = "timed_out"  # why one was closed: nobody decided in time
ENDED = "run_ended"  # its run has ended, or does not wait for it any more
ASKED_AGAIN = "asked_again"  # its run went back and began this wait anew
KEY_BYTES = 32
PAGE_MOST = 500  # rows
SWEPT_MOST = 1000  # open approvals looked at in one go

OPEN = "approval.decided_at is null and approval.closed_at is null"
COLUMNS = """approval.id, approval.run_id, approval.step, approval.pipeline, approval.prompt, approval.approvers,
    approval.exclude, approval.form, approval.created_at, approval.expires_at, approval.decided_at, approval.approved,
    approval.decided_by, approval.via, approval.answers, approval.comment, approval.closed_at, approval.closed"""
# The run is still in the wait that asked: no retry began it anew, nobody skipped it, and it has not ended.
AWAITED = """coalesce(run.finished_at is null and not run.cancel_requested and exists (
        select from attempt where attempt.run_id = approval.run_id and attempt.step = approval.step
            and attempt.started_at = approval.created_at and attempt.status in ('running', 'interrupted')), false)"""
SELECT = f"""
select {COLUMNS}, run.status as run_status, approval.expires_at <= now() as late, {AWAITED} as awaited
from approval left join run on run.id = approval.run_id
"""  # noqa: S608 - constants

ASK = f"""
with superseded as (
    update approval set closed_at = now(), closed = '{ASKED_AGAIN}'
    where run_id = $2 and step = $3 and created_at < $9 and {OPEN}
)
insert into approval (id, run_id, step, pipeline, prompt, approvers, exclude, form, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (run_id, step, created_at) do nothing
"""  # noqa: S608 - constants
# The first decision wins: a second one waits for the row and then finds it decided. It wakes the run and is in the
# audit, or nothing has happened. How a run is woken: see WAKE in engine/store/claims.py.
DECIDE = f"""
with decided as (
    update approval set decided_at = now(), approved = $2, decided_by = $3, via = $4, answers = $5, comment = $6
    from run
    where approval.id = $1 and {OPEN} and approval.expires_at > now() and run.id = approval.run_id and {AWAITED}
    returning approval.run_id
), woken as (
    update run set woken = true, due_at = case when run.worker is null then now() end,
        rung_at = case when run.worker is null then now() end
    from decided where run.id = decided.run_id and run.finished_at is null
    returning run.worker is null as free
), audited as (
    insert into audit (id, at, by, action, target, run_id, event_id, detail)
    select a.id, now(), a.by, a.action, a.target, a.run_id, a.event_id, a.detail
    from unnest($7::uuid[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::uuid[], $13::json[])
        as a (id, by, action, target, run_id, event_id, detail), decided
)
select coalesce((select free from woken), false) as free from decided
"""  # noqa: S608 - constants
CLOSE = f"update approval set closed_at = now(), closed = $2 where id = $1 and {OPEN}"  # noqa: S608 - constants
SWEEP = f"""
with looked as (
    select approval.id, {AWAITED} as awaited from approval left join run on run.id = approval.run_id
    where {OPEN} and approval.id > $1 order by approval.id limit $2
), closed as (
    update approval set closed_at = now(), closed = '{ENDED}'
    from looked where approval.id = looked.id and not looked.awaited and {OPEN}
)
select (select id from looked order by id desc limit 1) as last, count(*) as seen from looked
"""  # noqa: S608 - constants
MAKE_KEY = "insert into signing_key (name, key) values ($1, $2) on conflict (name) do nothing"
GET_KEY = "select key from signing_key where name = $1"


class NewApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A question to ask. began: when the wait for it did, which with run and step says which question it is.

    approvers: names and `group:NAME`; None: whoever has a link. form: fields as engine.flow.approval_form writes them.
    """

    run_id: UUID
    step: str
    pipeline: str
    prompt: str
    approvers: list[str] | None
    exclude: list[str]
    form: bytes
    began: datetime
    expires_at: datetime


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A question, what was decided about it, and how its run stands."""

    id: UUID
    run_id: UUID
    step: str
    pipeline: str
    prompt: str
    approvers: list[str] | None
    exclude: list[str]
    form: bytes
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    approved: bool | None
    decided_by: str | None
    via: str | None  # link | api | cli | dashboard
    answers: bytes | None
    comment: str | None
    closed_at: datetime | None
    closed: str | None
    run_status: str | None  # None: the run is not kept any more
    late: bool  # its time is over
    awaited: bool  # the run waits for it

    @property
    def state(self) -> str:
        """`approved` and `rejected`: by a person. `timed_out`, `closed`: nobody can decide any more. Else `open`."""
        if self.decided_at is not None:
            return "approved" if self.approved else "rejected"
        if self.closed == TIMED_OUT:
            return TIMED_OUT
        if self.closed_at is not None or not self.awaited:
            return TIMED_OUT if self.late and self.run_status not in FINISHED else "closed"
        return TIMED_OUT if self.late else "open"


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided. by: their name. answers: the form as JSON."""

    approved: bool
    by: str
    via: str
    answers: bytes
    comment: str | None = None


class Approvals:
    """Questions, and the key of the links that answer them."""

    _database: Database
    _signing_keys: dict[str, bytes]

    async def ask(self, new: NewApproval) -> ApprovalRow:
        """Ask, unless this was asked already; the question as it stands. Older ones of this step are closed."""
        await self._database.fetch(
            ASK,
            uuid7(),
            new.run_id,
            clean(new.step),
            new.pipeline,
            clean(new.prompt),
            None if new.approvers is None else msgspec.json.encode(new.approvers),
            msgspec.json.encode(new.exclude),
            new.form,
            new.began,
            new.expires_at,
        )
        found = await self.find_approval(new.run_id, new.step, new.began)
        assert found is not None
        return found

    async def find_approval(self, run_id: UUID, step: str, began: datetime) -> ApprovalRow | None:
        """What this wait has asked, or None if it has not."""
        where = "where approval.run_id = $1 and approval.step = $2 and approval.created_at = $3"
        return _first(await self._database.fetch(f"{SELECT} {where}", run_id, clean(step), began))

    async def get_approval(self, approval_id: UUID) -> ApprovalRow | None:
        """The question, or None."""
        return _first(await self._database.fetch(f"{SELECT} where approval.id = $1", approval_id))

    async def list_approvals(
        self, *, pipeline: str | None = None, cursor: UUID | None = None, limit: int = 50
    ) -> tuple[list[ApprovalRow], UUID | None]:
        """Open ones, newest first, and the cursor of the next page; None: this is the last."""
        limit = max(1, min(limit, PAGE_MOST))
        rows = await self._database.fetch(
            f"{SELECT} where {OPEN} and approval.expires_at > now() and {AWAITED} "
            "and ($1::text is null or approval.pipeline = $1) and ($2::uuid is null or approval.id < $2) "
            f"order by approval.id desc limit {limit + 1}",
            None if pipeline is None else clean(pipeline),
            cursor,
        )
        found = [_row(row) for row in rows[:limit]]
        return found, found[-1].id if len(rows) > limit else None

    async def approvals_of_run(self, run_id: UUID, limit: int = 100) -> list[ApprovalRow]:
        """All that this run has asked, the newest first."""
        where = "where approval.run_id = $1 order by approval.created_at desc, approval.id desc limit $2"
        return [_row(row) for row in await self._database.fetch(f"{SELECT} {where}", run_id, limit)]

    async def decide_approval(self, approval_id: UUID, decided: Decided, audit: NewAudit) -> bool | None:
        """Decide, write it down and wake the run, all or nothing. None: it is not open, nothing was changed.

        True: nobody holds the run, ring it. False: its holder will see.
        """
        rows = await self._database.fetch(
            DECIDE,
            approval_id,
            decided.approved,
            clean(decided.by),
            decided.via,
            decided.answers,
            None if decided.comment is None else clean(decided.comment),
            *audit_columns([audit]),
        )
        return bool(rows[0]["free"]) if rows else None

    async def close_approval(self, approval_id: UUID, reason: str) -> ApprovalRow:
        """Nobody can decide any more; the question as it stands now, decided if somebody was faster."""
        await self._database.fetch(CLOSE, approval_id, reason)
        found = await self.get_approval(approval_id)
        assert found is not None
        return found

    async def close_unawaited(self, after: UUID) -> UUID | None:
        """Close some that no run waits for any more, in the order of their ids; where to go on, None: at the start."""
        row = (await self._database.fetch(SWEEP, after, SWEPT_MOST))[0]
        return row["last"] if row["seen"] == SWEPT_MOST else None

    async def signing_key(self, name: str) -> bytes:
        """The installation's key for what has this name; made by whoever asks first, the same for all ever after."""
        if name not in self._signing_keys:
            rows = await self._database.fetch(GET_KEY, name)
            if not rows:
                await self._database.fetch(MAKE_KEY, name, secrets.token_bytes(KEY_BYTES))
                rows = await self._database.fetch(GET_KEY, name)
            self._signing_keys[name] = bytes(rows[0]["key"])
        return self._signing_keys[name]


def _first(rows: list[Any]) -> ApprovalRow | None:
    return _row(rows[0]) if rows else None


def _row(row: Any) -> ApprovalRow:
    values = dict(row)
    for name in ("approvers", "exclude"):
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    return ApprovalRow(**values)
