"""The console: try an expression on a stored event."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import QueryParameter, URLEncodedBody
from msgspec import Meta, Struct

from engine.core.event import view
from engine.pipeline.evaluation import LONGEST, Evaluation
from engine.runtime import Runtime
from engine.store.rows import EventFilter, EventSummary
from engine.web.dashboard.filters import ago, short
from engine.web.dashboard.pages import SAMPLE, page
from engine.web.evaluate import evaluate_on_event
from engine.web.parameters import NO_NUL, WithRuntime

RECENT = 30  # events to choose from
EXAMPLES = (
    "event.body | keys",
    "event.headers['content-type'] ?? 'none'",
    "event.type | startswith('issues.')",
    "A text with ${{ event.source }} in it",
)


class Choice(Struct, frozen=True):
    """One event that can be chosen."""

    id: str
    label: str


class ConsoleForm(Struct, frozen=True):
    """What is typed. `id` wins over the event chosen from the list."""

    expression: Annotated[str, Meta(max_length=LONGEST)] = ""
    event: Annotated[str, Meta(max_length=100, pattern=NO_NUL)] = ""
    id: Annotated[str, Meta(max_length=100, pattern=NO_NUL)] = ""


@get("/console", include_in_schema=False)
async def console_page(
    runtime: WithRuntime,
    event: Annotated[str, QueryParameter(max_length=100, pattern=NO_NUL)] = "",
    expression: Annotated[str, QueryParameter(max_length=2000)] = "",
) -> Response[Any]:
    """The form, with the newest event or the one that is named; an expression in the address is evaluated at once."""
    return await _show(runtime, ConsoleForm(expression, event))


@post("/console", include_in_schema=False, status_code=200)
async def console(runtime: WithRuntime, data: URLEncodedBody[ConsoleForm]) -> Response[Any]:
    """The same page with the answer; htmx takes the part that changes."""
    return await _show(runtime, data)


async def _show(runtime: Runtime, form: ConsoleForm) -> Response[Any]:
    recent, _ = await runtime.store.list_events(EventFilter(limit=RECENT))
    wanted = form.id.strip() or form.event.strip() or (str(recent[0].id) if recent else "")
    event_id, problem = _read_id(wanted)
    found = await runtime.store.get_event(event_id) if event_id is not None else None
    if event_id is not None and found is None:
        problem = f"There is no event {event_id}."
    answer: Evaluation | None = None
    if form.expression.strip() and not problem:
        answer = await evaluate_on_event(runtime, form.expression, found.id if found is not None else None, {})
    choices = _choices(recent)
    if found is not None and all(choice.id != str(found.id) for choice in choices):
        choices.insert(0, _choice(found))
    return page(
        "console.html",
        page="console",
        form=form,
        choices=choices,
        chosen=str(found.id) if found is not None else "",
        problem=problem,
        answer=answer,
        event=view(found) if found is not None else None,
        examples=EXAMPLES,
        longest=LONGEST,
        sample=SAMPLE,
    )


def _read_id(text: str) -> tuple[UUID | None, str]:
    """The id, or what is wrong with it."""
    if not text:
        return None, ""
    try:
        return UUID(text), ""
    except ValueError:
        return None, f"{text} is not an event's id."


def _choices(recent: Sequence[EventSummary]) -> list[Choice]:
    return [_choice(item) for item in recent]


def _choice(event: Any) -> Choice:
    """Type, source, age and the end of the id: enough to tell neighbours apart."""
    parts = (event.type or "(no type)", event.source, ago(event.received_at), short(event.id))
    return Choice(str(event.id), " · ".join(part for part in parts if part))


handlers = [console_page, console]
