"""The pages of events."""

import string
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from engine.errors import NotFound
from engine.store.rows import EventFilter
from engine.web.api.models import event_detail
from engine.web.dashboard.filters import LONGEST
from engine.web.dashboard.pages import SAMPLE, link, page
from engine.web.dashboard.rows import run_lines
from engine.web.parameters import NO_NUL, Cursor, EventId, WithRuntime
from engine.web.queries import page_of_events

PAGE = 50
DUMPED = 4096  # bytes of a binary body that are shown
Filter = Annotated[str, QueryParameter(max_length=200, pattern=NO_NUL)]


class BodyView(Struct, frozen=True):
    """A body for reading."""

    text: str
    wrap: bool = False
    note: str = ""


@get("/events", include_in_schema=False)
async def events_page(
    runtime: WithRuntime, source: Filter = "", type: Filter = "", path: Filter = "", cursor: Cursor = None
) -> Response[Any]:
    """Events, newest first, each with what was decided."""
    chosen = {"source": source.strip(), "type": type.strip(), "path": path.strip().removeprefix("/hooks/")}
    wanted = EventFilter(
        source=chosen["source"] or None,
        type=chosen["type"] or None,
        path=chosen["path"] or None,
        cursor=cursor,
        limit=PAGE,
    )
    found = await page_of_events(runtime.store, wanted)
    return page(
        "events.html",
        page="events",
        events=found.items,
        chosen=chosen,
        filtered=any(chosen.values()),
        sample=SAMPLE,
        here=link("/events", **chosen, cursor=cursor),
        first=link("/events", **chosen) if cursor else None,
        next=link("/events", **chosen, cursor=found.next) if found.next else None,
    )


@get("/events/{event_id:str}", include_in_schema=False)
async def event_page(runtime: WithRuntime, event_id: EventId) -> Response[Any]:
    """One event: facts, decisions, runs, body, headers."""
    row = await runtime.store.get_event(event_id)
    if row is None:
        raise NotFound(f"There is no event {event_id}.")
    decisions = await runtime.store.list_decisions(event_id)
    runs = await runtime.store.runs_of_event(event_id)
    shown = event_detail(row, decisions, runs, datetime.now(UTC))
    content_type = row.headers.get("content-type", "")
    return page(
        "event.html",
        page="events",
        event=shown,
        runs=run_lines(shown.runs),
        content_type=content_type,
        body=view_body(content_type, row.body),
    )


def view_body(content_type: str, body: bytes) -> BodyView:
    """JSON over several lines, text as it is, anything else as hexadecimal digits."""
    if b"\x00" in body[:DUMPED]:
        return _dump(body)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _dump(body)
    kind = content_type.partition(";")[0].strip().lower()
    if len(body) <= LONGEST and (kind in ("", "application/json") or kind.endswith("+json")):
        try:
            return BodyView(msgspec.json.format(body, indent=2).decode())
        except (ValueError, RecursionError):
            return BodyView(text, wrap=True, note="not valid JSON" if kind else "")
    if len(text) > LONGEST:
        return BodyView(text[:LONGEST], wrap=True, note=f"the first {LONGEST} characters")
    return BodyView(text, wrap=True)


def _dump(body: bytes) -> BodyView:
    plain = set(string.printable.encode()) - set(b"\t\n\r\x0b\x0c")
    lines = []
    for place in range(0, min(len(body), DUMPED), 16):
        row = body[place : place + 16]
        letters = "".join(chr(byte) if byte in plain else "." for byte in row)
        lines.append(f"{place:08x}  {row.hex(' '):<47}  {letters}")
    return BodyView("\n".join(lines), note=f"binary, the first {DUMPED} bytes" if len(body) > DUMPED else "binary")


handlers = [events_page, event_page]
