"""What a run and its attempts are: states, errors, decisions."""

from enum import StrEnum
from typing import Any

import msgspec


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"  # due now or later, held by nobody
    RUNNING = "running"  # held by a worker
    WAITING = "waiting"  # waits for a time or an event, held by nobody
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})


class AttemptStatus(StrEnum):
    """How one try of one step went."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"  # its `if` was false
    INTERRUPTED = "interrupted"  # the worker stopped or died; does not count as a try


EARLIER = "~"  # begins the keys of attempts that a retry or resume has superseded: `~2/charge` belongs to the second
REOPENED = "reopened"  # type of the note at an attempt that hands its inputs to the next one: nothing was tried


def split_round(key: str) -> tuple[int | None, str]:
    """The round that superseded an attempt, and the key of its step; None: it still counts."""
    if not key.startswith(EARLIER):
        return None, key
    number, _, rest = key[len(EARLIER) :].partition("/")
    return (int(number), rest) if number.isdigit() else (None, key)


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is stored and as `error` in expressions: fields of language.md 3.5."""

    type: str
    message: str
    step: str | None = None
    attempt: int | None = None
    data: Any = None


class Decision(msgspec.Struct, frozen=True):
    """Why a trigger did or did not start a run for an event."""

    pipeline: str
    trigger: str
    matched: bool
    # matched | event_type | condition_false | condition_error | invalid_inputs | disabled | duplicate | dedup_error |
    # limit_error: a limit has no key or number; dropped | superseded: a limit has ended the run before it began |
    # chain_too_long
    # debounced | batched: it waits for others, in the burst or batch `gather`, which becomes a run at `due_at` (null:
    # when it is full); debounce_error | batch_error: its key has no value; pipeline_removed | trigger_removed |
    # event_gone | disabled | invalid_inputs about the last event of such: no run came of its `size` events
    reason: str
    detail: dict[str, Any] = {}  # e.g. {"condition": "...", "values": {"event.body.x": 1}, "error": "..."}
