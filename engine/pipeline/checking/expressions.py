"""Compile values and conditions of a file, and check the names in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.checking.events import Recorded
from engine.pipeline.defaults import Defaults, merge, step_keys
from engine.pipeline.expression import Expression, ExpressionError, Template, compile_template, parse_condition
from engine.pipeline.expression.nodes import Literal
from engine.pipeline.expression.parser import parse
from engine.pipeline.inference.infer import Filters, Inference, infer
from engine.pipeline.inference.names import EXPRESSION_LIKE, Names, guarded_steps, references
from engine.pipeline.inference.shapes import is_whole, of_value
from engine.pipeline.inference.types import SECRET, STRING, Shape, any_of, either, list_of, object_of
from engine.pipeline.marks import Path
from engine.pipeline.source import Files, Source
from engine.pipeline.spec import Input, Pipeline


class CalleeView(msgspec.Struct, frozen=True):
    """What a call needs to know of a pipeline."""

    inputs: Mapping[str, Input] = {}
    outputs: Shape = None


class Desk(msgspec.Struct):
    """What the checks of one file share."""

    source: Source
    catalog: Catalog
    files: Files
    env: frozenset[str]  # what project.yaml allows
    callees: Mapping[str, CalleeView] | None = None  # by id: pipelines that steps may call; None: not known, anything
    queues: frozenset[str] | None = None  # those of project.yaml; None: not known, so any
    defaults: Defaults = Defaults()  # of the pipeline and of project.yaml
    called: Mapping[str, Pipeline] = {}  # the pipelines that can be pinned with this one, by id
    recorded: Sequence[Recorded] = ()  # events that have been seen
    outputs: Shape = None  # what was found: the outputs of this pipeline

    def merge(self, uses: str, item: dict[str, Any], path: Path) -> dict[str, Any]:
        """The data of the step at `path` with the `defaults` of its type. It is left as it is if there are none."""
        type_ = self.catalog.steps.get(uses)
        fields = {field.encode_name for field in msgspec.structs.fields(type_.config)} if type_ is not None else set()
        for entry in self.defaults.matching(uses):
            item = merge(entry, item, self.source, path, keys=step_keys(), fields=fields)
        return item


NOTHING = compile_template(None)
NEVER = parse_condition("false")


def compile_value(desk: Desk, path: Path, value: Any, names: Names) -> Template:
    """The value with its expressions compiled; what is wrong with them is noted."""
    source = desk.source
    source.scopes[path] = names

    def note(error: ExpressionError) -> None:
        where = (*path, *error.path)
        source.error(error.code, where, error.message, _comment_hint(source, where, error), offset=error.offset)

    _check_texts(source, path, value)
    template = compile_template(value, filters=desk.catalog.filters, files=desk.files, report=note)
    for where, expression in template.expressions:
        mixed = not is_whole(_at(value, where))
        _note_findings(desk, (*path, *where), expression, names, mixed=mixed)
    return template


def compile_condition(desk: Desk, path: Path, value: Any, names: Names) -> Expression:
    """A condition; `if: true` is one as well. What is wrong with it is noted."""
    source = desk.source
    source.scopes[path] = names
    if isinstance(value, bool):
        return parse_condition("true" if value else "false")
    if not isinstance(value, str):
        source.error("E103", path, "a condition is an expression, as in `event.body.count > 5`")
        return NEVER
    try:
        expression = parse_condition(value, filters=desk.catalog.filters, files=desk.files)
    except ExpressionError as error:
        message = error.message.replace("`if:`", f"`{path[-1]}:`")
        source.error(error.code, path, message, _comment_hint(source, path, error), offset=error.offset)
        return NEVER
    shape = _note_findings(desk, path, expression, names)
    _check_condition(desk, path, expression, shape)
    return expression


def shape_of(template: Template, names: Names, filters: Filters | None = None) -> Shape:
    """What the rendered value will look like. filters: those of plugins."""
    if not template.expressions:
        return of_value(template.value)
    return _rendered(template.value, (), dict(template.expressions), names, filters)


def shape_at(desk: Desk, names: Names) -> Callable[[str], Shape]:
    """A function for the type of a text that is wholly an expression; None if it is unknown or cannot be read."""

    def shape(text: str) -> Shape:
        opening, closing = text.find("${{"), text.rfind("}}")
        try:
            node = parse(text[opening + len("${{") : closing])
        except ExpressionError:
            return None
        return infer(node, names, filters=desk.catalog.filters)

    return shape


def _rendered(
    value: Any, path: Path, expressions: Mapping[Path, Expression], names: Names, filters: Filters | None
) -> Shape:
    if isinstance(value, dict):
        return object_of(
            {key: _rendered(item, (*path, key), expressions, names, filters) for key, item in value.items()}
        )
    if isinstance(value, list):
        return list_of(
            any_of(_rendered(item, (*path, index), expressions, names, filters) for index, item in enumerate(value))
        )
    if path not in expressions:
        return None if is_whole(value) else of_value(value)
    if is_whole(value):
        return infer(expressions[path].node, names, filters=filters)
    return either(STRING, SECRET) if "secrets" in names.roots else STRING


def _comment_hint(source: Source, path: Path, error: ExpressionError) -> str:
    """Advice for a text that YAML has cut at ` #`."""
    if "not closed" in error.message and source.marks.is_cut(path):
        return "` #` begins a comment in YAML: put the whole value in quotes"
    return error.help


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _note_findings(desk: Desk, path: Path, expression: Expression, names: Names, *, mixed: bool = False) -> Shape:
    """What the expression yields; what is wrong with it is noted. mixed: it is a part of a text."""
    source, node = desk.source, expression.node
    names = msgspec.structs.replace(names, guard=names.guard | guarded_steps(node))
    inference = Inference(names, source=expression.source, filters=desk.catalog.filters)
    shape = inference.shape(node)
    if mixed:
        inference.need_piece(shape, node)
    broken = False
    for found in inference.findings:
        warns = found.code.startswith("W")
        broken = broken or not warns
        note = source.warning if warns else source.error
        offset = (found.start + expression.start, found.end + expression.start)
        note(found.code, path, found.message, found.help, offset=offset)
    if not broken:
        source.secrets |= expression.secrets
        source.env |= _env_names(expression)
    return None if broken else shape


def _env_names(expression: Expression) -> set[str]:
    return {
        reference.fields[0][0]
        for reference in references(expression.node)
        if reference.root.name == "env" and reference.fields
    }


def _check_condition(desk: Desk, path: Path, expression: Expression, shape: Shape) -> None:
    """Errors and warnings for conditions whose value is plain to see."""
    source, node = desk.source, expression.node
    inference = Inference(Names(roots=()))
    inference.need_boolean(shape, node, "a condition")
    for found in inference.findings:
        span = (node.start + expression.start, node.end + expression.start)
        source.error(found.code, path, found.message, found.help, offset=span)
    if inference.findings or isinstance(node, Literal):
        return
    if not expression.roots and not expression.volatile:
        span = (node.start + expression.start, node.end + expression.start)
        source.warning("W304", path, "this condition is always the same", "it uses no value of the run", offset=span)


def _check_texts(source: Source, path: Path, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if "${{" in key:
                source.error("E119", (*path, key), "a key cannot contain an expression", key=True)
            _check_texts(source, (*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_texts(source, (*path, index), item)
    elif isinstance(value, str) and "{{" in value and (found := EXPRESSION_LIKE.search(value)):
        message = "`{{ }}` is plain text here"
        source.warning("W303", path, message, "an expression is written `${{ }}`", offset=found.span())
