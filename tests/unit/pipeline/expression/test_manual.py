"""The manual names everything there is, and its examples are true."""

import msgspec
import pytest

from engine.pipeline.expression import manual, parse_expression
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS
from engine.pipeline.expression.operators import TESTS

ENTRIES = [*manual.FILTERS, *manual.FUNCTIONS, *manual.TESTS]


@pytest.mark.parametrize(
    ("source", "value"), [pytest.param(*example, id=example[0]) for entry in ENTRIES for example in entry.examples]
)
def test_the_examples_are_true(source: str, value: str) -> None:
    """Evaluated in the scope that goes with them."""
    expression = parse_expression(source, files=manual.EXAMPLE_FILES.__getitem__)
    assert expression.evaluate(manual.EXAMPLE_SCOPE) == msgspec.json.decode(value)


def test_everything_is_in_it() -> None:
    """No filter, function or test without an entry and an example, and none that does not exist."""
    assert {entry.name for entry in manual.FILTERS} == {*FILTERS, "default"}
    assert {entry.name for entry in manual.FUNCTIONS} == set(FUNCTIONS)
    assert {entry.name for entry in manual.TESTS} == set(TESTS)
    assert all(entry.examples for entry in ENTRIES)
    assert len(manual.FILTERS) == len({entry.name for entry in manual.FILTERS})
