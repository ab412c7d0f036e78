"""`concurrency:` and `rate_limit:` of pipelines, steps and `defaults`: the same words everywhere."""

from typing import Any

from engine.pipeline.checking.expressions import Desk, compile_value
from engine.pipeline.checking.keys import is_section
from engine.pipeline.checking.values import describe, need_duration, need_integer, need_word
from engine.pipeline.expression import Template
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.grammar.pipeline import CONCURRENCY, RATE_LIMIT
from engine.pipeline.grammar.section import ON_LIMIT, ON_RATE_LIMIT, SCOPES
from engine.pipeline.inference.names import Names
from engine.pipeline.inference.shapes import is_whole
from engine.pipeline.marks import Path
from engine.pipeline.spec import Limit

MOST = 1_000_000


def read_concurrency(desk: Desk, path: Path, value: Any, names: Names) -> Limit | None:
    """The limit, as far as it could be read; what is wrong is noted."""
    if not is_section(desk.source, path, value, CONCURRENCY, "as in `concurrency: {limit: 1}`"):
        return None
    return Limit(**_common(desk, path, value, names, ON_LIMIT))


def read_rate_limit(desk: Desk, path: Path, value: Any, names: Names) -> Limit | None:
    """The limit, as far as it could be read; what is wrong is noted."""
    source = desk.source
    if not is_section(desk.source, path, value, RATE_LIMIT, "as in `rate_limit: {limit: 10, period: 1m}`"):
        return None
    missing = [f"`{name}`" for name in ("limit", "period") if name not in value]
    if missing:
        hint = "as in `rate_limit: {limit: 10, period: 1m}`"
        source.error("E104", path, f"`rate_limit` needs {' and '.join(missing)}", hint, key=True)
    found = _common(desk, path, value, names, ON_RATE_LIMIT)
    if "period" in value:
        found["period"] = need_duration(source, (*path, "period"), value["period"], "`period`") or 0.0
    if "burst" in value:
        found["burst"] = need_integer(source, (*path, "burst"), value["burst"], "`burst`", least=1, most=MOST)
    return Limit(**found)


def read_key(desk: Desk, path: Path, value: Any, names: Names) -> Template:
    """A `key:`: what is shared or the same; a text or a number once it is rendered."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        desk.source.error("E103", path, f"`{path[-1]}` must be a text, this is {describe(value)}")
    return compile_value(desk, path, value, names)


def read_queue(desk: Desk, path: Path, value: Any, names: Names) -> Template:
    """A `queue:`; one that is written out is one of those that project.yaml has."""
    if not isinstance(value, str):
        desk.source.error("E103", path, f"`queue` must be the name of a queue, this is {describe(value)}")
    elif desk.queues is not None and not has_expression(value) and value not in desk.queues:
        listing = f"add it to `queues:` of project.yaml; it has: {', '.join(sorted(desk.queues))}"
        hint = did_you_mean(value, desk.queues, listing)
        desk.source.error("E111", path, f"there is no queue `{value[:60]}`", hint)
    return compile_value(desk, path, value, names)


def _common(desk: Desk, path: Path, value: dict[str, Any], names: Names, words: tuple[str, ...]) -> dict[str, Any]:
    source = desk.source
    found: dict[str, Any] = {}
    if "limit" in value:
        found["limit"] = _number(desk, (*path, "limit"), value["limit"], names)
    if "key" in value:
        found["key"] = read_key(desk, (*path, "key"), value["key"], names)
    if "max_queued" in value:
        where = (*path, "max_queued")
        found["max_queued"] = need_integer(source, where, value["max_queued"], "`max_queued`", least=0, most=MOST)
    for name, known, default in (("on_limit", words, "queue"), ("scope", SCOPES, "pipeline")):
        if name in value:
            found[name] = need_word(source, (*path, name), value[name], f"`{name}`", known) or default
    return found


def _number(desk: Desk, path: Path, value: Any, names: Names) -> Template | int:
    """A whole number, or an expression that yields one."""
    if isinstance(value, str) and has_expression(value):
        if not is_whole(value):
            hint = "make the whole value one `${{ }}` to keep its type"
            desk.source.error("E103", path, "`limit` must be a number, this is a mix of text and expressions", hint)
        return compile_value(desk, path, value, names)
    return need_integer(desk.source, path, value, "`limit`", least=1, most=MOST) or 1
