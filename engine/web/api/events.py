"""Events: list, look into, replay."""

from datetime import UTC, datetime
from typing import Annotated

from litestar import MediaType, Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from engine.errors import NotFound
from engine.flow.replay import plan_event
from engine.store.rows import EventFilter
from engine.web.api.answers import COMMON, ONE, STATE
from engine.web.api.models import EventDetail, EventPage, event_detail
from engine.web.api.replays import DRY, Replay, Replayed, read_wanted, replay_or_rehearse
from engine.web.parameters import NO_NUL, PAGE, Cursor, EventId, Limit, Since, Until, Who, WithRuntime, read_time
from engine.web.queries import page_of_events
from engine.web.why import Why, why_event

Filter = Annotated[str | None, QueryParameter(max_length=200, pattern=NO_NUL)]
SHOWN_AS_TEXT = frozenset({"application/json", "text/plain"})  # nothing a browser would execute
SANDBOX = "default-src 'none'; sandbox"


@get("/", summary="List events", responses=COMMON)
async def list_events(
    runtime: WithRuntime,
    source: Filter = None,
    type: Filter = None,
    path: Filter = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> EventPage:
    """Newest first. `source` is for example `github`, `type` is `issues.opened`, `path` is the part below /hooks/."""
    wanted = EventFilter(
        source=source,
        type=type,
        path=path,
        since=read_time("since", since),
        until=read_time("until", until),
        cursor=cursor,
        limit=limit,
    )
    return await page_of_events(runtime.store, wanted)


@get("/{event_id:str}", summary="Get an event", responses=ONE)
async def get_event(runtime: WithRuntime, event_id: EventId) -> EventDetail:
    """The event with its headers, which triggers were tried, which condition failed with which value, and its runs."""
    event = await runtime.store.get_event(event_id)
    if event is None:
        raise NotFound(f"There is no event {event_id}.")
    decisions = await runtime.store.list_decisions(event_id)
    runs = await runtime.store.runs_of_event(event_id)
    return event_detail(event, decisions, runs, datetime.now(UTC))


@get("/{event_id:str}/why", summary="Say what an event started", responses=ONE)
async def get_why(runtime: WithRuntime, event_id: EventId) -> Why:
    """Which runs it started and how they stand, which waits it ended, and why other triggers refused it."""
    return await why_event(runtime, event_id)


@get(
    "/{event_id:str}/body",
    summary="Get an event's raw body",
    media_type=MediaType.TEXT,
    responses=ONE
    | {
        200: ResponseSpec(
            bytes,
            description="The body, byte for byte.",
            generate_examples=False,
            media_type="application/octet-stream",
        )
    },
)
async def get_body(runtime: WithRuntime, event_id: EventId) -> Response[bytes]:
    """The bytes as they arrived, as a download."""
    event = await runtime.store.get_event(event_id)
    if event is None:
        raise NotFound(f"There is no event {event_id}.")
    kind = event.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = kind if kind in SHOWN_AS_TEXT else "application/octet-stream"
    suffix = {"application/json": "json", "text/plain": "txt"}.get(kind, "bin")
    return Response(
        event.body,
        headers={
            "Content-Type": kind,
            "Content-Disposition": f'attachment; filename="event-{event_id}.{suffix}"',
            "Content-Security-Policy": SANDBOX,
            "X-Content-Type-Options": "nosniff",
        },
    )


@post("/{event_id:str}/replay", summary="Replay an event", status_code=202, responses=STATE | DRY)
async def replay(
    runtime: WithRuntime, who: Who, event_id: EventId, data: JSONBody[Replay | None] = None
) -> Response[Replayed]:
    """Match the stored event again, with the pipelines as they are now or in a stored version, and start new runs.

    With `dry_run` nothing is started: the answer, 200, says what the new runs would do otherwise than the old ones.
    """
    plan = await plan_event(runtime, event_id, read_wanted(data))
    return await replay_or_rehearse(runtime, event_id, plan, data, by=who)


router = Router("/events", route_handlers=[list_events, get_event, get_why, get_body, replay], tags=["Events"])
