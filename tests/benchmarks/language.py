"""The language: a program of its own, so that one core does nothing else. Prints JSON.

Expressions on a context of 10 kB beside minijinja's eval_expr (which parses each time), checking a pipeline of 300
lines, refusing an alias bomb, and 1,000 cases of `hookwright test`.
"""

import json
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import minijinja

from engine.core.catalog import Catalog
from engine.pipeline.check import check_text
from engine.pipeline.expression import parse_expression
from engine.plugin.host import load_catalog
from engine.simulation.suite import load_suite, run_suite

EXPRESSION = "event.body.pull_request.title | upper"
CASES = 1000


def context() -> dict[str, Any]:
    """A scope of about 10 kB of JSON."""
    commits = [
        {"id": f"{number:040x}", "message": "Fix the thing " * 4, "added": ["a.py", "b.py"]} for number in range(70)
    ]
    return {"event": {"body": {"pull_request": {"title": "Make it faster", "number": 7}, "commits": commits}}}


def rate(function: Callable[[], object], seconds: float) -> float:
    """How often per second; the best of five stretches, since others can only slow it down."""
    best = 0.0
    for _ in range(5):
        count, begin = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds / 5:
            for _ in range(50):
                function()
            count += 50
        best = max(best, count / elapsed)
    return best


def long_pipeline() -> str:
    """About 300 lines of the kind that people write."""
    steps = [
        f"""  - id: step_{number}
    uses: http.request
    if: event.body.count > {number}
    with:
      method: POST
      url: https://example.com/items/${{{{ event.body.items[{number}].id | urlencode }}}}
      json: {{title: "${{{{ event.body.title | truncate(80) }}}}", index: {number}}}
    retry: {{attempts: 3, delay: 2s}}
"""
        for number in range(36)
    ]
    head = "id: long\ntriggers:\n  - uses: webhook\n    with: {path: long, auth: none}\nsteps:\n"
    return head + "".join(steps)


def bomb() -> str:
    """Aliases of aliases: 9 to the power of 9 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(["id: bomb", *lines, "steps: *a9", ""])


SIMULATED = """\
id: simulated
inputs: {n: integer}
steps:
  - {id: first, uses: http.request, with: {url: 'https://x.example/${{ inputs.n }}'}, retry: {attempts: 3, delay: 1m}}
  - id: all
    for_each: ${{ range(3) }}
    steps: [{id: each, uses: http.request, with: {url: 'https://x.example/${{ item }}'}}]
  - {id: hold, wait: {events: [{type: go}], timeout: 13d}}
  - {id: last, uses: http.request, with: {url: https://x.example}}
outputs: {n: '${{ inputs.n }}'}
"""
TESTS = """\
pipeline: simulated
defaults:
  mocks: {http.request: {output: {}}, first: [{error: {type: network}}, {output: {}}]}
  timeline: [{after: 3d, type: go}]
tests:
"""


def simulate(catalog: Catalog) -> float:
    """Seconds for so many tests with retries, loops and waits in them, reading included."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "simulated.yaml").write_text(SIMULATED)
        for file in range(10):
            cases = (
                f"  - {{name: '{n}', inputs: {{n: {n}}}, expect: {{outputs: {{n: {n}}}}}}}\n"
                for n in range(CASES // 10)
            )
            (root / f"{file}.test.yaml").write_text(TESTS + "".join(cases))
        begin = time.perf_counter()
        suite = load_suite(sorted(root.glob("*.test.yaml")), [root / "simulated.yaml"], catalog, root=root)
        passed = [report.passed for report in run_suite(suite)]
        elapsed = time.perf_counter() - begin
    assert len(passed) == CASES
    assert all(passed)
    return elapsed


def milliseconds(function: Callable[[], object], count: int) -> float:
    """The best of so many times."""
    best = float("inf")
    for _ in range(count):
        begin = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - begin)
    return best * 1000


def peak(function: Callable[[], object]) -> float:
    """Megabytes allocated at once."""
    tracemalloc.start()
    function()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size / 1e6


def main() -> None:
    seconds = float(sys.argv[1])
    scope, catalog = context(), load_catalog().catalog
    environment = minijinja.Environment(undefined_behavior="strict")
    expression = parse_expression(EXPRESSION)
    pipeline, wicked = long_pipeline(), bomb()
    assert not check_text(pipeline, catalog).problems[1:], "only the warning about `auth: none`"
    values = {
        "floor.minijinja": rate(lambda: environment.eval_expr(EXPRESSION, **scope), seconds),
        "l.evaluations": rate(lambda: expression.evaluate(scope), seconds),
        "l.parses": rate(lambda: parse_expression(EXPRESSION), seconds),
        "l.check": milliseconds(lambda: check_text(pipeline, catalog), 5),
        "l.bomb": milliseconds(lambda: check_text(wicked, catalog), 5),
        "l.bomb_memory": peak(lambda: check_text(wicked, catalog)),
        "l.tests": simulate(catalog),
        "l.memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    print(json.dumps(values))


if __name__ == "__main__":
    main()
