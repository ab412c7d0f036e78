"""Cancelling and retrying many runs, page by page."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from engine.core.run import RunStatus
from engine.flow.bulk import COUNTED_MOST, act_on_page, count_matching
from engine.store.rows import RunFilter
from engine.web.api.answers import COMMON
from engine.web.parameters import LONGEST_PAGE, NO_NUL, PAGE, Text, Who, WithRuntime, read_time


class Chosen(Struct, frozen=True):
    """Which runs. All conditions must hold, and there must be one."""

    pipeline: Text | None = None
    status: Annotated[
        RunStatus | None,
        Meta(description="Cancel: queued, waiting or running; without it all of them. Retry: failed, or cancelled."),
    ] = None
    labels: Annotated[dict[Text, Text], Meta(description="They have all of these.")] = {}
    since: datetime | None = None
    until: datetime | None = None
    event: UUID | None = None


class Bulk(Struct, frozen=True):
    """What to do with which runs."""

    action: Literal["cancel", "retry"]
    filter: Chosen
    count: Annotated[bool, Meta(description="Only say how many there are.")] = False
    latest: Annotated[bool, Meta(description="Retry in the newest version.")] = False
    limit: Annotated[int, Meta(ge=1, le=LONGEST_PAGE, description="How many runs in this page.")] = PAGE
    cursor: Annotated[str, Meta(max_length=100, pattern=NO_NUL)] | None = None


class Refusal(Struct, frozen=True):
    """A run that could not be, and why."""

    id: UUID
    message: str


class BulkResult(Struct, frozen=True):
    """What a page came to. `next`: the cursor of the next one, null: there is none."""

    matching: Annotated[int | None, Meta(description="With `count`: how many runs match now.")]
    more: Annotated[bool, Meta(description="With `count`: there are more than `matching`.")]
    done: int
    refused: list[Refusal]
    next: str | None


@post("/bulk", summary="Cancel or retry many runs", status_code=200, responses=COMMON)
async def bulk(runtime: WithRuntime, who: Who, data: JSONBody[Bulk]) -> BulkResult:
    """Acts on one page of the runs that match: call it again with `next` as `cursor` until that is null."""
    chosen = data.filter
    wanted = RunFilter(
        pipeline=chosen.pipeline,
        status=chosen.status,
        labels=chosen.labels or None,
        since=read_time("since", chosen.since),
        until=read_time("until", chosen.until),
        event_id=chosen.event,
        limit=data.limit,
    )
    if data.count:
        matching = await count_matching(runtime, data.action, wanted)
        return BulkResult(matching, matching >= COUNTED_MOST, 0, [], None)
    page = await act_on_page(runtime, data.action, wanted, by=who, cursor=data.cursor, latest=data.latest)
    return BulkResult(None, False, page.done, [Refusal(*each) for each in page.refused], page.cursor)
