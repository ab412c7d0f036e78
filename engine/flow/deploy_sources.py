"""Deploy on command: all that is offered, or nothing."""

import asyncio
from collections.abc import Sequence

import msgspec

from engine.errors import BadRequest, Conflict
from engine.flow import audit
from engine.flow.deploy import bind_all, load_pipeline, put_in_force
from engine.flow.origin import Origin
from engine.flow.support import unsupported
from engine.pipeline.check import PipelineError, Problem, load_version, missing_secrets
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import PipelineRow

TRIES = 5  # of others deploying at the same time


class Offer(msgspec.Struct, frozen=True):
    """A version to deploy: its source as it is stored, see engine.pipeline.version."""

    source: bytes
    commit: str | None = None
    author: str | None = None


class Change(msgspec.Struct, frozen=True):
    """What a deployment does to one pipeline. `previous` None: it is new; `version` None: it is removed."""

    pipeline: str
    version: str | None
    previous: str | None
    ends_rollback: bool = False


class Deployed(msgspec.Struct, frozen=True):
    """What has changed, or would; `warnings` keep nothing from running."""

    changes: list[Change]
    unchanged: int
    warnings: list[Problem]


class CannotDeploy(BadRequest):
    """A deployment with one error changes nothing. `problems`: [{"name": file:line:column, "message"}]."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__(f"nothing was deployed: {len(found)} error{'' if len(found) == 1 else 's'}")
        self.problems = [
            {"name": f"{item.file}:{item.line}:{item.column}", "message": f"{item.code} {item.message}"}
            for item in found
        ]


async def deploy_sources(
    runtime: Runtime, offers: Sequence[Offer], *, only: bool = False, dry: bool = False, by: str = audit.SYSTEM
) -> Deployed:
    """Check everything, then put it in force at once, or change nothing.

    only: pipelines that are not offered stay as they are; otherwise they are removed. dry: only say what would change.
    CannotDeploy names every error; BadRequest: nothing is offered; Conflict: others keep deploying.
    """
    pipelines, origins = await asyncio.to_thread(_read, runtime, offers)
    for _ in range(TRIES):
        revision = await runtime.store.deployment_revision()
        rows = await runtime.store.list_pipelines()
        offered = {pipeline.id for pipeline in pipelines}
        kept = [row for row in rows if only and row.id not in offered]
        wanted = [*pipelines, *[await load_pipeline(runtime, row.version) for row in kept]]
        _check_bindings(runtime, wanted, offered)
        found = _compare(rows, wanted, missing_secrets(pipelines, runtime.secrets.names()))
        if dry:
            return found
        back = {row.id: row.rolled_back_from for row in kept if row.rolled_back_from is not None}
        if await put_in_force(
            runtime, wanted, kind="deploy", by=by, origins=origins, rolled_back=back, expected=revision
        ):
            changes = [msgspec.to_builtins(change) for change in found.changes]
            await audit.record(runtime, by, "pipelines.deploy", target=", ".join(sorted(offered)), changes=changes)
            return found
    raise Conflict("others are deploying at the same time: try again")


def _read(runtime: Runtime, offers: Sequence[Offer]) -> tuple[list[Pipeline], dict[str, Origin]]:
    if not offers:
        raise BadRequest("there is no pipeline to deploy")
    problems: list[Problem] = []
    pipelines: dict[str, Pipeline] = {}
    origins: dict[str, Origin] = {}
    for offer in offers:
        try:
            pipeline = load_version(offer.source, runtime.catalog, strict=True)
        except PipelineError as error:
            problems += [problem for problem in error.problems if problem.severity == "error"]
            continue
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            raise BadRequest("this is not the source of a version: deploy with `hookwright deploy`") from None
        text = str(msgspec.json.decode(offer.source)["yaml"])
        problems += unsupported(pipeline, text)
        if pipeline.id in pipelines:
            other = pipelines[pipeline.id].file
            problems.append(
                Problem("E402", "error", f"there is a pipeline `{pipeline.id}` in {other} too", pipeline.file)
            )
        pipelines[pipeline.id] = pipeline
        origins[pipeline.version] = Origin(offer.commit, offer.author)
    if problems:
        raise CannotDeploy(problems)
    return list(pipelines.values()), origins


def _check_bindings(runtime: Runtime, wanted: Sequence[Pipeline], offered: set[str]) -> None:
    """CannotDeploy if a trigger of what is offered could not be bound."""
    files = {pipeline.file for pipeline in wanted if pipeline.id in offered}
    problems = [problem for problem in bind_all(runtime, wanted).problems if problem.file in files]
    if problems:
        raise CannotDeploy(problems)


def _compare(rows: Sequence[PipelineRow], wanted: Sequence[Pipeline], warnings: list[Problem]) -> Deployed:
    before = {row.id: row for row in rows}
    after = {pipeline.id: pipeline.version for pipeline in wanted}
    changes = [
        Change(
            name,
            after.get(name),
            row.version if (row := before.get(name)) is not None else None,
            ends_rollback=row is not None and row.rolled_back_from is not None and name in after,
        )
        for name in sorted({*before, *after})
        if name not in before or before[name].version != after.get(name)
    ]
    unchanged = [name for name, version in after.items() if name in before and before[name].version == version]
    return Deployed(changes, len(unchanged), warnings)
