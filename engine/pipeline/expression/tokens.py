"""From characters to tokens."""

import re

from engine.pipeline.expression.errors import ExpressionError

MAX_SOURCE = 10_000  # characters of one expression

Token = tuple[str, str, int, int]  # kind, text, start, end; an operator or reserved word is its own kind

TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")
  | (?P<foreign>===|!==|&&|\|\||\*\*|\?\.|=~|\+\+|--(?=\s*[A-Za-z]))
  | (?P<operator>==|!=|<=|>=|=>|\?\?|//|[-+*/%~|<>.,:=()\[\]])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
RESERVED = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "null"})
FOREIGN = {  # what other languages write -> the right spelling
    "&&": "use `and`",
    "||": "use `or`; for a fallback use `??`",
    "!": "use `not`",
    "===": "use `==`",
    "!==": "use `!=`",
    "**": "there is no power operator",
    "?.": "use `.`: a field of null is not there, and `??` catches that",
    "?": "write `a if condition else b`, or `a ?? b` for a fallback",
    "=~": "use `| matches('pattern')`",
    "++": "there is no `++`; use `~` to join text",
    "--": "there is no `--`",
    "{": "build an object with `object(name=value)`",
    "}": "build an object with `object(name=value)`",
    "&": "use `and`",
    "^": "there is no `^`",
    "`": "texts are written 'so' or \"so\"",
    "$": "names are written without `$`",
    "@": "names are written without `@`",
    ";": "one expression yields one value",
    "#": "there are no comments inside expressions",
}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "/": "/", "0": "\0", "b": "\b", "f": "\f"}
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def tokenize(source: str) -> list[Token]:
    """All tokens, closed by one of kind "end"."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            f"an expression may have {MAX_SOURCE} characters, this one has {len(source)}",
            end=len(source),
            help="put long text into a file and use `file('...')`",
        )
    tokens: list[Token] = []
    for match in TOKEN.finditer(source):
        kind = match.lastgroup
        if kind == "space":
            continue
        text, start, end = match[0], match.start(), match.end()
        if kind == "operator" or (kind == "name" and text in RESERVED):
            tokens.append((text, text, start, end))
        elif kind == "name" and source[start - 1 : start].isdigit():
            raise ExpressionError(
                f"`{text}` may not follow a number directly",
                start=start,
                end=end,
                help="a duration is a text here: '5m', or `duration('5m')` for seconds",
            )
        elif kind in ("name", "number", "string"):
            tokens.append((kind, text, start, end))
        else:
            raise _foreign(text, start, end)
    tokens.append(("end", "", len(source), len(source)))
    return tokens


def unquote(token: Token) -> str:
    """The text that a string token means."""
    _, text, start, _ = token
    inner = text[1:-1]
    if "\\" not in inner:
        return inner

    def replace(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if code in ESCAPES:
            return ESCAPES[code]
        raise ExpressionError(
            f"`\\{code}` is not an escape",
            start=start + 1 + match.start(),
            end=start + 1 + match.end(),
            help=r"write `\\` for a backslash; there are \n \t \r \' \" \uXXXX",
        )

    value = ESCAPE.sub(replace, inner)
    try:  # "😀" is one character
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ExpressionError("half of a surrogate pair", start=start, end=start + len(text)) from None


def _foreign(text: str, start: int, end: int) -> ExpressionError:
    if text in ("'", '"'):
        return ExpressionError("this text is not closed", start=start, end=end, help=f"add {text} at its end")
    if text in FOREIGN:
        return ExpressionError(f"`{text}` is not an operator here", start=start, end=end, help=FOREIGN[text])
    shown = text if text.isprintable() else f"U+{ord(text):04X}"
    return ExpressionError(f"`{shown}` cannot stand in an expression", start=start, end=end)
