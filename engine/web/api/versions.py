"""Versions of pipelines: history, one version, the difference between two, rollback; and deploying on command."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from engine.errors import NotFound
from engine.flow.deploy_sources import Change, Offer, deploy_sources
from engine.flow.replay import find_version
from engine.flow.rollback import RolledBack, rollback
from engine.pipeline.version_diff import diff_sources, source_of
from engine.runtime import Runtime
from engine.store import DeployedRow
from engine.web.api.answers import COMMON, ONE, STATE
from engine.web.api.pipelines import PipelineProblem, problem_model
from engine.web.parameters import NO_NUL, PAGE, Limit, PipelineId, Who, WithRuntime

LARGEST = 32_000_000  # bytes of a deployment
Text = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
VersionName = Annotated[str, PathParameter(description="The beginning of its hash.", max_length=64, pattern=NO_NUL)]
VersionQuery = Annotated[
    str | None, QueryParameter(description="The beginning of a version's hash.", max_length=64, pattern=NO_NUL)
]
Number = Annotated[int | None, QueryParameter(description="`next` of the page before.", ge=1, le=2**62)]


class Deployment(Struct, frozen=True, kw_only=True):
    """A change of what is in force. `version` null: the pipeline was removed; `previous` null: it was new."""

    at: datetime
    kind: Annotated[Literal["files", "deploy", "rollback"], Meta(description="files: found in the folder.")]
    version: str | None
    previous: str | None
    by: Annotated[str, Meta(description="Who has deployed it: a token's or session's name, or `files`.")]
    commit: Annotated[str | None, Meta(description="Of git; with `+changes` if the file was not as it is there.")]
    author: str | None
    in_force: bool


class History(Struct, frozen=True):
    """A page of a pipeline's history, newest first."""

    items: list[Deployment]
    next: int | None
    version: Annotated[str | None, Meta(description="What is in force; null: the pipeline is not deployed.")]
    rolled_back_from: Annotated[str | None, Meta(description="The version of the file, if it was rolled back.")]


class Version(Struct, frozen=True, kw_only=True):
    """A stored version of a pipeline."""

    pipeline: str
    version: str
    created_at: datetime
    commit: str | None
    author: str | None
    source: Annotated[str, Meta(description="The YAML as it was read.")]


class VersionDiff(Struct, frozen=True):
    """The difference between two versions, as a unified diff; empty: their texts are the same."""

    before: str
    after: str
    diff: str


class Rollback(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version to put in force again."""

    to: Annotated[Text | None, Meta(description="The beginning of its hash; null: the one that was replaced.")] = None


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """A pipeline as `hookwright deploy` sends it: its file with all that it needs."""

    source: Annotated[
        dict[str, Any], Meta(description="An object with `file`, `yaml`, `files`, `env`, `defaults`, `called`.")
    ]
    commit: Text | None = None
    author: Text | None = None


class Deploy(Struct, frozen=True, forbid_unknown_fields=True):
    """What to deploy: all or nothing."""

    pipelines: list[Source]
    only: Annotated[bool, Meta(description="Pipelines that are not among these stay; false: they are removed.")] = False
    dry_run: bool = False


class DeployAnswer(Struct, frozen=True):
    """What has changed, or in a dry run would. `folder`: the server takes its pipelines from there as well."""

    changes: list[Change]
    unchanged: int
    warnings: list[PipelineProblem]
    folder: str | None


@get("/{pipeline_id:str}/history", summary="List a pipeline's deployments", responses=ONE)
async def history(runtime: WithRuntime, pipeline_id: PipelineId, cursor: Number = None, limit: Limit = PAGE) -> History:
    """Which version came into force when, by whom, and from which commit; newest first."""
    return await history_of(runtime, pipeline_id, cursor=cursor, limit=limit)


@get("/{pipeline_id:str}/versions/{version:str}", summary="Get a version of a pipeline", responses=ONE)
async def get_version(runtime: WithRuntime, pipeline_id: PipelineId, version: VersionName) -> Version:
    """Its source, whether it is in force or not. The beginning of its hash will do."""
    found = await find_version(runtime, version, pipeline_id)
    source = await runtime.store.get_version(found)
    row = (await runtime.store.find_versions(found, pipeline_id))[0]
    return Version(
        pipeline=pipeline_id,
        version=found,
        created_at=row.created_at,
        commit=row.commit,
        author=row.author,
        source=source_of(source or b"{}"),
    )


@get("/{pipeline_id:str}/diff", summary="Compare two versions", responses=ONE)
async def diff(
    runtime: WithRuntime, pipeline_id: PipelineId, before: VersionQuery = None, after: VersionQuery = None
) -> VersionDiff:
    """Files, defaults and called pipelines included. Default: what is in force, and what it has replaced."""
    return await diff_of(runtime, pipeline_id, before, after)


@post("/{pipeline_id:str}/rollback", summary="Roll a pipeline back", status_code=200, responses=STATE)
async def roll_back(
    runtime: WithRuntime, who: Who, pipeline_id: PipelineId, data: JSONBody[Rollback | None] = None
) -> RolledBack:
    """Put an earlier version in force, until its file changes. Open runs keep their version."""
    return await rollback(runtime, pipeline_id, data.to if data is not None else None, by=who)


@post("/", summary="Deploy pipelines", status_code=200, responses=COMMON, request_max_body_size=LARGEST)
async def deploy(runtime: WithRuntime, who: Who, data: JSONBody[Deploy]) -> DeployAnswer:
    """Check them all, then put them in force at once. With one error nothing changes, and `errors` has all of them."""
    offers = [Offer(msgspec.json.encode(item.source), item.commit, item.author) for item in data.pipelines]
    done = await deploy_sources(runtime, offers, only=data.only, dry=data.dry_run, by=who)
    folder = str(runtime.settings.pipelines) if runtime.settings.deploy == "files" else None
    return DeployAnswer(done.changes, done.unchanged, [problem_model(item) for item in done.warnings], folder)


async def history_of(runtime: Runtime, pipeline_id: str, *, cursor: int | None = None, limit: int = PAGE) -> History:
    """A page of the history. NotFound if nothing was ever deployed under this id."""
    rows, following = await runtime.store.list_deployed(pipeline_id, cursor=cursor, limit=limit)
    if not rows and cursor is None:
        raise NotFound(f"There is no history of a pipeline {pipeline_id}.")
    current = next((row for row in await runtime.store.list_pipelines() if row.id == pipeline_id), None)
    version = current.version if current is not None else None
    newest = next((row.number for row in rows), None) if cursor is None else None
    items = [_deployment(row, in_force=row.number == newest and row.version == version) for row in rows]
    return History(items, following, version, current.rolled_back_from if current is not None else None)


async def diff_of(runtime: Runtime, pipeline_id: str, before: str | None, after: str | None) -> VersionDiff:
    """The difference of two versions; those that are not named are what is in force, and what it has replaced."""
    known = await history_of(runtime, pipeline_id) if before is None or after is None else None
    new = known.version if known is not None else None
    if after is not None:
        new = await find_version(runtime, after, pipeline_id)
    if before is not None:
        old: str | None = await find_version(runtime, before, pipeline_id)
    else:
        assert known is not None
        old = next((item.previous for item in known.items if item.version == new and item.previous is not None), None)
    if new is None or old is None:
        raise NotFound(f"There are no two versions of {pipeline_id} to compare: name them.")
    one, other = await runtime.store.get_version(old), await runtime.store.get_version(new)
    text = diff_sources(one or b"{}", other or b"{}", names=(old[:12], new[:12]))
    return VersionDiff(old, new, text)


def _deployment(row: DeployedRow, *, in_force: bool) -> Deployment:
    return Deployment(
        at=row.at,
        kind=row.kind,  # type: ignore[arg-type]
        version=row.version,
        previous=row.previous,
        by=row.by,
        commit=row.commit,
        author=row.author,
        in_force=in_force,
    )


router = Router("/pipelines", route_handlers=[history, get_version, diff, roll_back], tags=["Pipelines"])
deployments = Router("/deployments", route_handlers=[deploy], tags=["Pipelines"])
