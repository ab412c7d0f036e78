"""E0: the file cannot be read as YAML."""

from engine.pipeline.codes.code import Code, one

YAML = (
    Code(
        "E001",
        "this is not YAML",
        "The text breaks a rule of YAML. The usual reasons: `: ` or ` #` in a value without quotes, an expression "
        "without quotes inside `[...]` or `{...}`, a tab in the indentation, a quote inside quotes, a line that "
        "is indented differently from its neighbours. The message names the one it has found.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: {run: ${{ run.id }}}
"""),
        right=one("""\
id: example
steps:
  - uses: value
    with: {run: "${{ run.id }}"}
"""),
    ),
    Code(
        "E002",
        "a key stands twice in one map",
        "Most YAML readers silently take the second one, so one of the two would have no effect. Two values for "
        "one key are a list, or need two keys.",
        wrong=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
    with: {text: goodbye}
"""),
        right=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
"""),
    ),
    Code(
        "E003",
        "the file is too large or too deep",
        "A file may have a million characters, 50000 lines, 20000 values and 40 levels. An alias (`*name`) counts "
        "as much as what it stands for, and may not stand inside of it: otherwise a few lines could fill the "
        "memory. Long texts belong into files of their own, read with `file('...')`.",
        wrong=one("""\
id: example
x-all: &all [1, *all]
steps:
  - uses: value
    with: {numbers: *all}
"""),
        right=one("""\
id: example
x-all: &all [1, 2]
steps:
  - uses: value
    with: {numbers: *all}
"""),
    ),
    Code(
        "E004",
        "YAML that pipelines do not use",
        "Tags (`!...`), merge keys (`<<`), several documents in one file, keys that are lists or maps, and "
        "numbers that JSON does not have (`.nan`, `.inf`, whole numbers beyond 64 bits) are refused: they make "
        "files hard to check, or cannot be stored. Values are reused with anchors, or with `defaults:`.",
        wrong=one("""\
id: example
x-base: &base {text: hello}
steps:
  - uses: value
    with: {<<: *base}
"""),
        right=one("""\
id: example
x-base: &base {text: hello}
steps:
  - uses: value
    with: *base
"""),
    ),
    Code(
        "E005",
        "the file cannot be read as text",
        "The file cannot be opened, is not UTF-8, or has control characters or invisible characters where they do "
        "harm. Editors hide such characters, so nobody could see what is wrong. In a text in double quotes a "
        'control character is written as an escape: `"\\x1b"`.',
        wrong=one("""\
id: example
steps:
  - uses: value
\xa0   with: {text: hello}
"""),
        right=one("""\
id: example
steps:
  - uses: value
    with: {text: hello}
"""),
    ),
)
