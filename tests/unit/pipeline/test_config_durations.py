"""Durations in `with:`."""

from engine.pipeline.check import check_text
from tests.language.catalog import make_catalog

TEXT = """\
id: a
inputs: {value: any}
steps:
  - uses: store.put
    with: {collection: c, key: k, value: "${{ inputs.value }}", ttl: TTL}
"""


def test_a_wrong_duration_beside_an_expression() -> None:
    """It is found although the fields cannot be checked together before the run."""
    (problem,) = check_text(TEXT.replace("TTL", "5 days"), make_catalog()).problems
    assert (problem.code, problem.message) == ("E107", "`ttl` of store.put is not a duration: `5 days`")


def test_right_durations() -> None:
    """A duration, nothing, and an expression are right."""
    for value in ("5d", "null", '"${{ inputs.value }}"'):
        assert check_text(TEXT.replace("TTL", value), make_catalog()).problems == []
