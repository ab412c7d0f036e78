"""E14x and W305 to W307: the shapes of steps, and what stands inside of them."""

from engine.pipeline.codes.code import Code, one

STEPS = (
    Code(
        "E141",
        "two things that exclude each other",
        "A step has one shape: `uses`, `steps`, `parallel`, `switch` or `wait`. A wait is for one thing: a time, "
        "events or an approval. And `else` of a `switch` stands alone, without `if`.",
        wrong=one("""\
id: example
steps:
  - wait: 30s
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
steps:
  - wait: 30s
  - uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E142",
        "a key that does not go with this shape",
        "`retry`, `repeat`, `cache` and the like are for steps with `uses`; `for_each` and `timeout` are for groups as "
        "well. The other shapes can be put into a group, `steps:`. Of a `wait`, `timeout` goes with events and "
        "approvals only.",
        wrong=one("""\
id: example
steps:
  - retry: 3
    parallel:
      one:
        - uses: value
          with: {a: 1}
"""),
        right=one("""\
id: example
steps:
  - parallel:
      one:
        - uses: value
          with: {a: 1}
          retry: 3
"""),
    ),
    Code(
        "E143",
        "a branch after `else`",
        "The first branch whose `if` is true is taken, and `else` is taken if none was: it comes last.",
        wrong=one("""\
id: example
inputs: {count: integer}
steps:
  - switch:
      - else:
          - uses: value
            with: few
      - if: inputs.count > 10
        steps:
          - uses: value
            with: many
"""),
        right=one("""\
id: example
inputs: {count: integer}
steps:
  - switch:
      - if: inputs.count > 10
        steps:
          - uses: value
            with: many
      - else:
          - uses: value
            with: few
"""),
    ),
    Code(
        "E144",
        "the name of a loop's item is taken",
        "The item would hide a name that expressions know already, or the item of the loop around it. `as` gives it "
        "another name.",
        wrong=one("""\
id: example
inputs: {teams: "object[]"}
steps:
  - for_each: ${{ inputs.teams }}
    steps:
      - for_each: ${{ item.members }}
        uses: value
        with: ${{ item }}
"""),
        right=one("""\
id: example
inputs: {teams: "object[]"}
steps:
  - for_each: {items: "${{ inputs.teams }}", as: team}
    steps:
      - for_each: {items: "${{ team.members }}", as: member}
        uses: value
        with: ${{ member }}
"""),
    ),
    Code(
        "W305",
        "the step is never reached",
        "A step above it always ends the run: a `stop` or `fail` without an `if`.",
        wrong=one("""\
id: example
steps:
  - uses: stop
    with: {message: nothing to do}
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs: {empty: boolean}
steps:
  - if: inputs.empty
    uses: stop
    with: {message: nothing to do}
  - uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "W306",
        "a wait without a timeout",
        "If the event never comes or nobody decides, the run waits until its own time is over: 30 days, unless the "
        "pipeline says otherwise.",
        wrong=one("""\
id: example
steps:
  - wait:
      approval: {prompt: Delete everything?}
"""),
        right=one("""\
id: example
steps:
  - wait:
      approval: {prompt: Delete everything?}
      timeout: 3d
"""),
    ),
    Code(
        "W307",
        "a wait that any event of a kind ends",
        "Without an `if`, an event that belongs to another order, customer or run ends the wait as well.",
        wrong=one("""\
id: example
inputs: {order: string}
steps:
  - wait:
      events: [{source: shop, type: order.paid}]
      timeout: 3d
"""),
        right=one("""\
id: example
inputs: {order: string}
steps:
  - wait:
      events: [{source: shop, type: order.paid, if: incoming.body.order == inputs.order}]
      timeout: 3d
"""),
    ),
)
