"""E5: test files."""

from engine.pipeline.codes.code import FILE, Code

TEST = "tests/example.test.yaml"
PIPELINE = """\
id: example
inputs: {name: string}
steps:
  - id: greet
    uses: value
    with: {text: "Hello ${{ inputs.name }}"}
"""

TESTS = (
    Code(
        "E501",
        "a test names something that the pipeline does not have",
        "A test that mocks or expects a step, input, output or label that does not exist could never say anything "
        "about the pipeline: it would pass although nothing is tested, or fail for no reason.",
        wrong={
            FILE: PIPELINE,
            TEST: """\
pipeline: example
tests:
  - name: greets by name
    inputs: {name: Mia}
    expect:
      ran: [gret]
""",
        },
        right={
            FILE: PIPELINE,
            TEST: """\
pipeline: example
tests:
  - name: greets by name
    inputs: {name: Mia}
    expect:
      ran: [greet]
""",
        },
    ),
    Code(
        "E502",
        "parts of a test exclude each other",
        "A run is started by one thing: `event`, `events` or `raw`; a mock either answers (`output`) or fails "
        "(`error`).",
        wrong={
            FILE: PIPELINE,
            TEST: """\
pipeline: example
tests:
  - name: greets by name
    inputs: {name: Mia}
    mocks:
      greet:
        output: {text: Hello}
        error: {type: network}
""",
        },
        right={
            FILE: PIPELINE,
            TEST: """\
pipeline: example
tests:
  - name: greets by name
    inputs: {name: Mia}
    mocks:
      greet:
        output: {text: Hello}
""",
        },
    ),
)
