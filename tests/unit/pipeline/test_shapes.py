"""The shapes of steps: what is read, and what is wrong with one."""

import pytest

from engine.pipeline.check import Report, check_text, format_problem
from engine.pipeline.project import Project
from engine.pipeline.spec import ForEach, Pipeline
from tests.language.catalog import make_catalog

HEAD = "id: a\ninputs: {n: integer, names: 'string[]', kind: string}\nsteps:\n"  # three lines
FULL = """
id: shapes
inputs: {names: 'string[]', order: string}
steps:
  - id: group
    timeout: 1m
    steps:
      - uses: value
        with: 1
      - id: last
        uses: value
        with: {a: 1}
  - parallel:
      one:
        - id: left
          uses: value
          with: {a: 1}
      two-b:
        - uses: value
          with: 2
  - switch:
      - if: inputs.order == 'x'
        steps:
          - id: taken
            uses: value
            with: 1
      - else:
          - uses: value
            with: 2
  - id: each
    for_each:
      items: ${{ inputs.names }}
      as: name
      key: ${{ name }}
      concurrency: 4
      on_item_error: continue
      max_errors: 20%
    steps:
      - id: inner
        uses: value
        with: {name: "${{ name }}", at: "${{ index }}"}
      - uses: value
        with: ${{ steps.inner.output.at }}
    output: {last: "${{ result }}", name: "${{ name ~ steps.inner.output.at }}"}
  - uses: http.request
    id: poll
    with: {url: https://x.example}
    repeat: {until: result.status == 200, every: 30s, max: 5, max_elapsed: 1h}
    sensitive: [body]
    queue: default
    concurrency: {limit: 2}
    rate_limit: {limit: 10, period: 1s}
    on_error:
      - uses: value
        with: ${{ error.message }}
    compensate:
      - uses: value
        with: ${{ steps.poll.output.status }}
  - wait: 30m
  - id: review
    wait:
      approval:
        prompt: Really ${{ inputs.order }}?
        approvers: [group:finance]
        exclude: ${{ [inputs.order] }}
        form: {note: {type: string, default: ''}}
        notify:
          - uses: value
            with: ${{ approval.approve_url }}
      timeout: 3d
      on_reject: continue
  - id: paid
    wait:
      events: [{source: stripe, type: invoice.*, if: incoming.body.id == inputs.order}]
      timeout: ${{ inputs.order }}
      since: now
outputs:
  group: ${{ steps.group.output.a }}
  left: ${{ steps.left.output.a }}
  each: ${{ steps.each.output | map(o => o.name) }}
  failed: ${{ steps.each.errors | length }}
  by: ${{ steps.review.output.by }}
  event: ${{ steps.paid.output.event.type }}
"""


def check(text: str) -> Report:
    return check_text(text, make_catalog(), callees=(), project=Project(queues=frozenset({"default"})))


def read(text: str) -> Pipeline:
    report = check(text)
    assert not report.problems, "\n".join(map(format_problem, report.problems))
    (pipeline,) = report.pipelines
    assert isinstance(pipeline, Pipeline)
    return pipeline


def test_every_shape_is_read() -> None:
    """Into the structs that the engine works with, under the keys that attempts are stored with."""
    group, parallel, switch, each, poll, pause, review, paid = read(FULL).steps
    assert [step.shape for step in (group, parallel, switch, each, poll, pause)] == [
        *("group", "parallel", "switch", "group", "action", "wait"),
    ]
    assert (group.timeout, [step.key for step in group.steps]) == (60, ["group.steps[0]", "last"])
    assert {name: [step.key for step in steps] for name, steps in parallel.branches.items()} == {
        "one": ["left"],
        "two-b": ["steps[1].parallel.two-b[0]"],
    }
    first, otherwise = switch.cases
    assert first.condition is not None
    assert first.condition.condition({"inputs": {"order": "x"}})
    assert otherwise.condition is None
    assert [step.key for step in (*first.steps, *otherwise.steps)] == ["taken", "steps[2].switch[1].else[0]"]
    assert each.for_each is not None
    assert (each.for_each.name, each.for_each.concurrency, each.for_each.on_item_error) == ("name", 4, "continue")
    assert (each.for_each.max_errors, each.for_each.max_errors_percent) == (None, 20)
    assert each.for_each.key is not None
    assert each.for_each.key.render({"name": "x"}) == "x"
    assert [step.key for step in each.steps] == ["inner", "each.steps[1]"]
    assert poll.repeat is not None
    assert (poll.repeat.every, poll.repeat.max, poll.repeat.max_elapsed) == (30, 5, 3600)
    assert poll.repeat.until.condition({"result": {"status": 200}})
    assert poll.sensitive == ("body",)
    assert poll.concurrency is not None
    assert poll.concurrency.limit == 2
    assert poll.rate_limit is not None
    assert poll.rate_limit.period == 1
    assert [step.key for step in (*poll.on_error.steps, *poll.compensate)] == ["poll.on_error[0]", "poll.compensate[0]"]
    assert pause.wait is not None
    assert pause.wait.for_ is not None
    assert (pause.key, pause.name, pause.wait.for_.render({})) == ("steps[5]", "steps[5]", "30m")
    assert review.wait is not None
    assert review.wait.approval is not None
    assert [step.key for step in review.wait.approval.notify] == ["review.notify[0]"]
    assert (review.wait.on_timeout, review.wait.on_reject) == ("fail", "continue")
    assert list(review.wait.approval.form) == ["note"]
    assert paid.wait is not None
    assert (paid.wait.since, paid.wait.events[0].type) == ("now", "invoice.*")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${{ inputs.names }}", ForEach),
        ("[1, 2]", ForEach),
        ("['a ${{ inputs.n }}']", ForEach),
        ("{items: [1], max_errors: 3, on_item_error: continue}", ForEach),
    ],
)
def test_lists_to_repeat_for(value: str, expected: type) -> None:
    """A list, an expression, or a map with `items`."""
    (step,) = read(f"{HEAD}  - for_each: {value}\n    uses: value\n    with: ${{{{ item }}}}").steps
    assert isinstance(step.for_each, expected)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # one shape
        ("- name: x", "4:5 E104 a step needs `uses`"),
        ("- {uses: value, steps: []}", "4:19 E141 a step has one shape: `uses` and `steps` exclude each other"),
        ("- {wait: 1s, parallel: {a: [{uses: value}]}}", "4:16 E141 a step has one shape: `wait` and `parallel`"),
        # keys that do not go with it
        ("- {steps: [{uses: value}], retry: 3}", "4:30 E142 `retry` does not go with `steps`"),
        ("- {steps: [{uses: value}], with: {}}", "4:30 E142 `with` does not go with `steps`"),
        ("- {wait: 1s, timeout: 1s}", "4:16 E142 `timeout` does not go with `wait`"),
        ("- {wait: 1s, for_each: [1]}", "4:16 E142 `for_each` does not go with `wait`"),
        ("- {parallel: {a: [{uses: value}]}, output: 1}", "4:38 E142 `output` does not go with `parallel`"),
        ("- {switch: [{if: 'inputs.n > 1', steps: [{uses: value}]}], cache: 1d}", "4:62 E142 `cache` does not go"),
        ("- {wait: 1s, on_unknown: ask}", "4:16 E142 `on_unknown` does not go with `wait`"),
        ("- {uses: value, on_unknown: ask}", "4:19 E142 `on_unknown` does not go with `value`, which is pure"),
        ("- {uses: mail.send, on_unknown: perhaps}", "4:35 E111 `perhaps` is not possible"),
        # nothing in it
        ("- steps: []", "4:5 E104 `steps` has no steps"),
        ("- parallel: {}", "4:15 E104 `parallel` has no branches"),
        ("- parallel: {a: []}", "4:16 E104 `a` has no steps"),
        ("- switch: []", "4:13 E104 `switch` has no branches"),
        ("- {uses: value, on_error: []}", "4:19 E104 `on_error` has no steps"),
        ("- {uses: value, compensate: []}", "4:19 E104 `compensate` has no steps"),
        ("- parallel: [a]", "4:15 E103 `parallel` must be a map from names of branches to steps, this is a list"),
        ("- parallel: {a: {uses: value}}", "4:19 E103 `a` must be a list, this is a map"),
        ("- parallel: {'a b': [{uses: value}]}", "4:16 E109 `a b` is not a name"),
        ("- steps: [x]", "4:13 E103 a step must be a map, this is a text"),
        # switch
        ("- switch: {a: 1}", "4:13 E103 `switch` must be a list, this is a map"),
        ("- switch: [x]", "4:14 E103 a branch of `switch` must be a map, this is a text"),
        ("- switch: [{steps: [{uses: value}]}]", "4:14 E104 a branch of `switch` needs `if`, or is `else`"),
        ("- switch: [{if: inputs.n > 1}]", "4:14 E104 a branch of `switch` needs `steps`, or is `else`"),
        ("- switch: [{if: inputs.n > 1, else: [{uses: value}]}]", "4:15 E141 `else` and `if` exclude each other"),
        ("- switch: [{default: [{uses: value}]}]", "4:15 E101 a branch of `switch` has no key `default`"),
        (
            "- switch: [{else: [{uses: value}]}, {if: inputs.n > 1, steps: [{uses: value}]}]",
            "4:39 E143 a branch after `else`, which is on line 4, is never taken",
        ),
        ("- switch: [{if: inputs.kind, steps: [{uses: value}]}]", "4:19 E226 a condition must be true or false"),
        # for_each
        ("- {uses: value, for_each: 3}", "4:29 E103 the items must be a list, this is a number"),
        ("- {uses: value, for_each: 'a ${{ inputs.n }}'}", "4:29 E103 the items must be a list, this is a text"),
        ("- {uses: value, for_each: {as: x}}", "4:19 E104 `for_each` needs `items`"),
        ("- {uses: value, for_each: {in: [1], items: [1]}}", "4:30 E101 `for_each` has no key `in`"),
        ("- {uses: value, for_each: {items: [1], as: Item}}", "4:46 E109 `Item` is not an id"),
        ("- {uses: value, for_each: {items: [1], as: event}}", "4:46 E144 `event` means something else"),
        ("- {uses: value, for_each: {items: [1], as: not}}", "4:46 E144 `not` is a word of expressions"),
        ("- {uses: value, for_each: {items: [1], concurrency: 0}}", "4:55 E103 `concurrency` must be 1 to 1000"),
        ("- {uses: value, for_each: {items: [1], on_item_error: go}}", "4:57 E111 `go` is not possible for"),
        ("- {uses: value, for_each: {items: [1], max_errors: 200%}}", "4:54 E103 `max_errors` must be a whole number"),
        ("- {uses: value, for_each: {items: [1], max_errors: -1}}", "4:54 E103 `max_errors` must be a whole number"),
        (
            "- {for_each: [1], steps: [{uses: value, for_each: [2], with: 1}]}",
            "4:53 E144 `item` would hide the item of the loop around this one",
        ),
        # repeat
        ("- {uses: value, repeat: 3}", "4:27 E103 `repeat` must be a map, this is a number"),
        ("- {uses: value, repeat: {max: 3}}", "4:19 E104 `repeat` needs `until`"),
        ("- {uses: value, repeat: {until: result, every: 3}}", "4:50 E108 `every` needs a unit"),
        ("- {uses: value, repeat: {until: result == 1, times: 3}}", "4:48 E101 `repeat` has no key `times`"),
        # other keys
        ("- {uses: value, queue: fast}", "4:26 E111 there is no queue `fast`"),
        ("- {uses: value, queue: 3}", "4:26 E103 `queue` must be"),
        ("- {uses: value, sensitive: x}", "4:30 E103 `sensitive` must be true or a list, this is a text"),
        ("- {uses: value, sensitive: ['a b']}", "4:31 E103 this is not the path of a field in the output"),
        ("- {uses: value, with: {a: 1}, sensitive: [b]}", "4:45 E214 there is no field `b` in the output"),
        ("- {uses: value, rate_limit: {limit: 3}}", "4:19 E104 `rate_limit` needs `period`"),
        ("- {uses: value, concurrency: 3}", "4:32 E103 `concurrency` must be a map, this is a number"),
        ("- {steps: [{uses: value}], timeout: 30}", "4:39 E108 `timeout` needs a unit"),
        # calls
        ("- uses: pipeline:othr", "4:20 E114 there is no pipeline `othr`"),
        (
            "- {uses: ai.agent, with: {model: m, instructions: x, tools: [{uses: pipeline:x}]}}",
            "4:80 E114 there is no pipeline `x`",
        ),
        # waits
        ("- wait: 30", "4:11 E108 `wait` needs a unit"),
        ("- wait: soon", "4:11 E108 `soon` is not a duration"),
        ("- wait: {}", "4:5 E104 `wait` does not say what it waits for"),
        ("- wait: {for: 1s, until: x}", "4:21 E141 a wait is for one thing: `for` and `until` exclude each other"),
        ("- wait: {for: 1s, timeout: 1s}", "4:21 E142 `timeout` does not go with `for`"),
        ("- wait: {until: tomorrow}", "4:19 E103 `until` must be a time"),
        ("- wait: {until: '2026-03-01T09:00:00'}", "4:19 E103 `until` must be a time"),
        ("- wait: {event: x}", "4:12 E101 `wait` has no key `event`"),
        ("- wait: {events: [], timeout: 1d}", "4:20 E104 `events` is empty"),
        ("- wait: {events: [{}], timeout: 1d}", "4:21 E104 an event of `wait` needs `source`, `type` or `if`"),
        ("- wait: {events: [paid], timeout: 1d}", "4:21 E103 an event of `wait` must be a map, this is a text"),
        ("- wait: {events: [{type: a, if: incoming.bdy}], timeout: 1d}", "4:44 E214 there is no field `bdy`"),
        ("- wait: {events: [{type: a, if: true}]}", "4:5 W306 without a `timeout` this waits until"),
        ("- wait: {events: [{type: a}], timeout: 1d}", "4:21 W307 any event like this ends the wait"),
        ("- wait: {events: [{type: a, if: true}], timeout: 1d, since: ever}", "4:63 E111 `ever` is not possible"),
        ("- wait: {events: [{type: a, if: true}], timeout: 1d, on_reject: fail}", "4:56 E142 `on_reject` does not go"),
        ("- wait: {approval: yes, timeout: 1d}", "4:22 E103 `approval` must be a map, this is a text"),
        ("- wait: {approval: {}, timeout: 1d}", "4:12 E104 `approval` needs `prompt`"),
        ("- wait: {approval: {prompt: a, approvers: me}, timeout: 1d}", "4:45 E103 `approvers` must be a list"),
        ("- wait: {approval: {prompt: a, approvers: [3]}, timeout: 1d}", "4:46 E103 a user or group must be a text"),
        ("- wait: {approval: {prompt: a, form: {x: strng}}, timeout: 1d}", "4:44 E116"),
        ("- wait: {approval: {prompt: a, message: x}, timeout: 1d}", "4:34 E101 `approval` has no key `message`"),
        ("- wait: {approval: {prompt: a}}", "4:5 W306"),
    ],
)
def test_one_thing_is_wrong(steps: str, expected: str) -> None:
    """It is found where it stands, in plain words."""
    report = check(f"{HEAD}  {steps}")
    found = [f"{item.line}:{item.column} {item.code} {item.message}" for item in report.problems]
    assert any(item.startswith(expected) for item in found), "\n".join(found) or "nothing found"


@pytest.mark.parametrize(
    "steps",
    [
        "- {uses: stop}\n  - {uses: value, with: 1}",
        "- {uses: fail, with: {message: x}}\n  - {uses: value, with: 1}",
        "- steps: [{uses: stop}]\n  - {uses: value, with: 1}",
        "- parallel: {a: [{uses: stop}], b: [{uses: value, with: 1}]}\n  - {uses: value, with: 1}",
        "- switch: [{if: inputs.n > 1, steps: [{uses: stop}]}, {else: [{uses: stop}]}]\n  - {uses: value, with: 1}",
    ],
)
def test_a_step_that_is_never_reached(steps: str) -> None:
    """Below one that always ends the run, however deep that stands."""
    (problem,) = check(f"{HEAD}  {steps}").problems
    assert (problem.code, problem.line, problem.column) == ("W305", 5, 5)


@pytest.mark.parametrize(
    "steps",
    [
        "- {uses: stop, if: inputs.n > 1}\n  - {uses: value, with: 1}",
        "- {uses: fail, with: {message: x}, on_error: continue}\n  - {uses: value, with: 1}",
        "- {for_each: '${{ inputs.names }}', steps: [{uses: stop}]}\n  - {uses: value, with: 1}",
        "- switch: [{if: inputs.n > 1, steps: [{uses: stop}]}]\n  - {uses: value, with: 1}",
    ],
)
def test_a_step_that_may_be_reached(steps: str) -> None:
    """Where the one above ends the run only sometimes."""
    assert not check(f"{HEAD}  {steps}").problems
