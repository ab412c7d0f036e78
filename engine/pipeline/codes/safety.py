"""E3 and W3: safety, and what is probably not meant."""

from engine.pipeline.codes.code import Code, one

SAFETY = (
    Code(
        "E301",
        "a secret that is not named literally",
        "`secrets.NAME` is written out, so that it is known which pipeline uses which secret. A computed name "
        "could be chosen by whoever sends the event.",
        wrong=one("""\
id: example
inputs: {tenant: string}
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "${{ secrets[inputs.tenant] }}"}}
"""),
        right=one("""\
id: example
inputs: {tenant: string}
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "${{ secrets.CRM_KEY }}"}}
"""),
    ),
    Code(
        "E304",
        "an expression in a field that holds code",
        "Values pasted into a statement become part of it: this is how SQL injection works. Such fields take "
        "literal text or `file('...')`; values go through a field of their own.",
        wrong=one("""\
id: example
inputs: {customer: string}
steps:
  - uses: sql.query
    with:
      connection: main
      query: select * from orders where customer = '${{ inputs.customer }}'
"""),
        right=one("""\
id: example
inputs: {customer: string}
steps:
  - uses: sql.query
    with:
      connection: main
      query: select * from orders where customer = :customer
      params: {customer: "${{ inputs.customer }}"}
"""),
        types=True,
    ),
    Code(
        "E305",
        "a secret outside of `with:`",
        "Secrets are handed to step types and to nothing else: conditions, labels, keys, outputs, variables and "
        "responses are stored and shown.",
        wrong=one("""\
id: example
vars: {key: "${{ secrets.CRM_KEY }}"}
steps:
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "${{ secrets.CRM_KEY }}"}}
"""),
    ),
    Code(
        "E306",
        "a secret is not set",
        "The pipeline names a secret that this installation does not have. Set HOOKWRIGHT_SECRET_NAME, or write "
        "`NAME=value` into the secrets file. `hookwright check --secrets` finds it before the first run.",
        wrong=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "${{ secrets.CRM_KEI }}"}}
"""),
        right=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "${{ secrets.CRM_KEY }}"}}
"""),
        said_by="secrets",
    ),
    Code(
        "E307",
        "a secret is compared, filtered or shown",
        "A secret can be handed on as it is, or joined with text. Whatever else is done with it could give it away.",
        wrong=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "${{ secrets.CRM_KEY | upper }}"}}
"""),
        right=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, headers: {x-key: "Key ${{ secrets.CRM_KEY }}"}}
"""),
    ),
    Code(
        "W301",
        "the step may have no output where it is read",
        "A step with an `if`, in a branch, or with `on_error: continue` may not have an output. Then the "
        "expression fails, when it is evaluated. `??` gives another value.",
        wrong=one("""\
id: example
inputs: {loud: boolean}
steps:
  - id: shout
    if: inputs.loud
    uses: value
    with: {text: HELLO}
  - uses: value
    with: ${{ steps.shout.output.text }}
"""),
        right=one("""\
id: example
inputs: {loud: boolean}
steps:
  - id: shout
    if: inputs.loud
    uses: value
    with: {text: HELLO}
  - uses: value
    with: ${{ steps.shout.output.text ?? 'hello' }}
"""),
    ),
    Code(
        "W302",
        "anybody can start runs",
        "`auth: none` accepts every request that reaches the address.",
        wrong=one("""\
id: example
triggers:
  - uses: webhook
    with: {path: hello, auth: none}
steps:
  - uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
triggers:
  - uses: webhook
    with: {path: hello, auth: {bearer: {token: "${{ secrets.TOKEN }}"}}}
steps:
  - uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "W303",
        "`{{ }}` that was probably meant as an expression",
        "Expressions are written `${{ }}`; `{{ }}` is plain text and stays as it is.",
        wrong=one("""\
id: example
inputs: {name: string}
steps:
  - uses: value
    with: {text: "Hello {{ inputs.name }}"}
"""),
        right=one("""\
id: example
inputs: {name: string}
steps:
  - uses: value
    with: {text: "Hello ${{ inputs.name }}"}
"""),
    ),
    Code(
        "W304",
        "the condition is always the same",
        "It uses no value of the run, or compares values that can never be equal, so the step always runs or never "
        "does. `if: false` is taken as meant.",
        wrong=one("""\
id: example
steps:
  - if: "'prod' == 'test'"
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
steps:
  - if: run.labels.env == 'test'
    uses: value
    with: {a: 1}
"""),
    ),
)
