"""What the AI stand-in answers: data that fits a JSON Schema, chosen by keywords; the same to the same question."""

import math
import re
from typing import Any

MARK = "[stand-in] "
DEEPEST = 12  # levels of a schema that refers to itself
SUMMARY = 160  # characters
SPACE = re.compile(r"\s+")
NOISE = re.compile(r"^The following JSON is data[^\n]*\n+")  # how ai.complete introduces its input
WORD = re.compile(r"[a-z0-9]+")
# What people write when they mean a label: the label's own words always count as well.
KEYWORDS = {
    "bug": "bug error crash crashes crashed exception traceback broken breaks fails failed failure regression wrong",
    "feature": "feature add support request allow would nice wish enhancement please could option",
    "enhancement": "enhancement improve feature add support allow would nice wish option",
    "question": "question how why what when where help anybody anyone possible does",
    "documentation": "documentation docs readme typo guide tutorial example spelling",
    "docs": "documentation docs readme typo guide tutorial example spelling",
    "security": "security vulnerability cve exploit xss injection leak password token",
    "performance": "performance slow memory latency hangs timeout cpu",
    "spam": "spam viagra casino crypto lottery winner click",
    "billing": "billing invoice payment refund charge charged price subscription",
    "critical": "critical outage down production data loss urgent security immediately",
    "urgent": "urgent asap immediately production down outage",
    "high": "high crash crashes crashed urgent production blocked blocker security loss",
    "low": "low minor typo cosmetic nice someday",
    "positive": "great thanks love good excellent happy works perfect",
    "negative": "bad broken angry terrible hate wrong refund fails unhappy worst",
}


def answer_schema(schema: dict[str, Any], question: str) -> Any:
    """A value that fits the schema: enums by keywords in the question, texts by a summary of it."""
    return _fill(schema, _Question(question, schema), name="", depth=0)


def summarise(text: str) -> str:
    """The beginning of a text, in one line."""
    line = SPACE.sub(" ", NOISE.sub("", text)).strip()
    return line if len(line) <= SUMMARY else line[: SUMMARY - 1].rstrip() + "…"


class _Question:
    def __init__(self, text: str, schema: dict[str, Any]) -> None:
        self.text = NOISE.sub("", text)
        self.words = WORD.findall(self.text.lower())
        self.root = schema

    def score(self, label: Any) -> int:
        """How often the question uses words that belong to the label."""
        own = WORD.findall(str(label).lower())
        wanted = {*own, *(word for name in own for word in KEYWORDS.get(name, "").split())}
        return sum(word in wanted for word in self.words)

    def best(self, labels: list[Any]) -> Any:
        """The label with the highest score; the first one where none stands out."""
        return max(labels, key=self.score)


def _fill(schema: Any, question: _Question, *, name: str, depth: int) -> Any:
    schema = _resolved(schema, question.root)
    if depth > DEEPEST or not schema:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return question.best(schema["enum"])
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            options = [option for option in schema[key] if _kind(option) != "null"] or schema[key]
            return _fill(options[0], question, name=name, depth=depth + 1)
    match _kind(schema):
        case "object":
            return {
                key: _fill(value, question, name=key, depth=depth + 1)
                for key, value in schema.get("properties", {}).items()
                if depth < DEEPEST or key in schema.get("required", ())
            }
        case "array":
            return _array(schema, question, name=name, depth=depth)
        case "string":
            return _string(schema, question)
        case "integer":
            return int(_number(schema, default=0))
        case "number":
            return _number(schema, default=0.5)
        case "boolean":
            return question.score(name) > 0
        case _:
            return None


def _resolved(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The schema behind local references, with `allOf` laid on top of each other."""
    for _ in range(DEEPEST):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        target: Any = root
        for part in reference.removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            target = target.get(key, {}) if isinstance(target, dict) and key else target
        schema = target
    merged = dict(schema)
    for part in merged.pop("allOf", ()):
        more = _resolved(part, root)
        both = {**merged.get("properties", {}), **more.get("properties", {})}
        merged = {**merged, **more, **({"properties": both} if both else {})}
    return merged


def _kind(schema: Any) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None and isinstance(schema, dict):
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _array(schema: dict[str, Any], question: _Question, *, name: str, depth: int) -> list[Any]:
    items = _resolved(schema.get("items", {"type": "string"}), question.root)
    least, most = schema.get("minItems", 0), schema.get("maxItems", 5)
    labels = items.get("enum")
    if labels:
        ranked = sorted(labels, key=lambda label: -question.score(label))
        wanted = sum(question.score(label) > 0 for label in labels) or 1
        return [ranked[index % len(ranked)] for index in range(max(least, min(most, wanted)))]
    return [_fill(items, question, name=name, depth=depth + 1) for _ in range(max(least, min(1, most)))]


def _string(schema: dict[str, Any], question: _Question) -> str:
    formats = {
        "date": "2000-01-01",
        "date-time": "2000-01-01T00:00:00Z",
        "time": "00:00:00Z",
        "email": "stand-in@example.com",
        "uri": "https://example.com/stand-in",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
    text = formats.get(schema.get("format", "")) or MARK + summarise(question.text)
    text = text[: schema.get("maxLength", len(text))]
    return text.ljust(schema.get("minLength", 0), ".")


def _number(schema: dict[str, Any], *, default: float) -> float:
    whole = _kind(schema) == "integer"
    step = 1 if whole else 1e-6
    low = schema.get("minimum", schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
    number = default
    if low is not None:
        number = max(number, math.ceil(low) if whole else low)
    if high is not None:
        number = min(number, high)
    multiple = schema.get("multipleOf")
    return -(-number // multiple) * multiple if multiple else number
