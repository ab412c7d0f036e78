"""hookwright eval: try an expression on an event."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from engine.cli.client import Connection, connect
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import FAINT, Json, clean, in_color, note, paint, print_json, say

EVENT: dict[str, Any] = {
    "id": "",
    "source": "",
    "type": "",
    "time": "",
    "headers": {},
    "query": {},
    "path_params": {},
    "body": None,
}


def evaluate(
    expression: str,
    /,
    *,
    event: str | None = None,
    inputs: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Evaluate an expression on a recorded event and say what the value is, or what is wrong and where.

    The expression is bare, or a text with `${{ }}` in it. Secrets and environment variables are not there. The value is
    printed on standard output, what it is and what the paths are on standard error. Exit code 1 if there is no value.

    Examples: `hookwright eval 'event.body.issue.title | upper' --event events/issue.json`,
    `hookwright eval 'event.type' --event 0199f2d0-7b1e-7c30-8a4e-2f6f1a2b3c4d`, `hookwright eval '1 + 1'`

    Parameters
    ----------
    expression
        The expression; in single quotes, so that the shell leaves it alone.
    event
        A file (JSON or YAML) with an event or only its body, or the id of an event of a running Hookwright.
    inputs
        What `inputs` is, as a JSON object.
    """
    given = _inputs(inputs)
    answer: dict[str, Any]
    if event is not None and (event_id := _event_id(event)) is not None:
        with connect(connection) as client:
            body = {"expression": expression, "event_id": event_id, "inputs": given}
            answer = client.post("/expressions/evaluate", body)
    else:
        answer = _evaluate(expression, _read(Path(event)) if event is not None else None, given)
    error = answer["error"]
    if json:
        print_json(answer)
    elif error is None:
        _show(answer)
    else:
        _complain(error)
        _paths(answer["values"])
    return OK if error is None else FAILED


def _evaluate(expression: str, event: dict[str, Any] | None, inputs: dict[str, Any]) -> dict[str, Any]:
    """As the API answers."""
    from engine.pipeline import evaluation
    from engine.plugin.host import load_catalog

    scope: dict[str, Any] = {"event": event} if event is not None else {}
    if inputs:
        scope["inputs"] = inputs
    found = evaluation.evaluate(expression, scope, filters=load_catalog().catalog.filters)
    return dict(msgspec.to_builtins(found))


def _event_id(text: str) -> str | None:
    """The id if it is one and no file has that name."""
    try:
        event_id = str(UUID(text))
    except ValueError:
        return None
    return None if Path(text).exists() else event_id


def _read(path: Path) -> dict[str, Any]:
    """An event from a file: one with the fields of an event, or a bare body."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongUsage(f"--event {path}: {error.strerror}; give a file, or the id of a stored event") from None
    body = _decode(path, data)
    if isinstance(body, dict) and "body" in body and body.keys() <= EVENT.keys():
        return EVENT | body
    return EVENT | {"body": body}


def _decode(path: Path, data: bytes) -> Any:
    """JSON, else YAML."""
    from engine.pipeline.loader import YamlError, load_yaml
    from engine.pipeline.project import yaml_problem

    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if path.suffix == ".json":
            raise WrongUsage(f"--event {path}: not JSON: {error}") from None
    except RecursionError:
        raise WrongUsage(f"--event {path}: nested too deeply") from None
    try:
        return load_yaml(data)[0]
    except YamlError as error:
        problem = yaml_problem(str(path), error)
        raise WrongUsage(f"--event {path}:{problem.line}:{problem.column}: {problem.message}") from None


def _inputs(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise WrongUsage("""--inputs: write a JSON object, as in --inputs '{"amount": 3}'""") from None


def _show(answer: dict[str, Any]) -> None:
    value = answer["value"]
    if answer["cut"]:
        say(clean(answer["preview"]))
        note(f"cut: the value is longer ({answer['type']})")
    elif isinstance(value, str):
        say(clean(value))
    elif isinstance(value, dict | list):
        print_json(value)
    else:
        say(msgspec.json.encode(value).decode())
    note(paint(answer["type"], FAINT))
    _paths(answer["values"])


def _paths(values: dict[str, Any]) -> None:
    from engine.pipeline.evaluation import show_shortened

    for name, value in values.items():
        note(paint(f"  {clean(name)} = {clean(show_shortened(value))[:120]}", FAINT))


def _complain(error: dict[str, Any]) -> None:
    from engine.pipeline.report import Problem, format_problem

    problem = Problem(
        code=error["code"],
        severity="error",
        message=error["message"],
        file="expression",
        line=error["line"],
        column=error["column"],
        length=error["length"],
        help=error["help"],
        source_line=error["source_line"],
    )
    note(format_problem(problem, color=in_color()))
