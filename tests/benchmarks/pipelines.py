"""The pipelines of the common workload, written as files for the processes to load."""

from pathlib import Path

SECRET_NAME = "BENCH"
SECRET = "bench-secret-0123456789abcdef"

TRIGGER = """\
id: {id}
triggers:
  - uses: github.webhook
    with: {{path: {id}, secret: "${{{{ secrets.BENCH }}}}", events: [issues]}}
    if: event.body.action == 'opened'
"""

# W2: take id, time and title from the body; POST them; record the result.
SEND = """\
steps:
  - id: take
    uses: {keep}
    with:
      id: ${{{{ event.body.id ?? null }}}}
      t: ${{{{ event.body.t ?? null }}}}
      title: ${{{{ event.body.title ?? null }}}}
  - id: send
    uses: http.request
    with:
      method: POST
      url: {url}
      json: ${{{{ steps.take.output }}}}
  - id: record
    uses: {keep}
    with:
      id: ${{{{ steps.take.output.id }}}}
      status: ${{{{ steps.send.output.status }}}}
"""

# W5: what waits, what comes for it, and timers that are all due at the same time.
WAITING = """\
id: waiting
inputs: {number: integer}
steps:
  - id: paid
    wait:
      events: [{source: "git*", type: "iss*", if: incoming.body.n == inputs.number}]
      timeout: 20d
"""
HEARD = "steps:\n  - uses: value\n"
TIMER = """\
steps:
  - id: pause
    wait: {until: "${{ (event.body.t ?? 0) // 1000000000 // 8 * 8 + 16 }}"}
"""


# W6: a loop over many items.
LOOP = """\
vars: {numbers: "${{ range(10000) }}"}
steps:
  - id: each
    for_each: {items: "${{ vars.numbers }}", concurrency: 100}
    uses: bench.keep
    with: {number: "${{ item }}"}
"""


def write_pipelines(directory: Path, sink: str) -> None:
    """One file for each path under /hooks."""
    directory.mkdir()
    texts = {
        "bench": SEND.format(keep="value", url=sink),
        "awaited": SEND.format(keep="bench.keep", url=sink),
        "chain": steps("bench.tiny", 40),
        "pure": steps("bench.pure", 10),
        "effects": steps("bench.effect", 20),
        "timer": TIMER,
        "loop": LOOP,
    }
    (directory / "waiting.yaml").write_text(WAITING)
    heard = TRIGGER.format(id="heard").replace("== 'opened'", "== 'never'")
    (directory / "heard.yaml").write_text(heard + HEARD)
    for name, text in texts.items():
        (directory / f"{name}.yaml").write_text(TRIGGER.format(id=name) + text)


def steps(uses: str, count: int) -> str:
    """So many steps of one type."""
    return "steps:\n" + "".join(f"  - uses: {uses}\n" for _ in range(count))
