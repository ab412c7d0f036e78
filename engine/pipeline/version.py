"""What a version of a pipeline is made of: its hash, and the bytes that it can be rebuilt from."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.pipeline.key_order import in_usual_order
from engine.pipeline.spec import Pipeline

LANGUAGE = 1


class Ingredients(msgspec.Struct, frozen=True):
    """What a pipeline is made of besides its own file."""

    files: Mapping[str, str] = {}  # what file() and template() read
    env: set[str] | frozenset[str] = frozenset()  # environment variables that it names
    defaults: Mapping[str, Any] = {}  # the project's defaults that it gets, the weakest first
    called: dict[str, Pipeline] = {}  # the pipelines that it calls


def make_version(data: Any, ingredients: Ingredients) -> str:
    """SHA-256 of what the pipeline means: its parsed YAML in the order of the file, and all its ingredients.

    Comments and formatting do not count, nor does the order of keys where it means nothing. Keys that begin with `x-`
    do count, since anchors in them may be used elsewhere.
    """
    meaning = {
        "language": LANGUAGE,
        "pipeline": in_usual_order(data),
        "files": dict(sorted(ingredients.files.items())),
        "env": sorted(ingredients.env),
    }
    if ingredients.defaults:
        meaning["defaults"] = dict(ingredients.defaults)
    if ingredients.called:
        meaning["called"] = {name: callee.version for name, callee in sorted(ingredients.called.items())}
    return hashlib.sha256(msgspec.json.encode(meaning)).hexdigest()


def make_source(file: str, text: str, ingredients: Ingredients) -> bytes:
    """What is stored as the version. `called` has every pipeline that is reached by calls, side by side."""
    stored: dict[str, Any] = {
        "file": file,
        "yaml": text,
        "files": dict(sorted(ingredients.files.items())),
        "env": sorted(ingredients.env),
    }
    if ingredients.defaults:
        stored["defaults"] = dict(ingredients.defaults)
    reached: dict[str, Any] = {}
    for name, callee in ingredients.called.items():
        inner = msgspec.json.decode(callee.source)
        reached |= inner.pop("called", {})
        reached[name] = inner
    if reached:
        stored["called"] = dict(sorted(reached.items()))
    return msgspec.json.encode(stored)
