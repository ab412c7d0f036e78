"""From the data of one file to a Pipeline."""

import hashlib
from typing import Any

import msgspec

from engine.pipeline.check_expressions import Desk, compile_value
from engine.pipeline.check_inputs import read_inputs
from engine.pipeline.check_keys import check_keys
from engine.pipeline.check_names import Names
from engine.pipeline.check_steps import STEP_ROOTS, StepReader, find_ids
from engine.pipeline.check_triggers import delivers_event, read_triggers
from engine.pipeline.check_values import (
    NAME,
    PIPELINE_ID,
    describe,
    need_bool,
    need_duration,
    need_id,
    need_map,
    need_text,
)
from engine.pipeline.expression import Template
from engine.pipeline.grammar_pipeline import PIPELINE
from engine.pipeline.shapes import Shape, of_schema, of_value
from engine.pipeline.spec import DEFAULT_RUN_TIMEOUT, Input, Pipeline

LANGUAGE = 1


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
    names = _names(desk, data, inputs)
    triggers = read_triggers(desk, data.get("triggers"), inputs)
    labels = _labels(desk, data.get("labels"), names)
    vars_ = _vars(desk, data.get("vars"), names)
    names = msgspec.structs.replace(names, vars={name: of_value(template.value) for name, template in vars_.items()})
    reader = StepReader(desk, names, find_ids(data))
    if not data.get("steps"):
        source.error("E104", ("steps",) if "steps" in data else (), "a pipeline needs at least one step in `steps`")
    steps = reader.read(("steps",), data.get("steps"), "steps")
    main = dict(reader.views)
    outputs = _outputs(desk, data.get("outputs"), reader)
    reader.views = {name: _maybe(view, "may not have run when this runs") for name, view in main.items()}
    on_error = reader.read(("on_error",), data.get("on_error"), "on_error", "error")
    reader.views = {name: _maybe(view, "may not have run when this runs") for name, view in reader.views.items()}
    reader.names = msgspec.structs.replace(reader.names, outcome=True)
    finally_ = reader.read(("finally",), data.get("finally"), "finally")
    return Pipeline(
        id=id_,
        version=make_version(data, desk.files.contents, source.env),
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
        file=source.file,
        source=make_source(source.file, text, desk.files.contents, source.env),
        secrets=tuple(sorted(source.secrets)),
        files=tuple(sorted(desk.files.contents)),
        env=tuple(sorted(source.env)),
    )


def make_version(data: Any, files: dict[str, str], env: set[str]) -> str:
    """SHA-256 of what the pipeline means: its parsed YAML in the order of the file, the files it reads, its variables.

    Comments and formatting do not count. Keys that begin with `x-` do, since anchors in them may be used elsewhere.
    """
    meaning = {
        "language": LANGUAGE,
        "pipeline": data,
        "files": dict(sorted(files.items())),
        "env": sorted(env),
    }
    return hashlib.sha256(msgspec.json.encode(meaning)).hexdigest()


def make_source(file: str, text: str, files: dict[str, str], env: set[str]) -> bytes:
    """What is stored as the version."""
    return msgspec.json.encode({"file": file, "yaml": text, "files": dict(sorted(files.items())), "env": sorted(env)})


def _id(desk: Desk, data: dict[str, Any]) -> str:
    if "id" not in data:
        desk.source.error("E104", (), "a pipeline needs `id`", "as in `id: github-triage`")
        return ""
    return need_id(desk.source, ("id",), data["id"], "`id`", PIPELINE_ID) or ""


def _names(desk: Desk, data: dict[str, Any], inputs: dict[str, Input]) -> Names:
    shapes: dict[str, Shape] = {name: of_schema(item.schema) for name, item in inputs.items()}
    event = delivers_event(desk, data.get("triggers"))
    return Names(roots=("event", "inputs", "env", "run"), env=desk.env, event=event, inputs=shapes)


def _labels(desk: Desk, value: Any, names: Names) -> dict[str, Template]:
    labels: dict[str, Template] = {}
    for name, item in need_map(desk.source, ("labels",), value, "`labels`").items():
        if isinstance(item, dict | list) or item is None:
            desk.source.error("E103", ("labels", name), f"a label must be a text, this is {describe(item)}")
            continue
        labels[name] = compile_value(desk, ("labels", name), item, names)
    return labels


def _vars(desk: Desk, value: Any, names: Names) -> dict[str, Template]:
    """Variables may use those above them."""
    found = need_map(desk.source, ("vars",), value, "`vars`")
    templates: dict[str, Template] = {}
    known: dict[str, Shape] = {}
    for name, item in found.items():
        if not NAME.fullmatch(name):
            message = f"`{name[:60]}` is not a name: letters, digits and `_`"
            desk.source.error("E109", ("vars", name), message, key=True)
            continue
        later = frozenset(found) - known.keys()
        templates[name] = compile_value(
            desk, ("vars", name), item, names.adding("vars", vars=dict(known), later_vars=later)
        )
        known[name] = of_value(item)
    return templates


def _outputs(desk: Desk, value: Any, reader: StepReader) -> dict[str, Template]:
    names = msgspec.structs.replace(reader.visible(()), roots=STEP_ROOTS)
    found = need_map(desk.source, ("outputs",), value, "`outputs`")
    return {name: compile_value(desk, ("outputs", name), item, names) for name, item in found.items()}


def _maybe(view: Any, doubt: str) -> Any:
    return msgspec.structs.replace(view, doubt=view.doubt or doubt)


def _timeout(desk: Desk, data: dict[str, Any]) -> float:
    if "timeout" not in data:
        return DEFAULT_RUN_TIMEOUT
    return need_duration(desk.source, ("timeout",), data["timeout"], "`timeout`") or DEFAULT_RUN_TIMEOUT
