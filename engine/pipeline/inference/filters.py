"""What filters and functions yield, and what they can be used on."""

import typing
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from engine.pipeline.expression.nodes import Arguments, Call, Filter, Items, Lambda, Literal, Node
from engine.pipeline.inference.shapes import of_type
from engine.pipeline.inference.types import (
    BOOLEAN,
    INTEGER,
    NEVER,
    NUMBER,
    SECRET,
    STRING,
    Kind,
    Shape,
    Type,
    any_of,
    either,
    field_of,
    item_of,
    kind_of,
    lacks,
    list_of,
    map_of,
    object_of,
    typed,
)

if TYPE_CHECKING:
    from engine.pipeline.inference.infer import Inference

TEXT, LIST, MAP, INT, NUM = (Kind.STRING,), (Kind.ARRAY,), (Kind.OBJECT,), (Kind.INTEGER, Kind.NUMBER), (Kind.NUMBER,)
PIECE = (Kind.STRING, Kind.NUMBER, Kind.BOOLEAN)
SEQUENCE = (Kind.ARRAY, Kind.STRING)
TAINTED = (Kind.STRING, Kind.SECRET)
ON: dict[str, tuple[Kind, ...]] = {  # what a filter can be used on; absent: on anything
    **dict.fromkeys(("lower", "upper", "trim", "replace", "truncate", "startswith", "endswith", "matches"), TEXT),
    **dict.fromkeys(("split", "sha256", "slugify", "from_json"), TEXT),
    **dict.fromkeys(("b64encode", "hmac"), TAINTED),
    **dict.fromkeys(("map", "where", "any", "all", "sort_by", "group_by", "unique", "flatten", "chunk", "zip"), LIST),
    **dict.fromkeys(("sum", "min", "max", "join"), LIST),
    **dict.fromkeys(("first", "last", "reverse"), SEQUENCE),
    **dict.fromkeys(("length", "contains"), (*SEQUENCE, Kind.OBJECT)),
    **dict.fromkeys(("keys", "values", "items", "pick", "omit", "merge"), MAP),
    **dict.fromkeys(("int", "float", "date"), (Kind.STRING, Kind.NUMBER)),
    "round": NUM,
    **dict.fromkeys(("string", "slack_escape", "html_escape"), PIECE),
    "urlencode": (*PIECE, Kind.OBJECT),
}
TAKES: dict[str, tuple[tuple[Kind, ...], ...]] = {  # the arguments of filters and functions, by position
    "replace": (TEXT, TEXT),
    "truncate": (INT, TEXT),
    "round": (INT,),
    "chunk": (INT,),
    "zip": (LIST,),
    "merge": (MAP,),
    "date": (TEXT, TEXT),
    "hmac": (TAINTED, TEXT),
    **dict.fromkeys(("trim", "startswith", "endswith", "matches", "split", "join"), (TEXT,)),
}
WANTED: dict[tuple[Kind, ...], str] = {
    TEXT: "text",
    LIST: "a list",
    MAP: "an object",
    INT: "a whole number",
    NUM: "a number",
    PIECE: "text or a number",
    SEQUENCE: "a list or text",
    TAINTED: "text",
    (*SEQUENCE, Kind.OBJECT): "a list, text or an object",
    (Kind.STRING, Kind.NUMBER): "text or a number",
    (*PIECE, Kind.OBJECT): "text, a number or an object",
}
YIELDS: dict[str, Shape] = {  # filters whose result does not depend on what they are used on
    **dict.fromkeys(("lower", "upper", "trim", "replace", "truncate", "join", "string", "sha256", "slugify"), STRING),
    **dict.fromkeys(("urlencode", "slack_escape", "html_escape", "to_json", "date"), STRING),
    **dict.fromkeys(("startswith", "endswith", "contains", "matches"), BOOLEAN),
    **dict.fromkeys(("length", "int"), INTEGER),
    "float": NUMBER,
    **dict.fromkeys(("split", "keys"), list_of(STRING)),
    "from_json": None,
}
FUNCTIONS: dict[str, Shape] = {
    **dict.fromkeys(("now", "date", "date_add", "uuid", "file", "template"), STRING),
    "duration": NUMBER,
    "range": list_of(INTEGER),
}
ARGUMENTS: dict[str, tuple[tuple[Kind, ...], ...]] = {  # of functions, by position
    "date": ((Kind.STRING, Kind.NUMBER), TEXT, TEXT),
    "date_add": ((Kind.STRING, Kind.NUMBER), (Kind.STRING, Kind.NUMBER)),
    "duration": (TEXT,),
    "range": (INT, INT, INT),
}
REFUSED = "a secret can only be passed on, joined with text, or encoded with `| b64encode`"


def filtered(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    """What the filter makes of such a value; complaints about it and the arguments are noted."""
    name, arguments = stage.name, stage.arguments
    function = inference.filters.get(name)
    if function is not None:
        _look(inference, arguments)
        return _returned(function)
    _need(inference, stage, shape)
    special = FILTERS.get(name)
    if special is not None:
        return special(inference, stage, shape)
    given = _look(inference, arguments)
    _check_arguments(inference, name, arguments, given, TAKES.get(name, ()))
    if name == "contains" and given:
        check_contains(inference, shape, given[0], stage)
    return YIELDS.get(name)


def called(inference: "Inference", node: Call) -> Shape:
    """What the function yields."""
    name, arguments = node.name, node.arguments
    given = _look(inference, arguments, named=name != "object")
    if name == "object":
        return object_of({key: inference.shape(value) for key, value in arguments.named})
    _check_arguments(inference, name, arguments, given, ARGUMENTS.get(name, ()))
    if name in ("min", "max"):
        return any_of(given) if len(given) != 1 else (item_of(given[0]) if given else None)
    return FUNCTIONS.get(name)


def check_contains(inference: "Inference", container: Shape, item: Shape, place: Any) -> None:
    """Complain about looking into something that contains nothing, or for something that cannot be in it."""
    if lacks(container, *SEQUENCE, Kind.OBJECT):
        help = "a list, a text or an object can contain something"
        inference.note("E225", f"cannot look into {kind_of(container)}", place, help)
    elif lacks(container, Kind.ARRAY) and lacks(item, Kind.STRING):
        message = f"cannot look for {kind_of(item)} in {kind_of(container)}"
        inference.note("E225", message, place, "only text can be in it")


def _look(inference: "Inference", arguments: Arguments, *, named: bool = True) -> list[Shape]:
    """The shapes of the arguments by position; the named ones are only looked at."""
    found = [inference.shape(item) for item in arguments.positional]
    for _, item in arguments.named if named else ():
        inference.shape(item)
    return found


def _need(inference: "Inference", stage: Filter, shape: Shape) -> None:
    wanted = ON.get(stage.name)
    if typed(shape) is not None and lacks(shape, *[kind for kind in Kind if kind not in (Kind.SECRET, Kind.NULL)]):
        if stage.name not in ("b64encode", "hmac"):
            inference.note("E307", REFUSED, stage, "it must not be compared, filtered or printed")
        return
    if wanted is None or not lacks(shape, *wanted):
        return
    help = ""
    if wanted == TEXT:
        help = "turn it into text with `| string` or `| to_json`"
    elif wanted == LIST and not lacks(shape, Kind.OBJECT):
        help = "`| items`, `| keys` and `| values` make lists of an object"
    elif wanted == PIECE:
        help = "use `| to_json` or `| join(', ')`"
    message = f"what `{stage.name}` is used on must be {WANTED[wanted]}, this is {kind_of(shape)}"
    inference.note("E225", message, stage, help)


def _check_arguments(
    inference: "Inference", name: str, arguments: Arguments, given: Sequence[Shape], takes: Sequence[tuple[Kind, ...]]
) -> None:
    for node, shape, wanted in zip(arguments.positional, given, takes, strict=False):
        if lacks(shape, *wanted):
            message = f"an argument of `{name}` must be {WANTED[wanted]}, this is {kind_of(shape)}"
            inference.note("E225", message, node)


def _each(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    """What a field name or lambda yields for one item; without an argument: the item."""
    item = item_of(shape)
    by = _by(stage)
    if by is None:
        return item
    if isinstance(by, Lambda):
        return inference.apply(by, item)
    if not (isinstance(by, Literal) and isinstance(by.value, str)):
        inference.shape(by)
        return None
    if inference.watch is not None:
        inference.watch(by, item)
    if lacks(item, Kind.OBJECT):
        message = f"`{stage.name}('{by.value}')` needs objects, an item is {kind_of(item)}"
        inference.note("E225", message, stage)
        return None
    return inference.field(item, by.value, by, "")


def _by(stage: Filter) -> Node | None:
    arguments = [*stage.arguments.positional, *(node for _, node in stage.arguments.named)]
    return arguments[0] if arguments else None


def _map(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    return list_of(_each(inference, stage, shape))


def _where(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    found = _each(inference, stage, shape)
    if (by := _by(stage)) is not None or stage.name != "where":
        inference.need_boolean(found, by or stage, f"what `{stage.name}` asks")
    return list_of(item_of(shape)) if stage.name == "where" else BOOLEAN


def _same_items(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    _each(inference, stage, shape)
    return list_of(item_of(shape))


def _group_by(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    key = _each(inference, stage, shape)
    return list_of(object_of({"key": key, "items": list_of(item_of(shape))}))


def _flatten(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    item = typed(item_of(shape))
    if item is None:
        return list_of(None)
    single = msgspec.structs.replace(item, kinds=item.kinds - {Kind.ARRAY}, item=None)
    return list_of(either(single, item_of(item)) if Kind.ARRAY in item.kinds else item)


def _ends(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    """`first` and `last`."""
    found = typed(shape)
    if found is None:
        return None
    item = found.item if Kind.ARRAY in found.kinds else NEVER
    return either(item, STRING) if Kind.STRING in found.kinds else item


def _reverse(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    found = typed(shape)
    if found is None:
        return None
    return msgspec.structs.replace(found, kinds=found.kinds & {Kind.ARRAY, Kind.STRING}, words=None)


def _chunk(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    given = _look(inference, stage.arguments)
    _check_arguments(inference, "chunk", stage.arguments, given, TAKES["chunk"])
    return list_of(list_of(item_of(shape)))


def _zip(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    given = _look(inference, stage.arguments)
    _check_arguments(inference, "zip", stage.arguments, given, TAKES["zip"])
    return list_of(list_of(either(item_of(shape), item_of(given[0]) if given else None)))


def _sum(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    item = typed(item_of(shape))
    if lacks(item, Kind.NUMBER):
        inference.note("E225", f"`sum` adds numbers, an item is {kind_of(item)}", stage)
    return INTEGER if item is not None and Kind.NUMBER not in item.kinds else NUMBER


def _extreme(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    return item_of(shape)


def _round(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    given = _look(inference, stage.arguments)
    _check_arguments(inference, "round", stage.arguments, given, TAKES["round"])
    return NUMBER if given or stage.arguments.named else INTEGER


def _values(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    return list_of(_any_field(shape))


def _entries(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    return list_of(object_of({"key": STRING, "value": _any_field(shape)}))


def _any_field(shape: Shape) -> Shape:
    found = typed(shape)
    if found is None or Kind.OBJECT not in found.kinds:
        return None
    known = any_of(found.fields.values())
    return known if found.closed else either(known, found.rest)


def _pick(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    names = _names(inference, stage)
    found = typed(shape)
    if found is not None and Kind.OBJECT not in found.kinds:
        return None
    if names is None:
        return map_of(None) if found is None else msgspec.structs.replace(found, kinds=frozenset({Kind.OBJECT}))
    if found is None:
        return object_of({name.value: None for name in names})
    fields: dict[str, Shape] = {}
    for node in names:
        fields[node.value] = inference.field(found, node.value, node, "", guarded=True)
    return Type(frozenset({Kind.OBJECT}), fields=fields, closed=True, partial=found.partial)


def _omit(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    names = _names(inference, stage)
    found = typed(shape)
    if found is None or Kind.OBJECT not in found.kinds:
        return map_of(None)
    if names is None:
        return msgspec.structs.replace(found, kinds=frozenset({Kind.OBJECT}))
    without = {node.value for node in names}
    for node in names:
        inference.field(found, node.value, node, "", guarded=True)
    fields = {name: item for name, item in found.fields.items() if name not in without}
    return msgspec.structs.replace(found, kinds=frozenset({Kind.OBJECT}), fields=fields)


def _names(inference: "Inference", stage: Filter) -> list[Literal] | None:
    """The names that are written out; None if some are computed."""
    found: list[Literal] = []
    for argument in stage.arguments.positional:
        for node in argument.items if isinstance(argument, Items) else (argument,):
            if not (isinstance(node, Literal) and isinstance(node.value, str)):
                _look(inference, stage.arguments)
                return None
            found.append(node)
    return found


def _merge(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    given = _look(inference, stage.arguments)
    _check_arguments(inference, "merge", stage.arguments, given, TAKES["merge"])
    one, two = typed(shape), typed(given[0] if given else None)
    if one is None or two is None or Kind.OBJECT not in one.kinds & two.kinds:
        return map_of(None)
    fields: dict[str, Shape] = {}
    for name in (*one.fields, *two.fields):
        fields[name] = either(field_of(one, name), field_of(two, name))
    rest = any_of(item.rest for item in (one, two) if not item.closed)
    return Type(
        frozenset({Kind.OBJECT}),
        fields=fields,
        closed=one.closed and two.closed,
        rest=rest,
        partial=one.partial or two.partial,
    )


def _tainted(inference: "Inference", stage: Filter, shape: Shape) -> Shape:
    """`b64encode` and `hmac`: of a secret they make a secret."""
    given = [shape, *_look(inference, stage.arguments)]
    _check_arguments(inference, stage.name, stage.arguments, given[1:], TAKES.get(stage.name, ()))
    found = [typed(item) for item in given]
    if any(item is None for item in found):
        return None
    return either(STRING, SECRET) if any(item and Kind.SECRET in item.kinds for item in found) else STRING


@lru_cache(maxsize=256)
def _returned(function: Callable[..., Any]) -> Shape:
    """What a plugin's filter yields, as far as it says."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - annotations can name anything
        return None
    return of_type(hints.get("return", Any))


FILTERS: dict[str, Callable[["Inference", Filter, Shape], Shape]] = {
    "map": _map,
    "where": _where,
    "any": _where,
    "all": _where,
    "sort_by": _same_items,
    "unique": _same_items,
    "group_by": _group_by,
    "flatten": _flatten,
    "first": _ends,
    "last": _ends,
    "reverse": _reverse,
    "chunk": _chunk,
    "zip": _zip,
    "sum": _sum,
    "min": _extreme,
    "max": _extreme,
    "round": _round,
    "values": _values,
    "items": _entries,
    "pick": _pick,
    "omit": _omit,
    "merge": _merge,
    "b64encode": _tainted,
    "hmac": _tainted,
}
