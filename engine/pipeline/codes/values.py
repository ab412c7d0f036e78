"""E22x: expressions that fail with certain values."""

from engine.pipeline.codes.code import FILE, Code, one

VALUES = (
    Code(
        "E220",
        "a value that a filter or function cannot work with",
        "The message of the filter says what it needs.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ range(1, 5, inputs.count) }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ range(1, 5, 2) }}
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": None}},
    ),
    Code(
        "E221",
        "something is not there",
        "A missing field is an error, not an empty text: `??`, `default()`, `is defined` or `is null` say what to "
        "do if it is missing.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.data.title | upper }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.data.title ?? 'untitled' | upper }}
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": None}},
    ),
    Code(
        "E222",
        "too much work, or too large",
        "An expression has a budget of work and of memory, so that no event can stop the engine. Work on less "
        "data, or in several steps.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ range(inputs.count * 1000000) }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ range(inputs.count * 1000) }}
"""),
        scope={"inputs": {"name": "Mia", "count": 1, "data": {}, "list": [], "anything": None}},
    ),
    Code(
        "E223",
        "arithmetic that has no result",
        "Division by zero, or a number or time beyond what can be represented.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ 100 / inputs.count }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ 100 / inputs.count if inputs.count > 0 else 0 }}
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": None}},
    ),
    Code(
        "E224",
        "null, a list or an object in a text",
        "Text takes text, numbers, true and false. Nobody wants `null` in a mail: `?? ''` says what to write. "
        "Lists and objects are written with `| join(', ')` or `| to_json`.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: Hello ${{ inputs.anything }}!
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: Hello ${{ inputs.anything ?? 'you' }}!
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": None}},
    ),
    Code(
        "E225",
        "a value of the wrong kind",
        "The operator or filter works with other kinds of values: text is not a number, `+` does not join text "
        "(`~` does), only lists and texts have a length.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.anything > 3 }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ (inputs.anything | int) > 3 }}
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": "5"}},
    ),
    Code(
        "E226",
        "a condition that is not true or false",
        "There is no guessing which values count as true. Compare it with something: `!= ''`, `| length > 0`, `?? "
        "false`.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - if: inputs.count + 1
    uses: value
    with: {a: 1}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - if: inputs.count > 0
    uses: value
    with: {a: 1}
"""),
    ),
    Code(
        "E227",
        "a plugin's filter or a Jinja file failed",
        "The file or filter raised an error while it worked on the value; the message has its words.",
        wrong={
            FILE: """\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ template('mail/hello.j2', data=inputs.data) }}
""",
            "mail/hello.j2": """\
Hello {{ data.name.first }}!
""",
        },
        right={
            FILE: """\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ template('mail/hello.j2', data=inputs.data) }}
""",
            "mail/hello.j2": """\
Hello {{ data.name.first if data.name is defined else 'you' }}!
""",
        },
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": None}},
    ),
    Code(
        "E228",
        "a field or item of something that has none",
        "Only objects have fields, only lists have items by number, and positions are whole numbers.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.anything.title }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.anything }}
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": 5}},
    ),
    Code(
        "E229",
        "this is not a regular expression",
        "Patterns are those of RE2: without look-around and back references, which can take forever.",
        wrong=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.name | matches('[a-z') }}
"""),
        right=one("""\
id: example
inputs:
  name: {type: string, default: ''}
  count: {type: integer, default: 0}
  data: {type: object, default: {}}
  list: {type: array, default: []}
  anything: {default: null}
steps:
  - uses: value
    with: ${{ inputs.name | matches('[a-z]') }}
"""),
        scope={"inputs": {"name": "Mia", "count": 0, "data": {}, "list": [], "anything": None}},
    ),
)
