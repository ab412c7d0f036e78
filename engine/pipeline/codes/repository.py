"""E4, and E1 of triggers: what several pipelines, or several keys of a trigger, do to each other."""

from engine.pipeline.codes.code import FILE, Code, one

OTHER = "pipelines/other.yaml"
SIMPLE = """\
id: example
steps:
  - uses: value
    with: {a: 1}
"""
CALLER = """\
id: example
steps:
  - id: price
    uses: pipeline:price
    with: {amount: 100}
outputs:
  total: ${{ steps.price.output.FIELD }}
"""
CALLEE = """\
id: price
inputs: {amount: integer}
steps:
  - id: sum
    uses: value
    with: {net: "${{ inputs.amount * 2 }}"}
outputs:
  net: ${{ steps.sum.output.net }}
"""
REPOSITORY = (
    Code(
        "E131",
        "a trigger with both `batch` and `debounce`",
        "`batch` collects events and hands all of them over as `events`; `debounce` waits for quiet and keeps only the "
        "last one. A trigger can do one of the two.",
        wrong=one("""\
id: example
triggers:
  - uses: event
    with: {type: document.changed}
    batch: {max_size: 100}
    debounce: {period: 20s}
steps:
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
triggers:
  - uses: event
    with: {type: document.changed}
    batch: {max_size: 100, max_wait: 20s}
steps:
  - uses: value
    with: {count: "${{ events | length }}"}
"""),
    ),
    Code(
        "E133",
        "an answer that cannot be given",
        "Only senders of deliveries get an answer. An asynchronous one is given as soon as the event is stored, so it "
        "waits for no step; a synchronous one is given to one sender, so its events cannot wait in a batch.",
        wrong=one("""\
id: example
triggers:
  - uses: webhook
    with: {path: ask, auth: {bearer: "${{ secrets.ASK_TOKEN }}"}}
    respond: {after: answer}
steps:
  - id: answer
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
triggers:
  - uses: webhook
    with: {path: ask, auth: {bearer: "${{ secrets.ASK_TOKEN }}"}}
    respond: {mode: sync, after: answer}
steps:
  - id: answer
    uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E401",
        "the calls go in a circle",
        "A pipeline that calls itself, however many others lie between, would never end. `pipeline.start` starts a "
        "pipeline without waiting for it.",
        wrong={
            FILE: "id: ping\nsteps:\n  - uses: pipeline:pong\n",
            OTHER: "id: pong\nsteps:\n  - uses: pipeline:ping\n",
        },
        right={
            FILE: "id: ping\nsteps:\n  - uses: pipeline:pong\n",
            OTHER: "id: pong\nsteps:\n  - uses: value\n    with: {a: 1}\n",
        },
    ),
    Code(
        "E402",
        "two pipelines have the same id",
        "The id is the identity of a pipeline: runs, calls and addresses name it.",
        wrong={FILE: SIMPLE, OTHER: SIMPLE},
        right={FILE: SIMPLE, OTHER: SIMPLE.replace("example", "other")},
    ),
    Code(
        "E403",
        "a called pipeline has no such output",
        "The output of a call is what the called pipeline declares as its `outputs`. Somebody may have renamed or "
        "removed it there.",
        wrong={FILE: CALLER.replace("FIELD", "gross"), OTHER: CALLEE},
        right={FILE: CALLER.replace("FIELD", "net"), OTHER: CALLEE},
    ),
    Code(
        "E404",
        "a called pipeline has errors",
        "A version holds the pipelines that it calls as well, so it cannot be made while one of them has errors. "
        "They are told with the other file.",
        wrong={
            FILE: CALLER.replace("FIELD", "net"),
            "pipelines/shared/price.yaml": CALLEE.replace("uses: value", "uses: valeu"),
        },
        right={FILE: CALLER.replace("FIELD", "net"), "pipelines/shared/price.yaml": CALLEE},
    ),
)
