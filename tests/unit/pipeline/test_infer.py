"""What expressions yield, and what is found in those that cannot be right."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from engine.pipeline.expression import parse_expression
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS
from engine.pipeline.inference.filters import FILTERS as SPECIAL
from engine.pipeline.inference.filters import FUNCTIONS as YIELDED
from engine.pipeline.inference.filters import YIELDS
from engine.pipeline.inference.infer import Inference
from engine.pipeline.inference.names import Names, StepView
from engine.pipeline.inference.shapes import of_schema, of_type, of_value, of_values
from engine.pipeline.inference.types import Shape, describe


class Person(Struct):
    name: Annotated[str, Meta(description="First name.")]
    age: int
    mail: str | None = None
    role: Literal["admin", "guest"] = "guest"


def short(text: str) -> list[Person]:
    """A plugin's filter."""
    return []


NAMES = Names(
    roots=("event", "inputs", "vars", "steps", "run", "secrets"),
    inputs={
        "n": of_schema({"type": "integer"}),
        "x": of_schema({"type": "number"}),
        "text": of_schema({"type": "string"}),
        "kind": of_schema({"enum": ["bug", "docs"]}),
        "on": of_schema({"type": "boolean"}),
        "any": of_schema({}),
        "day": of_schema({"type": "string", "default": None}),
        "people": of_type(list[Person]),
        "person": of_type(Person),
        "prices": of_type(dict[str, float]),
        "open": of_schema({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True}),
        "mixed": of_schema({"type": ["string", "array"], "items": {"type": "integer"}}),
    },
    vars={"channels": of_value({"bug": "#core", "docs": "#docs"}), "nothing": of_value([])},
    steps={"get": StepView(of_value({"rows": [{"id": 1}], "sum": 2}), loop=True), "free": StepView()},
)
TYPES = [
    ("1", "integer"),
    ("1.5", "number"),
    ("'a'", "'a'"),
    ("null", "null"),
    ("[1, 'a']", "(integer | 'a')[]"),
    ("[]", "nothing[]"),
    ("inputs.n", "integer"),
    ("inputs['n']", "integer"),
    ("inputs.day", "string | null"),
    ("inputs.any.x[0]", "any"),
    ("inputs.people[0].name", "string"),
    ("inputs.people[-1]['age']", "integer"),
    ("inputs.people[1:]", "{name: string, age: integer, mail: string | null, role: 'admin' | 'guest'}[]"),
    ("inputs.people[inputs.n].mail", "string | null"),
    ("inputs.person.mail ?? ''", "string"),
    ("inputs.person.mail | default(0)", "integer | string"),
    ("inputs.any ?? ''", "any"),
    ("inputs.prices['eur']", "number"),
    ("inputs.prices[inputs.text]", "number"),
    ("inputs.open.a", "string"),
    ("inputs.open.b", "any"),
    ("inputs.text[0]", "string"),
    ("inputs.text[1:]", "string"),
    ("vars.channels[inputs.kind]", "'#core' | '#docs'"),
    ("vars.channels[inputs.text]", "'#core' | '#docs'"),
    ("steps.get.output.rows[0].id", "integer"),
    ("steps['get'].output['sum']", "integer"),
    ("steps.get.errors[0].error.message", "string"),
    ("steps.get.attempts", "integer | null"),
    ("steps.free.output.x", "any"),
    ("event.headers['x-id']", "string"),
    ("event.body.x", "any"),
    ("run.id", "string"),
    ("secrets.TOKEN", "secret"),
    ("'Bearer ' ~ secrets.TOKEN", "string | secret"),
    ("inputs.n + 1", "integer"),
    ("inputs.n + 0.5", "number"),
    ("inputs.n / 2", "number"),
    ("inputs.n // 2", "integer"),
    ("inputs.any + 1", "number"),
    ("inputs.any + ['a']", "any[]"),
    ("inputs.any + inputs.any", "any"),
    ("[1] + ['a']", "(integer | 'a')[]"),
    ("-inputs.x", "number"),
    ("inputs.text ~ inputs.n", "string"),
    ("inputs.n > 1", "boolean"),
    ("inputs.any in [1]", "boolean"),
    ("inputs.any is defined", "boolean"),
    ("not inputs.on", "boolean"),
    ("inputs.on and inputs.on", "boolean"),
    ("1 if inputs.on else 'a'", "integer | 'a'"),
    ("inputs.text | upper", "string"),
    ("inputs.text | split(',')", "string[]"),
    ("inputs.text | length", "integer"),
    ("inputs.text | from_json", "any"),
    ("inputs.x | round", "integer"),
    ("inputs.x | round(2)", "number"),
    ("inputs.people | map('name')", "string[]"),
    ("inputs.people | map(p => p.age * 2)", "integer[]"),
    ("inputs.people | map(p => object(who=p.name, old=p.age > 60))", "{who: string, old: boolean}[]"),
    ("inputs.people | where(p => p.age > 3) | map('role') | first", "'admin' | 'guest'"),
    ("inputs.people | sort_by('age') | last | pick('name', 'age')", "{name: string, age: integer}"),
    ("inputs.people | group_by('role') | map('key')", "('admin' | 'guest')[]"),
    ("inputs.people | group_by('role') | map(g => g.items | length)", "integer[]"),
    ("inputs.people | unique(p => p.name) | map('age') | sum", "integer"),
    ("inputs.people | map('age') | max", "integer"),
    ("inputs.people | any(p => p.age > 3)", "boolean"),
    ("inputs.people | chunk(2)", "{name: string, age: integer, mail: string | null, role: 'admin' | 'guest'}[][]"),
    ("inputs.people | chunk(2) | flatten | map('age')", "integer[]"),
    ("inputs.people | map('age') | zip(inputs.people | map('name'))", "(integer | string)[][]"),
    ("inputs.people | map('name') | join(', ')", "string"),
    ("inputs.people | map('age') | reverse", "integer[]"),
    ("inputs.text | reverse", "string"),
    ("inputs.person | keys", "string[]"),
    ("inputs.prices | values", "number[]"),
    ("inputs.prices | items", "{key: string, value: number}[]"),
    ("inputs.person | omit('name', 'role')", "{age: integer, mail: string | null}"),
    ("inputs.any | pick('id', 'name')", "{id: any, name: any}"),
    ("inputs.person | pick('name') | merge(object(x=1))", "{name: string, x: integer}"),
    ("inputs.any | merge(object(x=1))", "object"),
    ("inputs.person | to_json", "string"),
    ("inputs.text | my.short | map('age')", "integer[]"),
    ("inputs.text | my.free", "any"),
    ("object(a=1, b=[inputs.text])", "{a: integer, b: string[]}"),
    ("now()", "string"),
    ("range(3)", "integer[]"),
    ("duration('1h')", "number"),
    ("max(inputs.n, 3)", "integer"),
    ("min([1.5, 2])", "number"),
    ("secrets.TOKEN | b64encode", "string | secret"),
]
WRONG = [
    ("inputs.people[0].nmae", "E214 there is no field `nmae`", "did you mean `name`?"),
    ("inputs.people[0].zzz", "E214 there is no field `zzz`", "it has: name, age, mail, role"),
    ("inputs.people.name", "E228 `inputs.people` is a list and has no field `name`", "take one item with `[0]`"),
    ("inputs.text.size", "E228 `inputs.text` is text and has no field `size`", ""),
    ("inputs.n[0]", "E228 `inputs.n` is a number and has no items", ""),
    ("inputs.people['a']", "E228 `inputs.people` is a list; its index must be a whole number, this is text", ""),
    ("inputs.person[0]", "E228 `inputs.person` is an object; its index must be text, this is a number", ""),
    ("inputs.n[1:]", "E228 `inputs.n` is a number; only lists and texts can be cut", ""),
    ("inputs.text['a':]", "E228 the bounds of a slice are whole numbers, this is text", ""),
    ("inputs.people | map('nmae')", "E214 there is no field `nmae`", "did you mean `name`?"),
    ("inputs.people | map(p => p.nmae)", "E214 there is no field `nmae`", "did you mean `name`?"),
    (
        "inputs.people | where(p => p.age) | length",
        "E226 what `where` asks must be true or false, this is a number",
        "did you mean `!= 0`?",
    ),
    ("inputs.people | group_by('role') | map('item')", "E214 there is no field `item`", "did you mean `items`?"),
    ("(inputs.people | first).nmae", "E214 there is no field `nmae`", "did you mean `name`?"),
    ("(inputs.any | pick('id')).name", "E214 there is no field `name`", "it has: id"),
    ("inputs.person | pick('nmae')", "E214 there is no field `nmae`", "did you mean `name`?"),
    ("object(a=1).b", "E214 there is no field `b`", "it has: a"),
    ("steps.get.output.rows[0].idd", "E214 there is no field `idd`", "did you mean `id`?"),
    ("steps.get.outptu", "E214 a step has no `outptu`", "did you mean `output`?"),
    ("steps.free.errors", "E214 a step has no `errors`", "only a loop has them: one with `for_each`"),
    ("run.startedat", "E214 there is no field `startedat`", "did you mean `started_at`?"),
    ("event.boddy", "E214 there is no field `boddy`", "did you mean `body`?"),
    ("event.headers.x.y", "E228 `event.headers.x` is text and has no field `y`", ""),
    ("inputs.text < 3", "E225 `<` cannot compare text with a number", "turn the text into a number"),
    ("inputs.people > 3", "E225 `>` cannot compare a list with a number", ""),
    ("inputs.text + 'a'", "E225 `+` cannot add text and text", "use `~` to join text"),
    ("inputs.people + 1", "E225 `+` cannot add a list and a number", ""),
    ("inputs.text * 2", "E225 `*` needs numbers, this is text", "turn the text into a number"),
    ("-inputs.text", "E225 `-` needs numbers, this is text", "turn the text into a number"),
    ("inputs.people ~ 'x'", "E224 a list cannot be put into text", "use `| to_json` or `| join(', ')`"),
    ("1 in inputs.n", "E225 cannot look into a number", "a list, a text or an object can contain something"),
    ("1 in inputs.text", "E225 cannot look for a number in text", "only text can be in it"),
    ("inputs.text | contains(1)", "E225 cannot look for a number in text", "only text can be in it"),
    (
        "not inputs.text",
        "E226 what `not` turns round must be true or false, this is text",
        "did you mean `| length > 0`",
    ),
    (
        "inputs.on and inputs.n",
        "E226 each side of `and` must be true or false, this is a number",
        "did you mean `!= 0`?",
    ),
    ("1 if inputs.people else 2", "E226 what follows `if` must be true or false, this is a list", "did you mean"),
    ("inputs.n | upper", "E225 what `upper` is used on must be text, this is a number", "turn it into text with"),
    ("inputs.person | map('a')", "E225 what `map` is used on must be a list, this is an object", "`| items`, `| keys`"),
    ("inputs.people | map('name') | map('x')", "E225 `map('x')` needs objects, an item is text", ""),
    ("inputs.people | map('name') | sum", "E225 `sum` adds numbers, an item is text", ""),
    ("inputs.people | keys", "E225 what `keys` is used on must be an object, this is a list", ""),
    (
        "inputs.people | string",
        "E225 what `string` is used on must be text or a number, this is a list",
        "use `| to_json`",
    ),
    ("inputs.text | truncate('a')", "E225 an argument of `truncate` must be a whole number, this is text", ""),
    ("range('a')", "E225 an argument of `range` must be a whole number, this is text", ""),
    ("secrets.A == 'x'", "E307 a secret can only be passed on", "it must not be compared"),
    ("inputs.kind == 'bugg'", "W304 this is never true: the value is never `bugg`", "did you mean `bug`?"),
    ("inputs.kind != 'feature'", "W304 this is always true: the value is never `feature`", "one of: bug, docs"),
    ("inputs.n == '1'", "W304 a number is never equal to text: this is never true", "turn the text into a number"),
]
RIGHT = [
    "inputs.any.x.y | map('z') | where(o => o.t)",
    "inputs.mixed | length",
    "inputs.mixed[0]",
    "inputs.mixed == 'a'",
    "inputs.day == null",
    "inputs.text != null",
    "inputs.person.mail | upper",
    "vars.nothing | map('x') | sum",
    "vars.nothing[0].x.y",
    "vars.nothing | where(o => o)",
    "'a' if inputs.kind == 'bug' else 'b'",
    "inputs.people[0].role in ['admin', 'root']",
    "inputs.x == 1",
    "event.query.tag[0]",
    "inputs.open.anything.at.all",
    "inputs.prices.eur > 1",
    "'x' == 'y'",
    "inputs.any ~ inputs.day",
]


def free(value: Any) -> Any:
    """A plugin's filter that says nothing."""


def look(source: str, names: Names = NAMES) -> tuple[Shape, list[Any]]:
    filters = {"my.short": short, "my.free": free}
    inference = Inference(names, source=source, filters=filters)
    shape = inference.shape(parse_expression(source, filters=filters).node)
    return shape, inference.findings


@pytest.mark.parametrize(("source", "type_"), TYPES, ids=[source for source, _ in TYPES])
def test_types(source: str, type_: str) -> None:
    """An expression, and what it yields."""
    shape, findings = look(source)
    assert describe(shape) == type_
    assert findings == []


@pytest.mark.parametrize(("source", "message", "help"), WRONG, ids=[source for source, _, _ in WRONG])
def test_wrong(source: str, message: str, help: str) -> None:
    """An expression, and the one thing that is found in it."""
    _, findings = look(source)
    assert [f"{found.code} {found.message}"[: len(message)] for found in findings] == [message]
    assert findings[0].help.startswith(help)
    assert bool(findings[0].help) == bool(help)


@pytest.mark.parametrize("source", RIGHT)
def test_no_false_alarm(source: str) -> None:
    """What can be right is not called wrong."""
    assert look(source)[1] == []


def test_every_filter_and_function_is_known() -> None:
    """A new one needs a line here, or its result would stay unknown."""
    assert {*SPECIAL, *YIELDS} == {*FILTERS}
    assert {*YIELDED, "object", "min", "max"} == {*FUNCTIONS}


def test_a_finding_stands_at_its_place() -> None:
    """The offsets are those of the name, not of the path."""
    source = "inputs.people | map(p => p.nmae)"
    (found,) = look(source)[1]
    assert source[found.start : found.end] == "nmae"


def test_recorded_events() -> None:
    """What no event had is an error, unless the author expects it to be missing; a near miss always is."""
    body = of_values([{"kind": "a", "user": None, "tags": []}, {"kind": "b", "n": 1}])
    names = Names(roots=(), locals={"event": {"body": body}})
    assert describe(body) == "{kind: string, user: any, tags: any[], n: integer}"
    assert [found.message for found in look("event.body.other", names)[1]] == ["there is no field `other`"]
    assert [found.message for found in look("event.body.knid ?? ''", names)[1]] == ["there is no field `knid`"]
    assert look("event.body.other ?? ''", names)[1] == []
    assert look("event.body.user.name ~ event.body.tags[0].x", names)[1] == []
