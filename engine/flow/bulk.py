"""Cancel or retry many runs: page by page, each run by itself. Nothing is open between two pages.

A page that is repeated, since its answer was lost, finds what it did done. Runs that fail again meanwhile do not come
a second time: pages follow the runs' ids.
"""

import asyncio
from uuid import UUID

import msgspec

from engine.core.run import RunStatus
from engine.errors import BadRequest, HookwrightError, Unavailable
from engine.flow import audit
from engine.flow.cancel import cancel_run
from engine.flow.retry_run import retry_run
from engine.runtime import Runtime
from engine.store import RunFilter

# Whom an action is for, in this order; without a status the cancelled are not retried: somebody did not want them.
STATUSES = {
    "cancel": (RunStatus.QUEUED, RunStatus.WAITING, RunStatus.RUNNING),
    "retry": (RunStatus.FAILED, RunStatus.CANCELLED),
}
UNASKED = {"cancel": STATUSES["cancel"], "retry": (RunStatus.FAILED,)}
COUNTED_MOST = 10_000
AT_ONCE = 8  # runs acted on side by side


class BulkPage(msgspec.Struct, frozen=True):
    """What a page came to. refused: runs that could not be, and why. cursor: of the next page; None: there is none."""

    done: int
    refused: list[tuple[UUID, str]]
    cursor: str | None


async def act_on_page(
    runtime: Runtime, action: str, wanted: RunFilter, *, by: str, cursor: str | None = None, latest: bool = False
) -> BulkPage:
    """Cancel or retry a page of the runs that match, newest first. latest: retry them in the newest version.

    BadRequest: a filter without a condition, a status that the action is not for, or no such cursor. Unavailable: some
    may be done; repeat the page.
    """
    statuses = statuses_of(action, wanted)
    status, after = _read_cursor(cursor, statuses)
    if cursor is None:
        await audit.record(runtime, by, f"runs.{action}", filter=_describe(wanted), latest=latest)
    page = msgspec.structs.replace(wanted, status=status, cursor=after)
    rows, following = await runtime.store.list_runs(page)
    gate = asyncio.Semaphore(AT_ONCE)

    async def act(run_id: UUID) -> tuple[UUID, str] | None:
        async with gate:
            try:
                if action == "cancel":
                    await cancel_run(runtime, run_id, by=by)
                else:
                    await retry_run(runtime, run_id, by=by, latest=latest)
            except Unavailable:
                raise
            except HookwrightError as error:
                return run_id, str(error)
            return None

    results = await asyncio.gather(*(act(row.id) for row in rows))
    refused = [result for result in results if result is not None]
    return BulkPage(len(rows) - len(refused), refused, _next_cursor(status, following, statuses))


async def count_matching(runtime: Runtime, action: str, wanted: RunFilter) -> int:
    """How many runs match now; COUNTED_MOST stands for any number above. BadRequest as in act_on_page."""
    count = 0
    for status in statuses_of(action, wanted):
        one = msgspec.structs.replace(wanted, status=status, cursor=None)
        count += await runtime.store.count_runs(one, COUNTED_MOST - count)
        if count >= COUNTED_MOST:
            break
    return count


def statuses_of(action: str, wanted: RunFilter) -> tuple[RunStatus, ...]:
    """Runs of which statuses are meant. BadRequest if that cannot be said."""
    if action not in STATUSES:
        raise BadRequest(f"the action is one of {', '.join(STATUSES)}")
    if not (wanted.pipeline or wanted.status or wanted.labels or wanted.since or wanted.until or wanted.event_id):
        raise BadRequest("name at least one condition: pipeline, status, label, since, until or event")
    if wanted.status is None:
        return UNASKED[action]
    if wanted.status not in STATUSES[action]:
        names = ", ".join(STATUSES[action])
        raise BadRequest(f"{action} is for runs that are {names}, not {wanted.status}")
    return (wanted.status,)


def _describe(wanted: RunFilter) -> dict[str, object]:
    values = msgspec.to_builtins(wanted)
    return {name: value for name, value in values.items() if value is not None and name not in ("cursor", "limit")}


def _read_cursor(cursor: str | None, statuses: tuple[RunStatus, ...]) -> tuple[RunStatus, UUID | None]:
    if cursor is None:
        return statuses[0], None
    name, _, id_ = cursor.partition(":")
    try:
        status = RunStatus(name)
        after = UUID(id_) if id_ else None
    except ValueError:
        raise BadRequest("cursor: hand back what the page before said") from None
    if status not in statuses:
        raise BadRequest("cursor: it belongs to another filter")
    return status, after


def _next_cursor(status: RunStatus, following: UUID | None, statuses: tuple[RunStatus, ...]) -> str | None:
    if following is not None:
        return f"{status}:{following}"
    left = statuses[statuses.index(status) + 1 :]
    return f"{left[0]}:" if left else None
