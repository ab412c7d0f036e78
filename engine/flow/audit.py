"""The audit: who did what by hand to runs, events, pipelines and queues."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from engine.errors import Unavailable
from engine.runtime import Runtime
from engine.store import NewAudit

SYSTEM = "hookwright"  # who does what nobody asked for


async def record(
    runtime: Runtime,
    by: str,
    action: str,
    *,
    target: str = "",
    run_id: UUID | None = None,
    event_id: UUID | None = None,
    **detail: Any,
) -> None:
    """Write down what has just been done. It is done: if PostgreSQL is away now, the log has to do.

    by: the name of the token or session. action: `thing.verb`, such as `run.cancel`. detail: JSON-plain.
    """
    row = NewAudit(by=by, action=action, target=target, run_id=run_id, event_id=event_id, detail=detail)
    await record_all(runtime, [row])


async def record_all(runtime: Runtime, rows: Sequence[NewAudit]) -> None:
    """The same for several things at once."""
    for row in rows:
        log(runtime, row)
    try:
        if rows:
            await runtime.store.insert_audit(list(rows))
    except Unavailable as error:
        for row in rows:
            facts = {"by": row.by, "action": row.action, "target": row.target}
            runtime.log.warning("audit.unwritten", **facts, error=str(error))


def log(runtime: Runtime, row: NewAudit) -> None:
    """Say it in the log too; the store has written it already or will."""
    ids = {name: str(value) for name in ("run_id", "event_id") if (value := getattr(row, name)) is not None}
    runtime.log.info("audit.recorded", by=row.by, action=row.action, target=row.target, **ids)
