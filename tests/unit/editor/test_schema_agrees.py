"""The schema and the checker: what the checker accepts in structure, the schema accepts."""

import copy
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from engine.editor.schema import make_schema
from engine.pipeline.check import check_text
from engine.pipeline.loader import load_yaml
from tests.language.catalog import FILES, ROOT, make_catalog

ODD = (None, True, 0, 3, -1, 2.5, "", "x", "30s", "${{ 1 }}", "a ${{ 1 }}", [], ["x"], {}, {"a": 1}, "fail", "none")
NAMES = re.compile(r"W|E20[3-9]|E214")  # codes of what no schema sees: whether the names in expressions exist


def read(path: Path) -> Any:
    return load_yaml(path.read_bytes())[0]


def wrong(validator: Draft202012Validator, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(data)]


def test_whatever_the_checker_accepts() -> None:
    """Values are changed at random: where `check` finds nothing wrong with the structure, nor does the schema."""
    catalog = make_catalog()
    validator = Draft202012Validator(make_schema("pipeline", catalog))
    chance = random.Random(20)
    accepted = 0
    for path in FILES:
        original = read(path)
        places = list(paths_of(original))
        for place in chance.sample(places, min(12, len(places))):
            data = copy.deepcopy(original)
            change(data, place, chance)
            report = check_text(msgspec.json.encode(data).decode(), catalog, root=ROOT, env=ENV)
            if not all(NAMES.match(problem.code) for problem in report.problems):
                continue
            accepted += 1
            assert wrong(validator, data) == [], f"{path.name} {place}"
    assert accepted > 50


ENV = read(ROOT / "project.yaml")["env"]


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree but its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths_of(item, (*path, key))


def change(data: Any, path: tuple[Any, ...], chance: random.Random) -> None:
    """Put something else there, or nothing."""
    for key in path[:-1]:
        data = data[key]
    if chance.random() < 0.3:
        del data[path[-1]]
    else:
        data[path[-1]] = chance.choice(ODD)
