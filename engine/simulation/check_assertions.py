"""The names in a test's `assert`: roots that exist, steps that the pipeline has."""

from collections.abc import Iterator, Sequence

from engine.pipeline.expression import Expression
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.inference.names import Finding, references

ROOTS = (
    "steps", "outputs", "emitted", "started", "response", "error", "run", "elapsed", "labels", "message", "outcome",
    "compensated", "key", "inputs", "vars", "event", "events",
)  # fmt: skip
STEP = (
    "with", "output", "status", "error", "errors", "calls", "attempts", "cached", "started_at", "finished_at",
)  # fmt: skip


def check_assertion(expression: Expression, steps: Sequence[str] | None) -> Iterator[Finding]:
    """What is wrong with the names; offsets in the text. steps: all names of steps, None: not known."""
    for reference in references(expression.node):
        root, fields = reference.root, reference.fields
        begin = expression.start + root.start
        if root.name not in ROOTS:
            help = did_you_mean(root.name, ROOTS, f"there are: {', '.join(ROOTS)}")
            if steps is not None and root.name in steps:
                help = f"did you mean `steps.{root.name}`?"
            yield Finding("E203", f"there is no `{root.name}`", begin, expression.start + root.end, help)
        elif root.name == "steps" and fields and steps is not None:
            name, start, end = fields[0]
            if name.rpartition("/")[2] not in steps:
                listing = f"there are: {', '.join(steps)}" if steps else ""
                message = f"the pipeline has no step `{name}`"
                yield Finding(
                    "E501",
                    message,
                    expression.start + start,
                    expression.start + end,
                    did_you_mean(name, steps, listing),
                )
            elif len(fields) > 1 and fields[1][0] not in STEP:
                name, start, end = fields[1]
                help = did_you_mean(name, STEP, f"it has: {', '.join(STEP)}")
                yield Finding("E214", f"a step has no `{name}`", expression.start + start, expression.start + end, help)
