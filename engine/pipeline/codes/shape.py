"""E101 to E112: keys, values and ids."""

from engine.pipeline.codes.code import Code, one

SHAPE = (
    Code(
        "E101",
        "there is no such key",
        "A key that is not known would have no effect, so it is an error. The message names the key that was "
        "probably meant, also for words of other tools (`needs`, `on`, `tasks`, `when`, `retries`). Keys that "
        "begin with `x-` are your own and are ignored.",
        wrong=one("""\
id: example
steps:
  - uses: value
    when: 1 == 2
    with: {text: hello}
"""),
        right=one("""\
id: example
steps:
  - uses: value
    if: run.labels.env == 'prod'
    with: {text: hello}
"""),
    ),
    Code(
        "E103",
        "a value has the wrong type or is out of range",
        "The key takes another kind of value: a list, a map, a text, a number in a certain range, true or false. "
        "YAML takes `5` for a number and `'5'` for a text, `yes` for a text, and nothing at all for null.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    retry: {attempts: three}
"""),
        right=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    retry: {attempts: 3}
"""),
    ),
    Code(
        "E104",
        "something is missing",
        "A pipeline needs `id` and `steps`; a step needs one shape: `uses`, `steps`, `parallel`, `switch` or "
        "`wait`. The message names what is missing.",
        wrong=one("""\
id: example
steps:
  - id: hello
    if: inputs.loud
inputs:
  loud: boolean
"""),
        right=one("""\
id: example
steps:
  - id: hello
    if: inputs.loud
    uses: value
    with: {text: HELLO}
inputs:
  loud: boolean
"""),
    ),
    Code(
        "E105",
        "the type has no such field",
        "Each step type and trigger type says which fields its `with:` has; `hookwright plugins show NAME` lists "
        "them. A field that is not known would have no effect.",
        wrong=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, methd: GET}
"""),
        right=one("""\
id: example
steps:
  - uses: http.request
    with: {url: https://example.com, method: GET}
"""),
    ),
    Code(
        "E106",
        "a field that the type needs is missing",
        "Without it the step cannot run. `hookwright plugins show NAME` marks the fields that are required.",
        wrong=one("""\
id: example
steps:
  - uses: http.request
    with: {method: GET}
"""),
        right=one("""\
id: example
steps:
  - uses: http.request
    with: {method: GET, url: https://example.com}
"""),
    ),
    Code(
        "E107",
        "a field has the wrong type",
        "Values are checked strictly: `'5'` is not a number, and text mixed with expressions is always text. A "
        "value that is wholly one `${{ }}` keeps the type of what it yields.",
        wrong=one("""\
id: example
steps:
  - uses: store.query
    with: {collection: notes, limit: many}
"""),
        right=one("""\
id: example
steps:
  - uses: store.query
    with: {collection: notes, limit: 5}
"""),
    ),
    Code(
        "E108",
        "this is not a duration",
        "Durations have a unit: `500ms`, `30s`, `5m`, `2h`, `3d`, `1w`, `1h30m`. A bare number is an error, since "
        "tools disagree whether it means seconds, minutes or milliseconds.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    timeout: 30
"""),
        right=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    timeout: 30s
"""),
    ),
    Code(
        "E109",
        "this cannot be an id or a name",
        "Ids of steps have small letters, digits and `_`, because expressions name them (`steps.load_user`); ids "
        "of pipelines have `-`, because addresses name them. Names of inputs and variables have letters, digits "
        "and `_`.",
        wrong=one("""\
id: example
steps:
  - id: load-user
    uses: value
    with: {text: hello}
"""),
        right=one("""\
id: example
steps:
  - id: load_user
    uses: value
    with: {text: hello}
"""),
    ),
    Code(
        "E110",
        "an id is used twice in the file",
        "`steps.ID` could mean either of them. Ids are unique in the whole file, nested steps included.",
        wrong=one("""\
id: example
steps:
  - id: hello
    uses: value
    with: {text: hello}
  - id: hello
    uses: value
    with: {text: hello again}
"""),
        right=one("""\
id: example
steps:
  - id: hello
    uses: value
    with: {text: hello}
  - id: hello_again
    uses: value
    with: {text: hello again}
"""),
    ),
    Code(
        "E111",
        "this word is not possible here",
        "The key takes one of a few words; the message lists them.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    on_error: ignore
"""),
        right=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    on_error: continue
"""),
    ),
)
