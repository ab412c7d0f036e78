"""One typing error at a time in the example files: the checker finds every one.

One kind of error for each word, chosen by a fixed seed; MUTATIONS=all tries all four kinds for each.
"""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from engine.cli.recorded import read_folder
from engine.pipeline.check import check_files
from tests.language.catalog import FILES, ROOT, make_catalog
from tests.language.typing_errors import KINDS, Spot, Survey, mistype

IDS = frozenset(path.read_text().partition("id: ")[2].split()[0] for path in FILES)
RECORDED = read_folder(ROOT / "events")
THOROUGH = os.environ.get("MUTATIONS") == "all"
LEAST = {  # how many words of each kind the examples have at least: the test must not become empty unnoticed
    "key": 450, "with": 200, "uses": 60, "root": 250, "step": 60, "step field": 60, "variable": 30, "input": 40,
    "filter": 40, "function": 8, "env": 8, "field": 60, "perhaps": 170,
}  # fmt: skip


def spots_of(path: Path) -> list[Spot]:
    return Survey(path, make_catalog(), IDS).survey()


def is_known(path: Path, text: str, spot: Spot) -> bool:
    """Whether the checker knows the fields that there are in this place."""
    return spot.kind != "perhaps" or finds(path, text[: spot.start] + "qqqqzzzz" + text[spot.end :])


def finds(path: Path, text: str) -> bool:
    """Whether the checker has anything to say to this text in the place of the file."""
    report = check_files([path], make_catalog(), root=ROOT, overlay={path: text}, recorded=RECORDED)
    return bool(report.problems)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_typing_error_is_found(path: Path) -> None:
    """In references, filters, functions, keys, `uses` and keys of `with`."""
    text = path.read_text()
    assert not finds(path, text)
    missed = []
    for number, spot in enumerate(spots_of(path)):
        if not is_known(path, text, spot):
            continue
        chance = random.Random(f"{path.name} {number}")
        for kind in KINDS if THOROUGH else [KINDS[chance.randrange(len(KINDS))]]:
            wrong = mistype(spot, kind, chance)
            if wrong is not None and not finds(path, text[: spot.start] + wrong + text[spot.end :]):
                line = text.count("\n", 0, spot.start) + 1
                missed.append(f"{path.name}:{line}: {spot.kind} `{spot.word}` as `{wrong}`")
    assert not missed, "\n".join(missed)


def test_there_is_enough_to_mistype() -> None:
    """The examples have many words of every kind; of many fields of values the type is known."""
    counted: Counter[str] = Counter()
    for path in FILES:
        text = path.read_text()
        counted.update(spot.kind for spot in spots_of(path) if is_known(path, text, spot))
    assert {kind: counted[kind] for kind, least in LEAST.items() if counted[kind] < least} == {}
