"""Changing the course of runs: retry, resume, migrate."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.flow.migrate_run import migrate_run, with_place
from engine.flow.resume_run import resume_run
from engine.flow.retry_run import Reopened, retry_run
from engine.web.api.answers import STATE
from engine.web.parameters import NO_NUL, RunId, Who, WithRuntime
from engine.web.problems import InvalidParameter

Text = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]


class Retry(Struct, frozen=True):
    """How to retry a run."""

    latest: Annotated[bool, Meta(description="In the newest version, if the run can go on there.")] = False


class Resume(Struct, frozen=True):
    """What a person decides about a step: exactly one of `input`, `output`, `skip` and `retry`."""

    step: Annotated[Text | None, Meta(description="Its key or id; needed if there are several.")] = None
    input: Annotated[Any | UnsetType, Meta(description="Its `with:`, as the step type wants it.")] = UNSET
    output: Annotated[Any | UnsetType, Meta(description="Takes the place of what it would have returned.")] = UNSET
    skip: bool = False
    retry: bool = False


class Migrate(Struct, frozen=True):
    """Where a run is to go on."""

    to: Annotated[Text, Meta(description="A version (SHA-256), or `latest`.")] = "latest"
    check: Annotated[bool, Meta(description="Only say whether it could.")] = False


class GoesOn(Struct, frozen=True):
    """A run that goes on. `round`: how often its course has been changed by now."""

    id: UUID
    round: int
    version: str
    steps: Annotated[list[str], Meta(description="Where it goes on; none: behind its last step.")]
    status_url: str


class DiffersAt(Struct, frozen=True):
    """Why a run cannot go on in another version."""

    step: str
    message: str
    file: str
    line: int
    column: int


class MigrationResult(Struct, frozen=True):
    """What a migration came to."""

    id: UUID
    before: str
    version: str
    changed: bool
    differences: list[DiffersAt]


@post("/{run_id:str}/retry", summary="Retry a run", status_code=202, responses=STATE)
async def retry(runtime: WithRuntime, who: Who, run_id: RunId, data: JSONBody[Retry | None] = None) -> Response[GoesOn]:
    """A failed or cancelled run goes on at the step that failed; what is finished is not repeated."""
    return _answer(await retry_run(runtime, run_id, by=who, latest=data is not None and data.latest))


@post("/{run_id:str}/resume", summary="Resume a run", status_code=202, responses=STATE)
async def resume(runtime: WithRuntime, who: Who, run_id: RunId, data: JSONBody[Resume]) -> Response[GoesOn]:
    """A failed, cancelled or waiting run goes on with a decision about one of its steps."""
    kinds = [name for name in ("input", "output") if getattr(data, name) is not UNSET]
    kinds += [name for name in ("skip", "retry") if getattr(data, name)]
    if len(kinds) != 1:
        raise InvalidParameter("data", "give exactly one of input, output, skip and retry")
    value = getattr(data, kinds[0]) if kinds[0] in ("input", "output") else None
    return _answer(await resume_run(runtime, run_id, by=who, kind=kinds[0], step=data.step, value=value))


@post("/{run_id:str}/migrate", summary="Migrate a run", status_code=200, responses=STATE)
async def migrate(
    runtime: WithRuntime, who: Who, run_id: RunId, data: JSONBody[Migrate | None] = None
) -> MigrationResult:
    """A queued or waiting run goes on in another version; 409 lists what differs, and then nothing changes."""
    wanted = data or Migrate()
    done = await migrate_run(runtime, run_id, by=who, to=wanted.to, check=wanted.check)
    differences = [
        DiffersAt(each.step, with_place(each), each.file, each.line, each.column) for each in done.differences
    ]
    return MigrationResult(run_id, done.before, done.version, done.changed, differences)


def _answer(done: Reopened) -> Response[GoesOn]:
    answer = GoesOn(done.run_id, done.round, done.version, done.goes_on, f"/api/v1/runs/{done.run_id}")
    return Response(answer, status_code=202)


handlers = [retry, resume, migrate]
