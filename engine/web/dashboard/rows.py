"""What the pages show of runs and events beyond what the API says."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from engine.core.run import AttemptStatus, split_round
from engine.flow.frame import parts
from engine.pipeline.spec import Pipeline, Step
from engine.store.rows import StoredAttempt
from engine.web.api.models import Attempt, Run, attempt_model
from engine.web.dashboard.pictures import Span

MOST_STEPS = 400  # on one page


class RunLine(Run, frozen=True, kw_only=True):
    """A run in a list, with its error as one line."""

    error_text: str


class AttemptLine(Attempt, frozen=True, kw_only=True):
    """An attempt with its error as one line."""

    error_text: str


class StepRow(Struct, frozen=True, kw_only=True):
    """All attempts of one step."""

    key: str
    uses: str
    attempts: list[AttemptLine]
    error: dict[str, Any] | None  # of the last attempt
    usage: str
    seconds: float | None

    @property
    def last(self) -> AttemptLine:
        """The newest attempt."""
        return self.attempts[-1]


def run_lines(runs: Sequence[Run]) -> list[RunLine]:
    """Runs for a table."""
    return [RunLine(**msgspec.structs.asdict(run), error_text=error_line(read_error(run.error))) for run in runs]


def step_rows(attempts: list[StoredAttempt], uses: dict[str, str], now: datetime) -> list[StepRow]:
    """Attempts by step, in the order the steps began."""
    grouped: dict[str, list[StoredAttempt]] = {}
    for attempt in attempts:
        grouped.setdefault(attempt.step, []).append(attempt)
    return [_step_row(key, sorted(tries, key=_number), uses, now) for key, tries in grouped.items()]


def earlier_rounds(attempts: list[StoredAttempt], now: datetime) -> list[tuple[int, list[AttemptLine]]]:
    """What has been superseded, by the round that took its place, the newest first."""
    rounds: dict[int, list[AttemptLine]] = {}
    for item in attempts:
        number, _ = split_round(item.step)
        if number is not None:
            rounds.setdefault(number, []).append(_line(item, now))
    return sorted(rounds.items(), reverse=True)


def counting(attempts: list[StoredAttempt]) -> list[StoredAttempt]:
    """Those that nothing has superseded."""
    return [item for item in attempts if split_round(item.step)[0] is None]


def count_steps(attempts: list[StoredAttempt]) -> int:
    """How many steps these are attempts of."""
    return len({attempt.step for attempt in attempts})


def most_telling(attempts: list[StoredAttempt]) -> list[StoredAttempt]:
    """The attempts that a page shows: of a loop with thousands of items, those that failed or run, then the first."""
    keys = list(dict.fromkeys(attempt.step for attempt in attempts))
    if len(keys) <= MOST_STEPS:
        return attempts
    telling = {item.step for item in attempts if item.status not in (AttemptStatus.SUCCEEDED, AttemptStatus.SKIPPED)}
    keys.sort(key=lambda key: 0 if "[" not in key.partition("/")[0] else 1 if key in telling else 2)
    chosen = set(keys[:MOST_STEPS])
    return [attempt for attempt in attempts if attempt.step in chosen]


def step_types(pipeline: Pipeline) -> dict[str, str]:
    """What every step uses, by its own key; called pipelines included."""
    found: dict[str, str] = {}
    for callee in pipeline.called.values():
        found |= step_types(callee)
    for section in (pipeline.steps, pipeline.on_error, pipeline.finally_):
        found |= _types_of(section)
    return found


def spans(attempts: list[StoredAttempt]) -> list[Span]:
    """Attempts for the timeline, in the order the steps began."""
    started = [item for item in attempts if item.started_at is not None and item.status != AttemptStatus.SKIPPED]
    return [
        Span(item.step, item.number, str(item.status), item.started_at, item.finished_at)
        for item in started
        if item.started_at is not None
    ]


def count_tokens(attempts: list[StoredAttempt]) -> str:
    """Tokens of all attempts as text; empty if no step used any."""
    read = written = 0
    for attempt in attempts:
        usage = read_object(attempt.usage)
        read += _whole(usage.get("input_tokens"))
        written += _whole(usage.get("output_tokens"))
    return f"{_grouped(read)} in, {_grouped(written)} out" if read or written else ""


def read_object(data: bytes | msgspec.Raw | None) -> dict[str, Any]:
    """Stored JSON that should be an object; an empty one if it is not."""
    if data is None:
        return {}
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def read_error(data: bytes | msgspec.Raw | None) -> dict[str, Any] | None:
    """A stored error with every field that pages ask for, or None."""
    if data is None:
        return None
    return {"type": None, "message": "", "step": None, "attempt": None, "data": None} | read_object(data)


def error_line(error: dict[str, Any] | None) -> str:
    """An error as one line; empty for None."""
    if error is None:
        return ""
    where = f"{error['step']}: " if error.get("step") else ""
    return f"{where}{error.get('message') or error.get('type') or 'failed'}"[:300]


def _types_of(steps: tuple[Step, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in steps:
        found[step.key] = step.uses or step.shape
        for part in parts(step):
            found |= _types_of(part)
    return found


def _uses_of(key: str, uses: dict[str, str]) -> str:
    """`enrich[3]/company` is a `company`, `enrich[3]` an iteration of `enrich`, `page#2/alert` an `alert`."""
    own = key.rpartition("/")[2]
    return uses.get(own) or uses.get(own.rpartition("[")[0], "")


def _step_row(key: str, tries: list[StoredAttempt], uses: dict[str, str], now: datetime) -> StepRow:
    attempts = [_line(item, now) for item in tries]
    first, last = tries[0], tries[-1]
    end = last.finished_at or (now if last.status == AttemptStatus.RUNNING else None)
    seconds = (end - first.started_at).total_seconds() if end and first.started_at else None
    if last.status == AttemptStatus.SKIPPED:
        seconds = None
    usage = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in read_object(last.usage).items())
    return StepRow(
        key=key,
        uses=_uses_of(key, uses),
        attempts=attempts,
        error=read_error(last.error),
        usage=usage,
        seconds=None if seconds is None else max(0.0, seconds),
    )


def _line(item: StoredAttempt, now: datetime) -> AttemptLine:
    return AttemptLine(
        **msgspec.structs.asdict(attempt_model(item, now)), error_text=error_line(read_error(item.error))
    )


def _number(attempt: StoredAttempt) -> int:
    return attempt.number


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", "\u2009")  # a thin space


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
