"""The wrong example files earn the messages that the design of the language shows."""

import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.check import check_files, check_text, format_problem
from tests.language.catalog import FILES, ROOT, make_catalog

BAD = ROOT / "bad"
MANY = """
error[E115]: hour cannot be 25
  --> bad/many.yaml:5:16
  |
5 |       cron: '0 25 * * *'
  |                ^^
  = help: hour: 0-23

error[E114]: there is no step type `http.requst`
  --> bad/many.yaml:12:11
   |
12 |     uses: http.requst
   |           ^^^^^^^^^^^
   = help: did you mean `http.request`? `hookwright plugins` lists the installed ones

error[E105]: ai.complete has no input `promt`
  --> bad/many.yaml:20:7
   |
20 |       promt: Rate ${{ steps.notify_team.output.ts }} for ${{ event.body.name }}
   |       ^^^^^
   = help: did you mean `prompt`?

error[E204]: step `notify_team` has not run yet at this point
  --> bad/many.yaml:20:23
   |
20 |       promt: Rate ${{ steps.notify_team.output.ts }} for ${{ event.body.name }}
   |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = help: move this step below it

error[E206]: `event` is not available here: no trigger of this pipeline delivers one; use `inputs`
  --> bad/many.yaml:20:62
   |
20 |       promt: Rate ${{ steps.notify_team.output.ts }} for ${{ event.body.name }}
   |                                                              ^^^^^^^^^^^^^^^

error[E212]: `if:` is an expression already
  --> bad/many.yaml:25:9
   |
25 |     if: ${{ steps.score.output.text }} == 'yes'
   |         ^^^
   = help: remove `${{` and `}}`: mixed with other text it would always be true

error[E304]: `query` of sql.query is code and cannot be assembled from values
  --> bad/many.yaml:28:48
   |
28 |       query: select * from users where name = '${{ inputs.customer }}'
   |                                                ^^^
   = help: pass the value through `params:` and write `:name` in the query

error[E201]: `&&` is not an operator here
  --> bad/many.yaml:30:38
   |
30 |     if: steps.score.output.txt != '' && steps.rows.output.count
   |                                      ^^
   = help: use `and`

warning[W301]: step `rows` may not have run: it has an `if`
  --> bad/many.yaml:34:17
   |
34 |       text: ${{ steps.rows.output.rows }} by ${{ secrets.TOKEN }}
   |                 ^^^^^^^^^^^^^^^^^^^^^^
   = help: add `?? <fallback>`, or test `steps.rows.status == 'succeeded'` first

error[E305]: secrets can only be used inside `with:`
  --> bad/many.yaml:38:28
   |
38 |     idempotency_key: x-${{ secrets.TOKEN }}
   |                            ^^^^^^^^^^^^^
   = help: a secret must not reach conditions, labels, keys, outputs or responses
"""


def problems(*names: str) -> list[str]:
    report = check_files([BAD / name for name in names], make_catalog(), root=ROOT)
    return [format_problem(problem) for problem in report.problems]


@pytest.mark.parametrize("expected", MANY.strip().split("\n\n"))
def test_the_messages_of_the_design(expected: str) -> None:
    """Word for word, with the caret in its place."""
    found = problems("many.yaml")
    assert expected in found, "\n\n".join(found)


def test_everything_else_that_is_wrong_with_many() -> None:
    """Keys of other tools, a wrong id, a bare number, names that do not exist."""
    found = [text.split("\n")[0] for text in problems("many.yaml")]
    for expected in (
        "error[E101]: a pipeline has no key `needs`",
        "error[E109]: `load-user` is not an id",
        "error[E207]: this pipeline has no input `custmer`",
        "error[E101]: a step has no key `retries`",
        "error[E108]: `timeout` needs a unit",
        "error[E114]: there is no pipeline `order-statsu`",
        "error[E101]: a step has no key `needs`",
        "error[E202]: there is no filter `lenght`",
    ):
        assert any(text.startswith(expected) for text in found), expected


def test_steps_that_cannot_be_seen() -> None:
    """From outside of a loop, and from another branch."""
    found = "\n".join(problems("yaml3.yaml"))
    assert "error[E205]: step `inner` cannot be seen from here\n  --> bad/yaml3.yaml:14:15" in found
    assert "help: it is inside of the loop `y`: read the list `steps.y.output`" in found
    assert "error[E205]: step `pa` cannot be seen from here\n  --> bad/yaml3.yaml:23:21" in found
    assert "help: it is in another branch of `parallel`, and branches run side by side" in found


def test_calls_in_a_circle_and_a_step_that_is_never_reached() -> None:
    """In two files that call each other."""
    found = "\n".join(problems("flow.yaml", "pong.yaml"))
    assert "error[E401]: the calls go in a circle: ping -> pong -> ping" in found
    assert "error[E401]: the calls go in a circle: pong -> ping -> pong" in found
    assert "warning[W305]: this step is never reached: the one on line 6 always ends the run" in found


LEAVES: list[Any] = [None, True, 3, 2.5, "", "x", "${{ steps.x }}", "1s", [], {}, [[]], {"steps": [{}]}, [{"if": 1}]]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.randoms(use_true_random=False), st.integers(1, 6))
def test_no_structure_breaks_the_checker(path: Path, chance: random.Random, times: int) -> None:
    """Values replaced, moved and taken out at random: problems with places in the file, never a crash."""
    data = yaml.safe_load(path.read_text())
    for _ in range(times):
        _mutate(data, chance)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    report = check_text(text, make_catalog(), root=ROOT, env=["CRM_URL"], callees=())
    for problem in report.problems:
        assert problem.message
        assert 1 <= problem.line <= text.count("\n") + 1


def _mutate(data: Any, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        found = waiting.pop()
        keys = list(found) if isinstance(found, dict) else range(len(found))
        for key in keys:
            places.append((found, key))
            if isinstance(found[key], dict | list):
                waiting.append(found[key])
    if not places:
        return
    (owner, key), (other, name) = chance.choice(places), chance.choice(places)
    kind = chance.randrange(4)
    if kind == 0:
        owner[key] = yaml.safe_load(yaml.safe_dump(chance.choice(LEAVES)))
    elif kind == 1 and isinstance(owner, dict):
        shapes = [
            "steps",
            "parallel",
            "switch",
            "wait",
            "for_each",
            "on_error",
            "compensate",
            "uses",
            "output",
            "repeat",
        ]
        owner[chance.choice(shapes)] = yaml.safe_load(yaml.safe_dump(other[name]))
    elif kind == 2:
        owner[key] = yaml.safe_load(yaml.safe_dump(other[name]))
    else:
        del owner[key]


def test_a_long_file_is_read_fast() -> None:
    """300 lines in well below 50 ms; the limit leaves room for a busy machine."""
    step = (
        "  - id: s%d\n    uses: http.request\n    if: inputs.n > 1\n    with:\n"
        "      url: https://x.example/${{ inputs.n }}\n      json: {a: '${{ steps.s%d.output ?? 1 }}'}\n"
    )
    steps = "".join(step % (number, number - 1) for number in range(1, 50))
    text = f"id: long\ninputs: {{n: integer}}\nsteps:\n  - {{id: s0, uses: value, with: 1}}\n{steps}"
    assert text.count("\n") > 290
    catalog = make_catalog()
    assert not check_text(text, catalog).problems
    times = []
    for _ in range(5):
        started = time.perf_counter()
        check_text(text, catalog)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.15
