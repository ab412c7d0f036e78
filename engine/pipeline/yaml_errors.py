"""What is wrong with a text that libyaml cannot read, in words for people: where, why, and what to write instead."""

import re
from collections.abc import Iterator

import msgspec
import yaml

WINDOW = 300  # characters on each side of the error that are looked at: lines may be a megabyte long

CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
FLOW = re.compile(r"[\[{][^'\"#\[{]*(?P<expression>\$\{\{)")
CURLY = re.compile(r"(?:^|[:,\[-])\s+(?P<open>\{\{|\{%)")
OPEN = re.compile(r"\$\{\{(?:(?!\}\}).)*$")
QUOTED = re.compile(r"""(?:^|[\s\[{,:-])('(?:[^']|'')*'|"(?:[^"\\]|\\.)*")\s*$""")
DEEPER = re.compile(r"^\s*(?:- +)?[\w.-]+\s*$")

QUOTES_IN_FLOW = 'inside `[...]` and `{...}` an expression needs quotes: "${{ ... }}"'
QUOTE_WHOLE = "put the whole value in quotes"
SPACES = "use spaces: YAML does not allow tabs for indentation"
DOLLAR = "write expressions as `${{ ... }}`"
ALIGN = "keys of one map begin in the same column, and so do the `-` of one list"


class Fault(msgspec.Struct, frozen=True):
    """What is wrong. Offsets are characters in the source."""

    message: str
    start: int
    end: int
    help: str = ""


class _Scene(msgspec.Struct, frozen=True):
    """The error as libyaml tells it, and the text around it."""

    source: str
    problem: str
    context: str
    index: int  # where libyaml stopped
    begun: int  # where what it was reading began
    before: str  # the line up to the error
    rest: str  # the line from the error on

    @property
    def line(self) -> str:
        return self.before + self.rest

    def fault(self, message: str, help: str = "", *, start: int = -1, length: int = 1) -> Fault:
        start = self.index if start < 0 else start
        return Fault(message, start, start + length, help)


def explain_syntax(source: str, error: yaml.MarkedYAMLError) -> Fault:
    """The fault behind a syntax error of libyaml."""
    scene = _look(source, error)
    for found in _faults(scene):
        return found
    words = f"{scene.problem} {scene.context}".strip().replace("\t", "a tab")
    return scene.fault(f"this is not YAML: {words}")


def _look(source: str, error: yaml.MarkedYAMLError) -> _Scene:
    index = min(_index(error.problem_mark, _index(error.context_mark, 0)), len(source))
    start = max(source.rfind("\n", 0, index) + 1, index - WINDOW)
    end = source.find("\n", index)
    end = min(len(source) if end < 0 else end, index + WINDOW)
    return _Scene(
        source=source,
        problem=error.problem or "",
        context=str(error.context or ""),
        index=index,
        begun=_index(error.context_mark, index),
        before=source[start:index],
        rest=source[index:end].rstrip("\r"),
    )


def _index(mark: object, otherwise: int) -> int:
    return int(getattr(mark, "index", otherwise))


def _faults(scene: _Scene) -> Iterator[Fault]:
    """Explanations that fit, the best first."""
    conflict = CONFLICT.search(scene.source)
    if conflict is not None:
        help = "keep one of the two sides, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`"
        length = max(len(conflict[0].strip()), 1)
        yield scene.fault("a merge conflict is left in the file", help, start=conflict.start(), length=length)
    indent = scene.line[: len(scene.line) - len(scene.line.lstrip())]
    if "\t" in indent or "tab" in scene.problem or "'\\t'" in scene.problem:
        place = scene.index - len(scene.before) + max(indent.find("\t"), 0)
        yield scene.fault("a tab stands in the indentation", SPACES, start=place)
    yield from _expressions(scene)
    yield from _quotes(scene)
    yield from _brackets(scene)
    yield from _signs(scene)
    yield from _lines(scene)


def _expressions(scene: _Scene) -> Iterator[Fault]:
    """Expressions that YAML reads as something of its own."""
    first = scene.index - len(scene.before)
    begun = max(scene.begun, scene.index - WINDOW)
    flow = FLOW.search(scene.source[begun : scene.index] + scene.rest) if "flow" in scene.context else None
    if flow is not None:
        start = begun + flow.start("expression")
        yield scene.fault(
            "an expression without quotes inside `[...]` or `{...}`", QUOTES_IN_FLOW, start=start, length=3
        )
    curly = CURLY.search(scene.line)
    if curly is not None:
        message = f"a value that begins with `{curly['open']}` is not a text"
        yield scene.fault(message, DOLLAR, start=first + curly.start("open"), length=2)
    inside = OPEN.search(scene.before)
    if inside is not None and "mapping values" in scene.problem:
        help = QUOTE_WHOLE
        if "?" in inside[0]:
            help = "write `a if condition else b`"
        elif "{" in inside[0][3:]:
            help = "write `object(name=value)`; there are no `{...}` in expressions"
        yield scene.fault("`: ` ends an unquoted value, inside an expression as well", help)


def _quotes(scene: _Scene) -> Iterator[Fault]:
    """Texts in quotes that end too early, or never."""
    if "end of stream" in scene.problem and "quoted" in scene.context:
        help = "in double quotes write `\\\"`, in single quotes write `''`, for a quote inside"
        yield scene.fault("this text is not closed", help, start=scene.begun)
    if "unknown escape" in scene.problem or "hexdecimal" in scene.problem:
        mark = scene.line.rfind("\\", 0, len(scene.before) + 2)
        start = scene.index - len(scene.before) + mark if mark >= 0 else scene.index
        shown = scene.source[start : start + 2]
        help = "write `\\\\`, or use single quotes: in them `\\` is an ordinary character"
        yield scene.fault(f"`{shown}` is not an escape that YAML has", help, start=start, length=2)
    closed = QUOTED.search(scene.before)
    if closed is not None and scene.rest.strip() and "expected" in scene.problem and "flow" not in scene.context:
        quote = closed[1][0]
        if scene.before.endswith(quote) and re.match(r"\w", scene.rest):
            help = "write `''` for a `'` inside single quotes" if quote == "'" else 'write `\\"` for a `"` inside'
        else:
            other = "double" if quote == "'" else "single"
            help = f"put the whole value in {other} quotes"
        yield scene.fault("something follows a text in quotes", help, length=len(scene.rest.strip()))


def _brackets(scene: _Scene) -> Iterator[Fault]:
    """Lists and maps in brackets."""
    for kind, opening, closing in (("flow sequence", "[", "]"), ("flow mapping", "{", "}")):
        if kind in scene.context and "did not find expected" in scene.problem:
            if scene.index >= len(scene.source.rstrip()) or "\n" in scene.source[scene.begun : scene.index]:
                yield scene.fault(f"this `{opening}` is not closed", f"`{closing}` ends it", start=scene.begun)
            yield scene.fault(f"a `,` or `{closing}` is missing here", "a text with `,` or a bracket needs quotes")
    if scene.rest[:1] in ("]", "}") and scene.rest:
        yield scene.fault(f"`{scene.rest[0]}` closes nothing", "a text that begins with a bracket needs quotes")
    follows = re.search(r"[\]}]\s*$", scene.before)
    if follows is not None and "block mapping" in scene.context and scene.rest.strip():
        message = "something follows a list or map in brackets"
        yield scene.fault(message, QUOTE_WHOLE, length=len(scene.rest.strip()))


def _signs(scene: _Scene) -> Iterator[Fault]:
    """Characters that mean something to YAML at the beginning of a value."""
    if "alias" in scene.context:
        yield scene.fault(
            "`*` is followed by the name of an anchor", "a value that begins with `*` needs quotes", start=scene.begun
        )
    if "anchor" in scene.context:
        yield scene.fault(
            "`&` is followed by the name of an anchor", "a value that begins with `&` needs quotes", start=scene.begun
        )
    if "tag" in scene.context and "directive" not in scene.context:
        yield scene.fault(
            "`!` begins a tag, and there are none here", "a value that begins with `!` needs quotes", start=scene.begun
        )
    if "block scalar" in scene.context and "comment or line break" in scene.problem:
        message = "nothing may follow `|` or `>` on its line"
        yield scene.fault(message, "the text begins on the next line, indented; otherwise put it in quotes")
    if "cannot start any token" in scene.problem and scene.rest:
        yield scene.fault(f"a value cannot begin with `{scene.rest[0]}`", "put the value in quotes")
    if "block sequence entries" in scene.problem:
        yield scene.fault("a list begins on a line of its own", "or put the value in quotes if it is a text")
    if "mapping keys are not allowed" in scene.problem or (scene.rest[:1] == "," and "node content" in scene.problem):
        yield scene.fault(f"a value cannot begin with `{scene.rest[:1]}`", "put the value in quotes")


def _lines(scene: _Scene) -> Iterator[Fault]:
    """Keys and indentation."""
    if "mapping values" in scene.problem:
        indent = len(scene.before) - len(scene.before.lstrip())
        if DEEPER.match(scene.before) and (indent or scene.index > len(scene.before)):
            message = "this key cannot stand here: the value above it has begun already"
            start = scene.index - len(scene.before.lstrip())
            yield scene.fault(message, ALIGN, start=start, length=len(scene.before.lstrip()))
        yield scene.fault("`: ` ends an unquoted value", QUOTE_WHOLE)
    if "could not find expected ':'" in scene.problem:
        end = scene.source.find("\n", scene.begun)
        length = max(min(end if end >= 0 else len(scene.source), scene.begun + WINDOW) - scene.begun, 1)
        yield scene.fault(
            "this line is no `key: value`",
            "a `:` is missing, or the line is indented wrongly",
            start=scene.begun,
            length=length,
        )
    if "block mapping" in scene.context or "block collection" in scene.context:
        length = max(len(scene.rest.strip()), 1)
        yield scene.fault(
            "this line does not fit to those above it", f"is the indentation right? {ALIGN}", length=length
        )
    if "<document start>" in scene.problem:
        yield scene.fault("a file has one document, and it has ended above", "remove the `...`")
