"""Pipelines: list, look into, start a run."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, HeaderParameter
from msgspec import Meta, Struct

from engine.errors import NotFound
from engine.flow.start import start_run
from engine.pipeline.spec import Pipeline as Spec
from engine.pipeline.spec import Step, Trigger
from engine.runtime import Runtime
from engine.store.rows import RunFilter
from engine.web.api.answers import COMMON, ONE
from engine.web.api.models import Run
from engine.web.parameters import NO_NUL, PipelineId, WithRuntime
from engine.web.queries import page_of_runs

LAST_RUNS = 10
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="At most 255 characters. A second request with the same key is told the first run.",
        min_length=1,
        max_length=255,
        pattern=NO_NUL,
    ),
]


class TriggerView(Struct, frozen=True):
    """What starts runs of a pipeline. `url`: where its sender posts to, if it is a webhook."""

    id: str
    uses: str
    condition: Annotated[str | None, Meta(description="Its `if:`.")]
    url: str | None


class StepView(Struct, frozen=True):
    """One step as written."""

    key: str
    name: str
    uses: str
    condition: str | None


class PipelineProblem(Struct, frozen=True):
    """Something wrong in a file or with a trigger."""

    severity: str
    code: str
    message: str
    file: str
    line: int
    column: int
    help: str


class Pipeline(Struct, frozen=True, kw_only=True):
    """One pipeline that is in force."""

    id: str
    name: str
    description: str
    enabled: bool
    version: str
    file: str
    triggers: list[TriggerView]
    steps: int
    url: str


class PipelineDetail(Pipeline, frozen=True, kw_only=True):
    """A pipeline with its definition and its last runs."""

    source: Annotated[str, Meta(description="The YAML as it was read.")]
    inputs_schema: Annotated[dict[str, Any], Meta(description="JSON Schema (2020-12) of the inputs.")]
    definition: list[StepView]
    runs: Annotated[list[Run], Meta(description="The last ten.")]


class PipelineList(Struct, frozen=True):
    """All pipelines in force, by id, and what is wrong in files that are not."""

    items: list[Pipeline]
    problems: list[PipelineProblem]


class StartRun(Struct, frozen=True, forbid_unknown_fields=True):
    """What to start a run with."""

    inputs: Annotated[dict[str, Any], Meta(description="By name; checked against the pipeline's inputs.")] = {}
    labels: Annotated[
        dict[Annotated[str, Meta(max_length=100)], Annotated[str, Meta(max_length=200)]],
        Meta(description="Added to the run's labels.", max_length=50),
    ] = {}


class Started(Struct, frozen=True):
    """The run. `duplicate`: this Idempotency-Key was used before, and this is the run it started."""

    id: UUID
    pipeline: str
    status_url: str
    duplicate: bool


@get("/", summary="List pipelines", responses=COMMON, sync_to_thread=False)
def list_pipelines(runtime: WithRuntime) -> PipelineList:
    """The pipelines in force in this process, and the problems of files that could not be taken."""
    deployment = runtime.deployments.current
    items = [pipeline_model(runtime, deployment.pipelines[name]) for name in sorted(deployment.pipelines)]
    return PipelineList(items, [problem_model(problem) for problem in runtime.deployments.problems])


@get("/{pipeline_id:str}", summary="Get a pipeline", responses=ONE)
async def get_pipeline(runtime: WithRuntime, pipeline_id: PipelineId) -> PipelineDetail:
    """The definition, the triggers with their URLs, the schema of the inputs and the last runs."""
    pipeline = find_pipeline(runtime, pipeline_id)
    last = await page_of_runs(runtime.store, RunFilter(pipeline=pipeline.id, limit=LAST_RUNS))
    return PipelineDetail(
        **msgspec.structs.asdict(pipeline_model(runtime, pipeline)),
        source=source_text(pipeline),
        inputs_schema=inputs_schema(pipeline),
        definition=[step_view(step) for step in pipeline.steps],
        runs=last.items,
    )


@post(
    "/{pipeline_id:str}/runs",
    summary="Start a run",
    status_code=202,
    responses=ONE
    | {
        200: ResponseSpec(Started, description="The Idempotency-Key was used before.", generate_examples=False),
    },
)
async def start(
    runtime: WithRuntime,
    pipeline_id: PipelineId,
    data: Annotated[
        StartRun | None,
        Body(examples=[Example(summary="Two inputs", value={"inputs": {"title": "It fails", "count": 2}})]),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response[Started]:
    """Answers as soon as the run is stored; follow `Location` to see how it goes."""
    wanted = data or StartRun()
    started = await start_run(runtime, pipeline_id, wanted.inputs, idempotency_key=idempotency_key)
    url = f"/api/v1/runs/{started.run_id}"
    return Response(
        Started(started.run_id, pipeline_id, url, started.duplicate),
        status_code=200 if started.duplicate else 202,
        headers={"Location": url},
    )


def find_pipeline(runtime: Runtime, pipeline_id: str) -> Spec:
    """The pipeline in force. NotFound if there is none."""
    pipeline = runtime.deployments.current.pipelines.get(pipeline_id)
    if pipeline is None:
        raise NotFound(f"There is no pipeline {pipeline_id}.")
    return pipeline


def pipeline_model(runtime: Runtime, pipeline: Spec) -> Pipeline:
    """A checked pipeline as the API shows it."""
    return Pipeline(
        id=pipeline.id,
        name=pipeline.name,
        description=pipeline.description,
        enabled=pipeline.enabled,
        version=pipeline.version,
        file=pipeline.file,
        triggers=[_trigger_view(runtime, pipeline, trigger) for trigger in pipeline.triggers],
        steps=len(pipeline.steps),
        url=f"/api/v1/pipelines/{pipeline.id}",
    )


def problem_model(problem: Any) -> PipelineProblem:
    """A problem of a file as the API shows it."""
    return PipelineProblem(
        severity=str(problem.severity),
        code=problem.code,
        message=problem.message,
        file=str(problem.file),
        line=problem.line,
        column=problem.column,
        help=problem.help or "",
    )


def step_view(step: Step) -> StepView:
    """A step as written."""
    return StepView(step.key, step.name, step.uses, step.condition.source if step.condition else None)


def inputs_schema(pipeline: Spec) -> dict[str, Any]:
    """One JSON Schema for all inputs."""
    properties = {
        name: item.schema if item.required else {**item.schema, "default": item.default}
        for name, item in pipeline.inputs.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": [name for name, item in pipeline.inputs.items() if item.required],
        "additionalProperties": False,
    }


def source_text(pipeline: Spec) -> str:
    """The YAML as it was read, or an empty text if it is not kept."""
    try:
        stored = msgspec.json.decode(pipeline.source)
    except msgspec.DecodeError:
        return pipeline.source.decode("utf-8", "replace")
    return str(stored.get("yaml", "")) if isinstance(stored, dict) else ""


def _trigger_view(runtime: Runtime, pipeline: Spec, trigger: Trigger) -> TriggerView:
    return TriggerView(
        id=trigger.id,
        uses=trigger.uses,
        condition=trigger.condition.source if trigger.condition else None,
        url=_hook_url(runtime, pipeline.id, trigger.id),
    )


def _hook_url(runtime: Runtime, pipeline_id: str, trigger_id: str) -> str | None:
    for endpoint in runtime.deployments.current.endpoints:
        for binding in endpoint.bindings:
            if binding.pipeline.id == pipeline_id and binding.trigger.id == trigger_id:
                return f"{runtime.settings.url}/hooks/{endpoint.path}"
    return None


router = Router("/pipelines", route_handlers=[list_pipelines, get_pipeline, start], tags=["Pipelines"])
