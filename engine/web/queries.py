"""Pages of runs and events, as both the API and the dashboard show them."""

from datetime import UTC, datetime
from uuid import UUID

from engine.store import Store
from engine.store.rows import EventFilter, RunFilter
from engine.web.api.models import EventPage, RunPage, event_model, run_model


async def page_of_runs(store: Store, wanted: RunFilter) -> RunPage:
    """Runs, newest first, and the cursor of the next page."""
    rows, cursor = await store.list_runs(wanted)
    now = datetime.now(UTC)
    return RunPage([run_model(row, now) for row in rows], _text(cursor))


async def page_of_events(store: Store, wanted: EventFilter) -> EventPage:
    """Events, newest first, each with how its triggers decided, and the cursor of the next page."""
    rows, cursor = await store.list_events(wanted)
    counts = await store.count_decisions([row.id for row in rows])
    return EventPage([event_model(row, counts.get(row.id)) for row in rows], _text(cursor))


def _text(cursor: UUID | None) -> str | None:
    return None if cursor is None else str(cursor)
