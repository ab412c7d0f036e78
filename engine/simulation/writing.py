"""Plain data as YAML that people like to read: short things on one line, long ones below each other."""

import re
from typing import Any

import msgspec

from engine.pipeline.loader import YamlError, load_yaml

PLAIN = re.compile(r"[A-Za-z0-9_/]([A-Za-z0-9_./@+ -]*[A-Za-z0-9_./@+-])?")
WIDTH = 100  # characters of a line


def write(value: dict[str, Any]) -> str:
    """A YAML document that reads back as the same value."""
    return "\n".join(_block(value, 0)) + "\n"


def flow(value: Any) -> str:
    """The value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(str(key))}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return text(value)
    return msgspec.json.encode(value).decode()


def text(value: str) -> str:
    """Plain if that reads back as the same text, else in quotes."""
    if PLAIN.fullmatch(value) and _reads_back(value):
        return value
    if "'" not in value and value.isprintable():
        return f"'{value}'"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _reads_back(value: str) -> bool:
    try:
        return bool(load_yaml(f"[{value}]")[0] == [value] and load_yaml(f"{value}: 1")[0] == {value: 1})
    except YamlError:
        return False


def _block(value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines += _entry(f"{indent}{text(str(key))}:", item, depth)
        return lines
    for item in value:
        inner = _block(item, depth + 1) if isinstance(item, dict | list) and item else [f"{indent}  {flow(item)}"]
        lines += [f"{indent}- {inner[0].lstrip()}", *inner[1:]]
    return lines


def _entry(head: str, value: Any, depth: int) -> list[str]:
    short = f"{head} {flow(value)}"
    nested = isinstance(value, dict | list) and value
    if not nested or (len(short) <= WIDTH and depth > 0):
        return [short]
    return [head, *_block(value, depth + 1)]
