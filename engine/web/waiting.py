"""Why a run is not getting on right now, in one sentence."""

from collections.abc import Sequence
from datetime import datetime

from engine.core.duration import format_duration
from engine.core.run import RunStatus, split_round
from engine.store.rows import RunRow, RunSummary, StoredAttempt


def explain_wait(run: RunSummary, attempts: Sequence[StoredAttempt], now: datetime) -> str | None:
    """The reason, or None for a run that has ended."""
    if run.status == RunStatus.RUNNING:
        return _running(run)
    if run.status == RunStatus.WAITING:
        return _waiting(run, attempts, now)
    if run.status == RunStatus.QUEUED:
        return _queued(run, now)
    return None


def _running(run: RunSummary) -> str:
    cancel = "; it was asked to stop" if run.cancel_requested else ""
    worker = run.worker if isinstance(run, RunRow) else None  # lists do not read it
    return f"held by worker {worker}{cancel}" if worker else f"held by a worker{cancel}"


def _waiting(run: RunSummary, attempts: Sequence[StoredAttempt], now: datetime) -> str:
    last = next((item for item in reversed(attempts) if item.due_at is not None and counts(item)), None)
    what = run.waiting_for or (f"attempt {last.number + 1} of step {last.step}" if last else "its time")
    if run.due_at is None:
        return f"waits for {what}"
    return f"waits for {what}: due {_clock(run.due_at)}{_distance(run.due_at, now)}"


def counts(attempt: StoredAttempt) -> bool:
    """Whether nothing has taken its place."""
    return split_round(attempt.step)[0] is None


def _queued(run: RunSummary, now: datetime) -> str:
    if run.due_at is None and run.waiting_for:
        return f"is {run.waiting_for}" if run.waiting_for.startswith("paused") else f"waits for {run.waiting_for}"
    if run.due_at is not None and run.due_at > now:
        return f"starts at {_clock(run.due_at)}{_distance(run.due_at, now)}"
    since = max(run.created_at, run.due_at or run.created_at)
    waited = (now - since).total_seconds()
    hint = "; no worker has taken it yet: is one running?" if waited > 10 else ""
    return f"queued since {_clock(since)} ({format_duration(max(0.0, waited))}){hint}"


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _distance(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    return f" (in {format_duration(seconds)})" if seconds > 0 else " (now)"
