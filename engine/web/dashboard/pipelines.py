"""The pages of pipelines, and starting a run by hand."""

import shlex
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import URLEncodedBody
from litestar.response import Redirect
from markupsafe import Markup

from engine.flow.start import start_run
from engine.pipeline.graph.svg import render_svg
from engine.pipeline.graph.tree import make_graph
from engine.pipeline.match import InvalidInputs
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store.rows import RunFilter
from engine.web.api.pipelines import find_pipeline, pipeline_model, source_text
from engine.web.dashboard.form import make_fields, read_fields
from engine.web.dashboard.pages import page
from engine.web.dashboard.rows import run_lines
from engine.web.parameters import PipelineId, WithRuntime
from engine.web.queries import page_of_runs

LAST_RUNS = 10


@get("/pipelines", include_in_schema=False)
async def pipelines_page(runtime: WithRuntime) -> Response[Any]:
    """All pipelines in force, and the problems of files that are not."""
    deployment = runtime.deployments.current
    items = [pipeline_model(runtime, deployment.pipelines[name]) for name in sorted(deployment.pipelines)]
    last = {}
    for item in items:
        newest = await page_of_runs(runtime.store, RunFilter(pipeline=item.id, limit=1))
        last[item.id] = newest.items[0] if newest.items else None
    return page(
        "pipelines.html",
        page="pipelines",
        pipelines=items,
        problems=runtime.deployments.problems,
        last=last,
        folder=str(runtime.settings.pipelines),
    )


@get("/pipelines/{pipeline_id:str}", include_in_schema=False)
async def pipeline_page(runtime: WithRuntime, pipeline_id: PipelineId) -> Response[Any]:
    """One pipeline: triggers, steps, the start form, last runs, source."""
    return await _show(runtime, find_pipeline(runtime, pipeline_id))


@post("/pipelines/{pipeline_id:str}/start", include_in_schema=False)
async def start(
    runtime: WithRuntime,
    pipeline_id: PipelineId,
    data: URLEncodedBody[dict[str, Any] | None] = None,
) -> Response[Any]:
    """The start form: to the new run, or back with what is wrong beside each field."""
    pipeline = find_pipeline(runtime, pipeline_id)
    typed = {name: value for name, value in (data or {}).items() if isinstance(value, str)}
    values, wrong = read_fields(pipeline.inputs, typed)
    if wrong:
        return await _show(runtime, pipeline, typed=typed, wrong=wrong)
    try:
        started = await start_run(runtime, pipeline.id, values)
    except InvalidInputs as error:
        wrong = {str(item["name"]): str(item["message"]) for item in error.problems}
        return await _show(runtime, pipeline, typed=typed, wrong=wrong)
    return Redirect(f"/runs/{started.run_id}", status_code=303)


async def _show(
    runtime: Runtime,
    pipeline: Pipeline,
    *,
    typed: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
) -> Response[Any]:
    wrong = wrong or {}
    runs = await page_of_runs(runtime.store, RunFilter(pipeline=pipeline.id, limit=LAST_RUNS))
    problems = [item for item in runtime.deployments.problems if str(item.file) == pipeline.file]
    elsewhere = "; ".join(f"{name}: {text}" for name, text in wrong.items() if name not in pipeline.inputs)
    return page(
        "pipeline.html",
        status=422 if wrong else 200,
        page="pipelines",
        item=pipeline_model(runtime, pipeline),
        pauses=[
            found
            for found in await runtime.store.list_pauses()
            if found.kind != "pipeline" or found.name == pipeline.id
        ],
        picture=_picture(pipeline),
        problems=problems,
        fields=make_fields(pipeline.inputs, typed=typed, wrong=wrong),
        refused=elsewhere,
        curl=_curl(runtime, pipeline),
        runs=run_lines(runs.items),
        lines=source_text(pipeline).splitlines(),
    )


def _picture(pipeline: Pipeline) -> Markup:
    """The structure; a click on a step leads to its line of the source."""
    svg = render_svg(make_graph(pipeline), standalone=False, link=lambda block: f"#L{block.line}")
    return Markup(svg)  # noqa: S704 - render_svg escapes every text


def _curl(runtime: Runtime, pipeline: Pipeline) -> str:
    """A command that starts this pipeline through the API."""
    inputs = {name: _example(item.schema) if item.required else item.default for name, item in pipeline.inputs.items()}
    body = shlex.quote(msgspec.json.encode({"inputs": inputs}).decode())
    return (
        f"curl -X POST {runtime.settings.url}/api/v1/pipelines/{pipeline.id}/runs \\\n"
        f'  -H "Authorization: Bearer $HOOKWRIGHT_TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -d {body}"
    )


def _example(schema: dict[str, Any]) -> Any:
    """A value of the right type, to be replaced."""
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    examples = {"string": "...", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
    return examples.get(str(schema.get("type")))


handlers = [pipelines_page, pipeline_page, start]
