"""From the data of one file to a Pipeline."""

from typing import Any

import msgspec

from engine.pipeline.checking.callees import called_ids, find_uses
from engine.pipeline.checking.defaults import read_defaults
from engine.pipeline.checking.expressions import Desk, compile_value, shape_of
from engine.pipeline.checking.inputs import read_inputs
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.limits import read_concurrency, read_rate_limit
from engine.pipeline.checking.respond import Course
from engine.pipeline.checking.step_ids import Later
from engine.pipeline.checking.steps import STEP_ROOTS, StepReader, find_ids
from engine.pipeline.checking.triggers import event_names, find_triggers, read_answers, read_triggers
from engine.pipeline.checking.values import (
    NAME,
    PIPELINE_ID,
    describe,
    need_bool,
    need_duration,
    need_id,
    need_map,
    need_text,
)
from engine.pipeline.defaults import CALL
from engine.pipeline.expression import Template
from engine.pipeline.grammar.pipeline import PIPELINE
from engine.pipeline.inference.names import Names, StepView
from engine.pipeline.inference.shapes import Shape, of_schema
from engine.pipeline.spec import DEFAULT_RUN_TIMEOUT, Input, Pipeline, Step
from engine.pipeline.version import Ingredients, make_source, make_version

OUTPUTS_LATER = "`outputs` are evaluated when all steps are done"


def read_pipeline(desk: Desk, text: str) -> Pipeline | None:
    """The pipeline, as far as it could be read; what is wrong is noted. None if there is nothing to go by."""
    source, data = desk.source, desk.source.data
    if data is None:
        source.error("E104", (), "the file is empty", "a pipeline needs `id` and `steps`")
        return None
    if not isinstance(data, dict):
        source.error(
            "E103", (), f"a pipeline must be a map, this is {describe(data)}", "a pipeline has `id` and `steps`"
        )
        return None
    check_keys(source, (), data, PIPELINE)
    id_ = _id(desk, data)
    inputs = read_inputs(source, data.get("inputs"))
    found = find_triggers(desk, data.get("triggers"))
    triggers = read_triggers(desk, found, inputs)
    names = event_names(found, _names(desk, inputs))
    labels = _labels(desk, data.get("labels"), names)
    vars_, shapes = _vars(desk, data.get("vars"), names)
    concurrency = rate_limit = None
    if "concurrency" in data:
        concurrency = read_concurrency(desk, ("concurrency",), data["concurrency"], names)
    if "rate_limit" in data:
        rate_limit = read_rate_limit(desk, ("rate_limit",), data["rate_limit"], names)
    names = msgspec.structs.replace(names, vars=shapes)
    _defaults(desk, data.get("defaults"), names)
    reader = StepReader(desk, names, find_ids(data))
    if not data.get("steps"):
        source.error("E104", ("steps",) if "steps" in data else (), "a pipeline needs at least one step in `steps`")
    steps = reader.read(("steps",), data.get("steps"), "steps")
    at_end = msgspec.structs.replace(reader.visible(()), roots=STEP_ROOTS, compensated=True)
    outputs, output_shapes = _outputs(desk, data.get("outputs"), at_end)
    desk.outputs = output_shapes
    triggers = read_answers(desk, found, triggers, Course(at_end, tuple(step.id for step in steps), output_shapes))
    on_error, finally_ = _afterwards(reader, data)
    ingredients = Ingredients(
        files=desk.files.contents,
        env=source.env,
        defaults=_used_defaults(desk, data),
        called={name: desk.called[name] for name in sorted(called_ids(data)) if name in desk.called},
    )
    return Pipeline(
        id=id_,
        version=make_version(data, ingredients),
        name=need_text(source, ("name",), data["name"], "`name`", default=id_) if "name" in data else id_,
        description=need_text(source, ("description",), data["description"], "`description`")
        if data.get("description") is not None
        else "",
        enabled=need_bool(source, ("enabled",), data["enabled"], "`enabled`", default=True)
        if "enabled" in data
        else True,
        labels=labels,
        triggers=triggers,
        inputs=inputs,
        vars=vars_,
        steps=steps,
        on_error=on_error,
        finally_=finally_,
        outputs=outputs,
        timeout=_timeout(desk, data),
        start_timeout=need_duration(source, ("start_timeout",), data["start_timeout"], "`start_timeout`")
        if "start_timeout" in data
        else None,
        file=source.file,
        source=make_source(source.file, text, ingredients),
        secrets=tuple(sorted(source.secrets)),
        files=tuple(sorted(desk.files.contents)),
        env=tuple(sorted(source.env)),
        concurrency=concurrency,
        rate_limit=rate_limit,
        called=ingredients.called,
        uses=tuple(sorted({uses for _, uses in find_uses(data) if not uses.startswith(CALL)})),
    )


def _afterwards(reader: StepReader, data: dict[str, Any]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """`on_error` and `finally`: what steps did is not certain there."""
    doubt = "may not have run when this runs"
    reader.views = {name: _maybe(view, doubt) for name, view in reader.views.items()}
    reader.names = msgspec.structs.replace(reader.names, compensated=True)
    on_error = reader.read(("on_error",), data.get("on_error"), "on_error", "error")
    reader.views = {name: _maybe(view, doubt) for name, view in reader.views.items()}
    reader.names = msgspec.structs.replace(reader.names, outcome=True)
    return on_error, reader.read(("finally",), data.get("finally"), "finally")


def _id(desk: Desk, data: dict[str, Any]) -> str:
    if "id" not in data:
        desk.source.error("E104", (), "a pipeline needs `id`", "as in `id: github-triage`")
        return ""
    return need_id(desk.source, ("id",), data["id"], "`id`", PIPELINE_ID) or ""


def _names(desk: Desk, inputs: dict[str, Input]) -> Names:
    shapes: dict[str, Shape] = {name: of_schema(item.schema) for name, item in inputs.items()}
    roots = ("event", "inputs", "env", "run")
    return Names(roots=roots, env=desk.env, inputs=shapes, absent={"outputs": OUTPUTS_LATER})


def _labels(desk: Desk, value: Any, names: Names) -> dict[str, Template]:
    labels: dict[str, Template] = {}
    for name, item in need_map(desk.source, ("labels",), value, "`labels`").items():
        if isinstance(item, dict | list) or item is None:
            desk.source.error("E103", ("labels", name), f"a label must be a text, this is {describe(item)}")
            continue
        labels[name] = compile_value(desk, ("labels", name), item, names)
    return labels


def _vars(desk: Desk, value: Any, names: Names) -> tuple[dict[str, Template], dict[str, Shape]]:
    """Variables may use those above them."""
    found = need_map(desk.source, ("vars",), value, "`vars`")
    templates: dict[str, Template] = {}
    known: dict[str, Shape] = {}
    for name, item in found.items():
        if not NAME.fullmatch(name):
            message = f"`{name[:60]}` is not a name: letters, digits and `_`"
            desk.source.error("E109", ("vars", name), message, key=True)
            continue
        place = names.adding("vars", vars=known, later_vars=Later(found, known))
        templates[name] = compile_value(desk, ("vars", name), item, place)
        known[name] = shape_of(templates[name], place, desk.catalog.filters)
    return templates, known


def _defaults(desk: Desk, value: Any, names: Names) -> None:
    """The pipeline's own defaults, on top of those of the project."""
    if value is None:
        return
    place = msgspec.structs.replace(names, roots=("env", "inputs", "vars"), locals={}, absent={})
    desk.defaults = desk.defaults.below(read_defaults(desk, ("defaults",), value, place))


def _used_defaults(desk: Desk, data: dict[str, Any]) -> dict[str, Any]:
    """The project's defaults that a step or trigger of this pipeline gets, the weakest first."""
    triggers = data.get("triggers")
    uses = {name for _, name in find_uses(data)}
    for item in triggers if isinstance(triggers, list) else ():
        if isinstance(item, dict) and isinstance(item.get("uses"), str):
            uses.add(item["uses"])
    entries = [entry for entry in desk.defaults.entries if entry.project]
    return {entry.pattern: entry.value for entry in reversed(entries) if any(map(entry.matches, uses))}


def _outputs(desk: Desk, value: Any, names: Names) -> tuple[dict[str, Template], dict[str, Shape]]:
    found = need_map(desk.source, ("outputs",), value, "`outputs`")
    templates = {name: compile_value(desk, ("outputs", name), item, names) for name, item in found.items()}
    return templates, {name: shape_of(template, names, desk.catalog.filters) for name, template in templates.items()}


def _maybe(view: StepView, doubt: str) -> StepView:
    return msgspec.structs.replace(view, doubt=view.doubt or doubt)


def _timeout(desk: Desk, data: dict[str, Any]) -> float:
    if "timeout" not in data:
        return DEFAULT_RUN_TIMEOUT
    return need_duration(desk.source, ("timeout",), data["timeout"], "`timeout`") or DEFAULT_RUN_TIMEOUT
