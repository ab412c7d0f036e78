"""Pauses: list, pause, resume."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, Router, delete, get, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from engine.errors import NotFound
from engine.flow.pause import Kind, pause, resume
from engine.web.api.answers import COMMON, ONE
from engine.web.auth import who
from engine.web.parameters import NO_NUL, WithRuntime

Name = Annotated[str, PathParameter(description="Its name.", max_length=200, pattern=NO_NUL)]
KindOf = Annotated[Kind, PathParameter(description="pipeline, source or queue.")]


class Why(Struct, frozen=True):
    """Why it is paused."""

    reason: Annotated[str, Meta(description="Shown on the runs that wait.", max_length=400, pattern=NO_NUL)] = ""


class Pause(Struct, frozen=True):
    """Something that is paused: its events are taken, its runs wait."""

    kind: Annotated[str, Meta(description="pipeline, source or queue.")]
    name: str
    by: Annotated[str, Meta(description="The name of the token or session that paused it.")]
    reason: str
    at: datetime


@get("/", summary="List what is paused", responses=COMMON)
async def list_pauses(runtime: WithRuntime) -> list[Pause]:
    """The longest first."""
    return [Pause(*row) for row in await runtime.store.list_pauses()]


@put("/{kind:str}/{name:str}", summary="Pause a pipeline, a source or a queue", responses=ONE)
async def put_pause(
    runtime: WithRuntime,
    request: Request[Any, Any, Any],
    kind: KindOf,
    name: Name,
    data: JSONBody[Why | None] = None,
) -> Pause:
    """Runs that have not begun wait; those of a queue also if they have. What is paused already stays as it is."""
    await pause(runtime, kind, name, by=who(request), reason=data.reason if data else "")
    return next(Pause(*row) for row in await runtime.store.list_pauses() if (row.kind, row.name) == (kind, name))


@delete("/{kind:str}/{name:str}", summary="Resume it", responses=ONE)
async def delete_pause(runtime: WithRuntime, request: Request[Any, Any, Any], kind: KindOf, name: Name) -> None:
    """Its runs go on at once. 404 if it is not paused."""
    if not await resume(runtime, kind, name, by=who(request)):
        raise NotFound(f"The {kind} {name} is not paused.")


router = Router("/pauses", route_handlers=[list_pauses, put_pause, delete_pause], tags=["Pauses"])
