"""E113 to E1xx: what the installed types take, and how pipelines fit together."""

from engine.pipeline.codes.code import FILE, Code, one

TYPES = (
    Code(
        "E113",
        "there is no such trigger type",
        "No installed plugin has a trigger type of this name. `hookwright plugins` lists them.",
        wrong=one("""\
id: example
triggers:
  - uses: shedule
    with: {cron: '0 7 * * *'}
steps:
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
triggers:
  - uses: schedule
    with: {cron: '0 7 * * *'}
steps:
  - uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E114",
        "there is no such step type or pipeline",
        "No installed plugin has a step type of this name; `hookwright plugins` lists them. Or, in "
        "`uses: pipeline:ID`, no file of the repository has a pipeline with this id.",
        wrong=one("""\
id: example
steps:
  - uses: http.requst
    with: {url: https://example.com}
"""),
        right=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com}
"""),
    ),
    Code(
        "E115",
        "the type refuses these settings",
        "The fields have the right types, but the step or trigger type itself cannot work with them: a cron line "
        "with an hour 25, an unknown time zone, fields that exclude each other.",
        wrong=one("""\
id: example
triggers:
  - uses: schedule
    with: {cron: '0 25 * * *'}
steps:
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
triggers:
  - uses: schedule
    with: {cron: '0 23 * * *'}
steps:
  - uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E116",
        "the declaration of an input is wrong",
        "An input is declared by a type (`string`, `integer`, `number`, `boolean`, `object`, `any`, or one of "
        "them with `[]`) or by a JSON Schema. It is required if it has no `default`; a default must fit the "
        "schema.",
        wrong=one("""\
id: example
inputs:
  count: {type: integer, default: many}
steps:
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs:
  count: {type: integer, default: 5}
steps:
  - uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E117",
        "triggers share a path and do not agree",
        "Several pipelines may listen on one path, but the sender is authenticated once: type, authentication and "
        "methods must be equal. `events` and `if` may differ.",
        wrong={
            FILE: """\
id: example
triggers:
  - uses: webhook
    with: {path: orders, auth: {bearer: {token: "${{ secrets.ONE }}"}}}
steps:
  - uses: value
    with: {a: 1}
""",
            "pipelines/other.yaml": """\
id: other
triggers:
  - uses: webhook
    with: {path: orders, auth: {bearer: {token: "${{ secrets.TWO }}"}}}
steps:
  - uses: value
    with: {a: 1}
""",
        },
        right={
            FILE: """\
id: example
triggers:
  - uses: webhook
    with: {path: orders, auth: {bearer: {token: "${{ secrets.ONE }}"}}}
steps:
  - uses: value
    with: {a: 1}
""",
            "pipelines/other.yaml": """\
id: other
triggers:
  - uses: webhook
    with: {path: orders, auth: {bearer: {token: "${{ secrets.ONE }}"}}}
steps:
  - uses: value
    with: {a: 1}
""",
        },
    ),
    Code(
        "E119",
        "an expression where none can be",
        "Keys, ids, `uses`, names and most settings are fixed, so that they can be checked before anything runs. "
        "Use `switch` to choose between step types, and the functions `object` and `merge` for keys that are "
        "computed.",
        wrong=one("""\
id: example
inputs: {kind: string}
steps:
  - uses: value
    name: Load ${{ inputs.kind }}
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs: {kind: string}
steps:
  - uses: value
    name: Load
    with: {a: "${{ inputs.kind }}"}
"""),
    ),
    Code(
        "E121",
        "values do not fit the inputs of a pipeline",
        "Whoever starts a pipeline, a trigger or a step `uses: pipeline:ID`, gives it values for its `inputs`: "
        "none that is not declared, all that are required, each of the right type.",
        wrong=one("""\
id: example
triggers:
  - uses: schedule
    with: {cron: '0 7 * * *'}
inputs:
  day: string
steps:
  - uses: value
    with: {day: "${{ inputs.day }}"}
"""),
        right=one("""\
id: example
triggers:
  - uses: schedule
    with: {cron: '0 7 * * *'}
    inputs: {day: today}
inputs:
  day: string
steps:
  - uses: value
    with: {day: "${{ inputs.day }}"}
"""),
    ),
    Code(
        "E120",
        "this version does not execute it yet",
        "The language is ahead of the engine: `hookwright check` and `hookwright test` know everything, but a pipeline "
        "that uses what is not executed yet is not put in force. `hookwright check` lists such places at its end.",
        wrong=one("""\
id: example
steps:
  - wait: 3d
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
triggers:
  - uses: schedule
    with: {cron: '0 7 * * *'}
steps:
  - uses: value
    with: {a: 1}
"""),
        said_by="deploy",
    ),
)
