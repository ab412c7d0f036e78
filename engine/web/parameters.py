"""Query and path parameters: their types for the schema, and the checks a type cannot say."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation
from msgspec import Meta

from engine.core.run import RunStatus
from engine.runtime import Runtime
from engine.web.problems import InvalidParameter

WithRuntime = NamedDependency[SkipValidation[Runtime]]  # what every handler works with
Who = NamedDependency[str]  # the name of the token or session that asks
Person = NamedDependency[str]  # the name of the token that asks, also if a session does for it
NO_NUL = r"^[^\x00]*$"
PAGE, LONGEST_PAGE = 50, 200
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

Text = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
RunId = Annotated[UUID, PathParameter(description="The run's id.")]
ApprovalId = Annotated[UUID, PathParameter(description="The approval's id.")]
EventId = Annotated[UUID, PathParameter(description="The event's id.")]
PipelineId = Annotated[str, PathParameter(description="The pipeline's `id`.", max_length=200, pattern=NO_NUL)]
PipelineFilter = Annotated[
    str | None, QueryParameter(description="Only runs of this pipeline.", max_length=200, pattern=NO_NUL)
]
StatusFilter = Annotated[RunStatus | None, QueryParameter(description="Only runs that stand so.")]
LabelFilter = Annotated[
    list[Text] | None,
    QueryParameter(description="Only runs with this label, written `name:value`. Repeat it: all must be there."),
]
Since = Annotated[datetime | None, QueryParameter(description="Not older than this (RFC 3339, with its offset).")]
Until = Annotated[datetime | None, QueryParameter(description="Older than this (RFC 3339, with its offset).")]
Limit = Annotated[int, QueryParameter(description="How many at most.", ge=1, le=LONGEST_PAGE)]
EventIdFilter = Annotated[UUID | None, QueryParameter(description="Only runs that this event started.")]
Cursor = Annotated[UUID | None, QueryParameter(description="`next` of the page before.")]


def read_labels(labels: list[str] | None) -> dict[str, str] | None:
    """`["a:1", "b:2"]` as a mapping, None without any. InvalidParameter if one has no colon or stands twice."""
    found: dict[str, str] = {}
    for label in labels or ():
        name, colon, value = label.partition(":")
        if not colon or not name:
            raise InvalidParameter("label", f"write name:value, not {label!r}")
        if found.setdefault(name, value) != value:
            raise InvalidParameter("label", f"a run has one value for {name!r}, two are asked for")
    return found or None


def read_time(name: str, moment: datetime | None) -> datetime | None:
    """The moment in UTC. InvalidParameter if it has no offset or lies outside the years 1970 to 8999."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidParameter(name, "needs an offset, for example 2026-01-31T12:00:00Z")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        moment = EARLIEST.replace(year=1)
    if not EARLIEST <= moment < LATEST:
        raise InvalidParameter(name, "is outside the years 1970 to 8999")
    return moment
