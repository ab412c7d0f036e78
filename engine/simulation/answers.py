"""What an old run's steps answered, in the place of their effects in a rehearsal of another version."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.core.run import AttemptStatus, ErrorInfo
from engine.pipeline.comparison import changes
from engine.pipeline.expression import compile_template
from engine.pipeline.spec import Pipeline, Step
from engine.simulation.environment import REAL
from engine.simulation.keys import Keys
from engine.simulation.mocks import RETRYABLE, Answer, Mock, Mocks, literal
from engine.simulation.recording import OWN_ERRORS, has_effect, recorded_wait
from engine.store import StoredAttempt

FAILURES = (AttemptStatus.FAILED, AttemptStatus.TIMED_OUT)
OPEN = (AttemptStatus.RUNNING, AttemptStatus.INTERRUPTED)
EARLIER = "~"  # begins the keys of attempts that a retry has superseded


class LastingMock(Mock):
    """Its last answer stands for all further calls."""

    def next(self) -> Answer | None:
        """The answer to the next call."""
        self.used += 1
        return self.answers[min(self.used, len(self.answers)) - 1]


class OldAnswers(Mocks):
    """By the full key of a step; nothing else stands in for anything."""

    def __init__(self, mocks: Mapping[str, Mock]) -> None:
        self.mocks = dict(mocks)

    def find(self, names: Iterable[str], uses: str, *, real: bool = False) -> Mock | None:
        """The mock of the step; the first name is its key."""
        return next((self.mocks[name] for name in list(names)[:1] if name in self.mocks), None)


class Recorded(msgspec.Struct):
    """What is known of the old run."""

    mocks: dict[str, Mock] = {}
    alike: dict[tuple[str, bytes], Mock] = {}  # by step type and input: for steps whose key has changed
    approvals: dict[str, Any] = {}
    timeline: list[dict[str, Any]] = []
    vars: dict[str, Any] = {}
    settled: frozenset[str] = frozenset()  # keys of steps that are what they were


def read_answers(
    attempts: Sequence[StoredAttempt],
    old: Pipeline | None,
    new: Pipeline,
    catalog: Catalog,
    *,
    vars: bytes | None,
    began: str,
) -> Recorded:
    """Everything that the rehearsal of the new version may need. old None: its version cannot be read any more."""
    recorded = Recorded()
    before, after = Keys(old or new), Keys(new)
    approvals: dict[str, list[dict[str, Any]]] = {}
    by_key: dict[str, list[StoredAttempt]] = {}
    for row in attempts:
        if row.status not in OPEN and not row.step.startswith(EARLIER):
            by_key.setdefault(row.step, []).append(row)
    settled = []
    for key, rows in by_key.items():
        one, other = before.find(key), after.find(key)
        same = one is not None and other is not None and not changes(one.place.step, other.place.step)
        settled += [key] if same else []
        if one is None or rows[-1].status == AttemptStatus.SKIPPED:
            continue
        step = one.place.step
        if step.for_each is not None and not one.item:
            continue
        if step.shape == "wait":
            recorded_wait(one, _plain(rows[-1]), began, approvals, recorded.timeline)
        elif step.shape == "action" and step.uses not in REAL:
            volatile = same and step.repeat is None and (step.with_.volatile or _volatile_output(step))
            if not has_effect(catalog, step.uses) and not volatile:
                continue
            mock = _mock(key, rows, step)
            if mock is not None:
                recorded.mocks[key] = mock
                stored = next((row.input for row in rows if row.input is not None), None)
                if stored is not None and not volatile and (other is None or (step.uses, stored) not in recorded.alike):
                    recorded.alike[step.uses, stored] = mock  # best of a step that is gone: this may be its new name
    recorded.settled = frozenset(settled)
    recorded.approvals = {name: items[0] if len(items) == 1 else items for name, items in approvals.items()}
    values = msgspec.json.decode(vars) if vars is not None else {}
    for name, template in new.vars.items():
        same = old is not None and old.vars.get(name) == template
        if same and name in values and (template.volatile or "env" in template.roots):
            recorded.vars[name] = values[name]
    return recorded


def _mock(key: str, rows: Sequence[StoredAttempt], step: Step) -> Mock | None:
    again = any(row.due_at is not None for row in rows)
    answers = [found for row in rows if (found := _answer(row, step, again=again)) is not None]
    return LastingMock(key, tuple(answers), listed=True) if answers else None


def _answer(row: StoredAttempt, step: Step, *, again: bool) -> Answer | None:
    """What the step type answered, or what the step kept of it; None: the engine refused before it was asked."""
    seconds = (row.finished_at - row.started_at).total_seconds() if row.finished_at and row.started_at else 0.0
    seconds = 0.0 if row.cached else max(seconds, 0.0)
    if row.status in FAILURES:
        error = msgspec.json.decode(row.error, type=ErrorInfo) if row.error else ErrorInfo("unknown", "it failed")
        if error.type in OWN_ERRORS:
            return None
        return Answer(error=error, retryable=again or error.type in RETRYABLE, seconds=seconds)
    output = msgspec.json.decode(row.output) if row.output is not None else None
    raw = step.output is None or step.repeat is not None
    return Answer(output=compile_template(literal(output)), kept=not raw, seconds=seconds)


def _volatile_output(step: Step) -> bool:
    return step.output is not None and step.output.volatile


def _plain(row: StoredAttempt) -> dict[str, Any]:
    """The attempt as the API shows it."""
    return {
        "output": msgspec.json.decode(row.output) if row.output is not None else None,
        "started_at": row.started_at.isoformat() if row.started_at is not None else "",
        "finished_at": row.finished_at.isoformat() if row.finished_at is not None else "",
    }
