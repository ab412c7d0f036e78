"""Filters on text and numbers."""

import base64
import functools
import hashlib
import html
import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode

import re2

from engine.pipeline.expression.arguments import need_integer, need_list, need_text
from engine.pipeline.expression.errors import Complaint
from engine.pipeline.expression.secret import ALGORITHMS, Secret, sign
from engine.pipeline.expression.signature import Builtin, table
from engine.pipeline.expression.values import Frame, contains, is_number, kind, number, text_of

MAX_PATTERN = 1_000  # characters of a regular expression
INTEGER = re.compile(r"\s*[-+]?[0-9]{1,20}\s*")
NUMBER = re.compile(r"\s*[-+]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][-+]?[0-9]{1,3})?\s*")
SEPARATORS = re.compile(r"[^a-z0-9]+")


def lower(frame: Frame, value: Any) -> str:
    return frame.text(need_text(value, "what `lower` is used on").lower())


def upper(frame: Frame, value: Any) -> str:
    return frame.text(need_text(value, "what `upper` is used on").upper())


def trim(frame: Frame, value: Any, characters: Any = None) -> str:
    text = need_text(value, "what `trim` is used on")
    return frame.text(text.strip(None if characters is None else need_text(characters, "the argument of `trim`")))


def replace(frame: Frame, value: Any, old: Any, new: Any) -> str:
    text = need_text(value, "what `replace` is used on")
    old, new = need_text(old, "the first argument of `replace`"), need_text(new, "the second argument of `replace`")
    if not old:
        raise Complaint("the first argument of `replace` is empty")
    frame.charge(1 + (len(text) + text.count(old) * max(len(new) - len(old), 0)) // 16)
    return frame.text(text.replace(old, new))


def truncate(frame: Frame, value: Any, length: Any, end: Any = "…") -> str:
    text = need_text(value, "what `truncate` is used on")
    limit, end = need_integer(length, "the length"), need_text(end, "the end")
    if limit < 0:
        raise Complaint("the length of `truncate` is negative")
    if len(text) <= limit:
        return text
    return frame.text((text[: max(limit - len(end), 0)] + end)[:limit])


def startswith(frame: Frame, value: Any, start: Any) -> bool:
    return need_text(value, "what `startswith` is used on").startswith(need_text(start, "the argument of `startswith`"))


def endswith(frame: Frame, value: Any, end: Any) -> bool:
    return need_text(value, "what `endswith` is used on").endswith(need_text(end, "the argument of `endswith`"))


def contains_(frame: Frame, value: Any, part: Any) -> bool:
    return contains(value, part, frame)


def matches(frame: Frame, value: Any, pattern: Any) -> bool:
    text = need_text(value, "what `matches` is used on")
    compiled = compile_pattern(need_text(pattern, "the pattern"))
    frame.charge(1 + len(text) // 16)
    return compiled.search(text) is not None


def compile_pattern(pattern: str) -> Any:
    """An RE2 pattern: linear in the text, no look-around, no back-references."""
    if len(pattern) > MAX_PATTERN:
        raise Complaint(f"a pattern may have {MAX_PATTERN} characters", code="E229")
    return _compile_pattern(pattern)


@functools.lru_cache(maxsize=512)
def _compile_pattern(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        hint = (
            "RE2 has no look-around and no back-references" if "perl operator" in detail or "escape" in detail else ""
        )
        raise Complaint(f"this is not a pattern: {detail}", hint, "E229") from None


def split(frame: Frame, value: Any, separator: Any = None) -> list[str]:
    text = need_text(value, "what `split` is used on")
    if separator is not None and not need_text(separator, "the separator"):
        raise Complaint("the separator of `split` is empty", "leave it out to split at white space")
    frame.charge(1 + len(text) // 16 + (text.count(separator) if separator else len(text) // 2))
    return text.split(separator)


def join(frame: Frame, value: Any, separator: Any = "") -> str:
    separator = need_text(separator, "the separator of `join`")
    texts = [text_of(item) for item in need_list(value, "what `join` is used on")]
    frame.charge(len(texts) + (len(separator) * len(texts) + sum(map(len, texts))) // 16)
    return frame.text(separator.join(texts))


def string(frame: Frame, value: Any) -> str:
    return text_of(value)


def int_(frame: Frame, value: Any) -> int:
    if isinstance(value, str):
        if not INTEGER.fullmatch(value):
            raise Complaint(f"`{value[:40]}` is not a whole number", code="E225")
        return int(number(int(value)))
    if not is_number(value):
        raise Complaint(f"`int` takes text or a number, this is {kind(value)}", code="E225")
    return int(number(int(value)))


def float_(frame: Frame, value: Any) -> float:
    if isinstance(value, str):
        if not NUMBER.fullmatch(value):
            raise Complaint(f"`{value[:40]}` is not a number", code="E225")
        return float(number(float(value)))
    if not is_number(value):
        raise Complaint(f"`float` takes text or a number, this is {kind(value)}", code="E225")
    return float(value)


def round_(frame: Frame, value: Any, digits: Any = 0) -> int | float:
    if not is_number(value):
        raise Complaint(f"`round` takes a number, this is {kind(value)}", code="E225")
    places = need_integer(digits, "the digits of `round`")
    if not 0 <= places <= 15:
        raise Complaint("the digits of `round` are 0 to 15")
    if isinstance(value, int):
        return value
    if places == 0:
        exact = Decimal(repr(value)).to_integral_value(ROUND_HALF_UP)
        return int(number(int(exact)))
    try:
        return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))
    except InvalidOperation:  # so large that it has no digits after the point
        return float(value)


def b64encode(frame: Frame, value: Any) -> str | Secret:
    if isinstance(value, Secret):
        return value.encoded()
    return frame.text(base64.b64encode(_bytes(value, "what `b64encode` is used on")).decode())


def sha256(frame: Frame, value: Any) -> str:
    data = _bytes(value, "what `sha256` is used on")
    frame.charge(1 + len(data) // 16)
    return hashlib.sha256(data).hexdigest()


def hmac(frame: Frame, value: Any, key: Any, algorithm: Any = "sha256") -> str | Secret:
    """The HMAC in hexadecimal, of text under a key that is text."""
    if algorithm not in ALGORITHMS:
        raise Complaint(f"`hmac` knows no such algorithm; there are: {', '.join(ALGORITHMS)}")
    text = value if isinstance(value, Secret) else need_text(value, "what `hmac` is used on")
    secret = key if isinstance(key, Secret) else need_text(key, "the key of `hmac`")
    if isinstance(text, Secret) or isinstance(secret, Secret):
        return Secret.signed(text, secret, algorithm)
    frame.charge(1 + len(text) // 16)
    return sign(text, secret, algorithm)


def urlencode_(frame: Frame, value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = [
            (key, text_of(item))
            for key, items in value.items()
            for item in (items if isinstance(items, list | tuple) else [items])
        ]
        frame.charge(len(pairs))
        return frame.text(urlencode(pairs, quote_via=quote, safe="", errors="replace"))
    return frame.text(quote(text_of(value), safe="", errors="replace"))


def slugify(frame: Frame, value: Any) -> str:
    text = unicodedata.normalize("NFKD", frame.text(need_text(value, "what `slugify` is used on")))
    text = text.replace("ß", "ss").encode("ascii", "ignore").decode().lower()
    return SEPARATORS.sub("-", text).strip("-")


def slack_escape(frame: Frame, value: Any) -> str:
    text = text_of(value)
    return frame.text(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def html_escape(frame: Frame, value: Any) -> str:
    return frame.text(html.escape(text_of(value)))


def _bytes(value: Any, what: str) -> bytes:
    return need_text(value, what).encode("utf-8", "surrogatepass")


FILTERS = table(
    lower,
    upper,
    trim,
    replace,
    truncate,
    startswith,
    endswith,
    contains_,
    matches,
    split,
    join,
    string,
    int_,
    float_,
    round_,
    sha256,
    urlencode_,
    slugify,
    slack_escape,
    html_escape,
    Builtin(b64encode, secrets=True),
    Builtin(hmac, secrets=True),
)
