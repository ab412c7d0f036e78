"""E20x and E21x: expressions that cannot be right, whatever the values are."""

from engine.pipeline.codes.code import FILE, Code, one

EXPRESSIONS = (
    Code(
        "E201",
        "the expression cannot be read",
        "It breaks a rule of the grammar: a quote or bracket is not closed, an operator of another language is "
        "used (`&&`, `||`, `!`, `? :`), an object is written with `{}`. The message shows the right spelling.",
        wrong=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - if: inputs.name == 'Mia' && inputs.tags == []
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - if: inputs.name == 'Mia' and inputs.tags == []
    uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E202",
        "there is no such filter, function or test, or it is used wrongly",
        "The message names the one that was probably meant, or says which arguments it takes.",
        wrong=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - uses: value
    with: ${{ inputs.tags | lenght }}
"""),
        right=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - uses: value
    with: ${{ inputs.tags | length }}
"""),
    ),
    Code(
        "E203",
        "there is no such name",
        "An expression begins with one of a few names: `event`, `inputs`, `vars`, `env`, `run`, `steps`, "
        "`secrets`, and the name of an item inside a loop. A text needs quotes.",
        wrong=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - if: inputs.name == mia
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - if: inputs.name == 'mia'
    uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E204",
        "the step has not run yet at this point",
        "Steps run from top to bottom, so only steps further up have an output.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: {text: "${{ steps.hello.output.text }}"}
  - id: hello
    uses: value
    with: {text: hello}
"""),
        right=one("""\
id: example
steps:
  - id: hello
    uses: value
    with: {text: hello}
  - uses: value
    with: {text: "${{ steps.hello.output.text }}"}
"""),
    ),
    Code(
        "E205",
        "there is no such step, or it cannot be seen from here",
        "Steps are named by their `id`. Steps inside a loop are visible only inside the same round; steps of a "
        "branch that runs at the same time are not visible.",
        wrong=one("""\
id: example
steps:
  - id: hello
    uses: value
    with: {text: hello}
  - uses: value
    with: {text: "${{ steps.helo.output.text }}"}
"""),
        right=one("""\
id: example
steps:
  - id: hello
    uses: value
    with: {text: hello}
  - uses: value
    with: {text: "${{ steps.hello.output.text }}"}
"""),
    ),
    Code(
        "E206",
        "the name exists, but not here",
        "Not every place has every name: `error` exists in `on_error`, `result` in a step's `output`, `event` "
        "only if a trigger delivers one, `run.outcome` in `finally`.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: ${{ event.body.name }}
"""),
        right=one("""\
id: example
triggers:
  - uses: webhook
    with: {path: hello, auth: {bearer: {token: "${{ secrets.TOKEN }}"}}}
steps:
  - uses: value
    with: ${{ event.body.name }}
"""),
    ),
    Code(
        "E207",
        "the pipeline has no such input",
        "`inputs.NAME` must be declared in `inputs:`.",
        wrong=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - uses: value
    with: ${{ inputs.nmae }}
"""),
        right=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - uses: value
    with: ${{ inputs.name }}
"""),
    ),
    Code(
        "E208",
        "there is no such variable, or it has no value yet",
        "`vars.NAME` must be declared in `vars:`; variables are evaluated from top to bottom, so one may use only "
        "those above it.",
        wrong=one("""\
id: example
vars: {greeting: hello}
steps:
  - uses: value
    with: ${{ vars.greting }}
"""),
        right=one("""\
id: example
vars: {greeting: hello}
steps:
  - uses: value
    with: ${{ vars.greeting }}
"""),
    ),
    Code(
        "E209",
        "the environment variable is not allowed",
        "Expressions see only the environment variables that `env:` of project.yaml lists, so that no pipeline "
        "can read what was meant for the engine. They are named literally.",
        wrong={
            "project.yaml": """\
language: 1
env: [CRM_URL]
""",
            FILE: """\
id: example
steps:
  - uses: value
    with: ${{ env.CMR_URL }}
""",
        },
        right={
            "project.yaml": """\
language: 1
env: [CRM_URL]
""",
            FILE: """\
id: example
steps:
  - uses: value
    with: ${{ env.CRM_URL }}
""",
        },
    ),
    Code(
        "E211",
        "the file cannot be read",
        "`file('...')` and `template('...')` read files below the repository's root when the pipeline is checked, "
        "and these become part of its version. The path is a literal text.",
        wrong={
            FILE: """\
id: example
steps:
  - uses: value
    with: ${{ file('prompts/triage.txt') }}
""",
            "prompts/triage.md": """\
Which label fits?
""",
        },
        right={
            FILE: """\
id: example
steps:
  - uses: value
    with: ${{ file('prompts/triage.md') }}
""",
            "prompts/triage.md": """\
Which label fits?
""",
        },
    ),
    Code(
        "E212",
        "an expression within a condition",
        "`if`, `until` and `when` are expressions already. `${{ a }} == 'b'` would be the text of `a` followed by "
        "` == 'b'`, and a text that is not empty counts as true elsewhere.",
        wrong=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - if: ${{ inputs.name }} == 'Mia'
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - if: inputs.name == 'Mia'
    uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E213",
        "something is wrong in a Jinja file",
        "A file that `template('...')` renders has a syntax error, or uses a name that is not handed to it.",
        wrong={
            FILE: """\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - uses: value
    with: ${{ template('mail/hello.j2', name=inputs.name) }}
""",
            "mail/hello.j2": """\
Hello {{ nmae }}!
""",
        },
        right={
            FILE: """\
id: example
inputs: {name: string, tags: 'string[]'}
steps:
  - uses: value
    with: ${{ template('mail/hello.j2', name=inputs.name) }}
""",
            "mail/hello.j2": """\
Hello {{ name }}!
""",
        },
    ),
    Code(
        "E214",
        "there is no such field",
        "What stands before the dot is known, and it has no field of this name. The fields of a step are "
        "`output`, `status`, `error`, `cached`, `attempts`, `started_at`, `finished_at`; those of its output come "
        "from the step type.",
        wrong=one("""\
id: example
steps:
  - id: get
    uses: http.request
    with: {url: https://example.com}
  - uses: value
    with: ${{ steps.get.output.statsu }}
"""),
        right=one("""\
id: example
steps:
  - id: get
    uses: http.request
    with: {url: https://example.com}
  - uses: value
    with: ${{ steps.get.output.status }}
"""),
    ),
)
