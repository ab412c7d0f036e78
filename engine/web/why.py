"""Why is it waiting, why did it not fire: everything that keeps a run or an event, in sentences."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from engine.core.duration import format_duration
from engine.core.run import ErrorInfo, RunStatus
from engine.errors import NotFound
from engine.runtime import Runtime
from engine.store.explaining import Crew, Gathering, Slot
from engine.store.rows import RunRow, StoredAttempt
from engine.web.explain import explain_decision, show

SILENT = 3.0  # seconds without a heartbeat that are worth a word
LATE = 2.0  # seconds a due run may reasonably lie before a worker takes it


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that keeps it, or kept it."""

    # held | step | cancel | slot | rate | paused | no_worker | backlog | due_later | retry | approval | wait | late |
    # ended | decision | nobody_listens | started | gathering | ended_wait
    kind: str
    text: str
    detail: dict[str, Any] = {}


class Why(msgspec.Struct, frozen=True):
    """What is known about a run or an event: one sentence, then the reasons."""

    id: UUID
    status: str
    summary: str
    reasons: list[Reason]


async def why_run(runtime: Runtime, run_id: UUID, moment: datetime | None = None) -> Why:
    """What the run waits for, or how it ended. NotFound if there is no such run."""
    run = await runtime.store.get_run(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    attempts = await runtime.store.get_attempts(run_id)
    reasons = await reasons_of(runtime, run, attempts, moment or datetime.now(UTC))
    return Why(run.id, str(run.status), reasons[0].text, reasons)


async def reasons_of(runtime: Runtime, run: RunRow, attempts: list[StoredAttempt], moment: datetime) -> list[Reason]:
    """The most telling one first; at least one."""
    if run.status == RunStatus.RUNNING:
        return await _running(runtime, run, attempts, moment)
    if run.status in (RunStatus.QUEUED, RunStatus.WAITING):
        return await _standing(runtime, run, attempts, moment)
    return [_ended(run, moment)]


async def _running(runtime: Runtime, run: RunRow, attempts: list[StoredAttempt], moment: datetime) -> list[Reason]:
    reasons = []
    holder = await runtime.store.find_holder(run.worker) if run.worker is not None else None
    if holder is None:
        text = "It was held by a worker that is gone; it goes on at another within 10 s"
        return [Reason("held", f"{text}.", {"worker": str(run.worker)})]
    for attempt in attempts:
        if attempt.status == "running" and attempt.started_at is not None:
            took = format_duration((moment - attempt.started_at).total_seconds())
            reasons.append(
                Reason(
                    "step",
                    f"Step `{attempt.step}`, attempt {attempt.number}, has been under way for {took}.",
                    {"step": attempt.step, "attempt": attempt.number, "since": attempt.started_at.isoformat()},
                )
            )
    silent = f", silent for {format_duration(holder.silent)}" if holder.silent > SILENT else ""
    reasons.append(
        Reason(
            "held",
            f"It is held by worker {holder.id} ({holder.host}, process {holder.pid}{silent}).",
            {"worker": str(holder.id), "host": holder.host, "pid": holder.pid, "silent": round(holder.silent, 1)},
        )
    )
    if run.cancel_requested:
        reasons.append(Reason("cancel", "It was asked to stop, and ends at its next safe point."))
    return reasons


async def _standing(runtime: Runtime, run: RunRow, attempts: list[StoredAttempt], moment: datetime) -> list[Reason]:
    store = runtime.store
    reasons = [
        Reason(
            "paused",
            f"The {pause.kind} `{pause.name}` is paused by {pause.by} since {_clock(pause.at)}"
            f"{': ' + pause.reason if pause.reason else ''}. "
            f"`hookwright resume {pause.kind} {pause.name}` lets it go on.",
            {"kind": pause.kind, "name": pause.name, "by": pause.by, "since": pause.at.isoformat()},
        )
        for pause in await store.pauses_of(run.id)
    ]
    reasons += [_slot(slot) for slot in await store.missing_slots(run.id)]
    reasons += [
        Reason(
            "approval",
            f"Step `{question.step}` waits for a decision by people since {_clock(question.created_at)}: "
            f"{show(question.prompt)}. Without one it times out at {_clock(question.expires_at)}.",
            {"approval": str(question.id), "step": question.step, "expires_at": question.expires_at.isoformat()},
        )
        for question in await store.open_questions(run.id)
    ]
    crew = await store.count_crew(run.queue)
    reasons += _crew(run, crew)
    retry = next((row for row in reversed(attempts) if row.due_at is not None and row.due_at > moment), None)
    if retry is not None and retry.due_at is not None and retry.error is not None:
        error = msgspec.json.decode(retry.error, type=ErrorInfo)
        reasons.append(
            Reason(
                "retry",
                f"Attempt {retry.number} of step `{retry.step}` failed ({error.type}: {error.message}); "
                f"the next one is due at {_clock(retry.due_at)}{_distance(retry.due_at, moment)}.",
                {"step": retry.step, "attempt": retry.number, "due_at": retry.due_at.isoformat()},
            )
        )
    elif run.waiting_for and not any(reason.kind in ("slot", "rate", "approval", "paused") for reason in reasons):
        due = f", due at {_clock(run.due_at)}{_distance(run.due_at, moment)}" if run.due_at is not None else ""
        reasons.append(Reason("wait", f"It waits for {run.waiting_for}{due}.", _due(run)))
    elif run.due_at is not None and run.due_at > moment and not reasons:
        text = f"It starts at {_clock(run.due_at)}{_distance(run.due_at, moment)}."
        reasons.append(Reason("due_later", text, _due(run)))
    if run.due_at is not None and run.due_at <= moment and crew.serving:
        reasons.append(await _late(runtime, run, moment))
    return reasons or [Reason("wait", "It waits, and nobody knows why: `hookwright doctor --heal` looks.")]


def _slot(slot: Slot) -> Reason:
    what = f"Step `{slot.step}`" if slot.step else "It"
    key = f"`{slot.key}`" if slot.key else "its pipeline" if not slot.step else "this step"
    ahead = f"; {slot.ahead} wait{'s' if slot.ahead == 1 else ''} before it" if slot.ahead else ""
    detail = {
        "key": slot.key, "limit": slot.most, "held": slot.held, "ahead": slot.ahead,
        "holders": [str(holder) for holder in slot.holders],
    }  # fmt: skip
    if slot.step:
        detail["step"] = slot.step
    if slot.kind == "rate":
        return Reason("rate", f"{what} waits for its turn in the rate limit of {key}{ahead}.", detail)
    held = f", held by run{'s' if len(slot.holders) > 1 else ''} {', '.join(map(str, slot.holders))}"
    more = f" and {slot.held - len(slot.holders)} more" if slot.held > len(slot.holders) else ""
    text = f"{what} waits for a slot of {key} ({slot.most} at a time{held if slot.holders else ''}{more}){ahead}."
    return Reason("slot", text, detail)


def _crew(run: RunRow, crew: Crew) -> list[Reason]:
    if not crew.alive:
        return [Reason("no_worker", "No worker is running: start one with `hookwright worker`, or `hookwright up`.")]
    if not crew.serving:
        text = f"No worker serves the queue `{run.queue}`: start one with `hookwright worker --queues {run.queue}`."
        return [Reason("no_worker", text, {"queue": run.queue, "workers": crew.alive})]
    return []


async def _late(runtime: Runtime, run: RunRow, moment: datetime) -> Reason:
    assert run.due_at is not None
    late = (moment - run.due_at).total_seconds()
    ahead = await runtime.store.count_ahead(run.queue, run.id)
    detail = {"due_at": run.due_at.isoformat(), "ahead": ahead, "queue": run.queue}
    if ahead:
        text = f"It is due since {_clock(run.due_at)}; {ahead:,} runs of queue `{run.queue}` were made before it."
        return Reason("backlog", text, detail)
    if late < LATE:
        return Reason("late", "It is due now; a worker takes it in a moment.", detail)
    text = f"It is due since {_clock(run.due_at)} ({format_duration(late)}), and the workers are busy or were not rung."
    return Reason("late", f"{text} Upkeep rings again by itself within 10 s.", detail)


def _ended(run: RunRow, moment: datetime) -> Reason:
    ended = f" {format_duration((moment - run.finished_at).total_seconds())} ago" if run.finished_at else ""
    if run.error is None:
        return Reason("ended", f"It {run.status}{ended}{': ' + run.message if run.message else ''}.")
    error = msgspec.json.decode(run.error, type=ErrorInfo)
    where = f" in step `{error.step}`" if error.step else ""
    verb = "failed" if run.status == RunStatus.FAILED else "was cancelled"
    text = f"It {verb}{ended}{where}: {error.message} ({error.type})."
    return Reason("ended", text, {"error": msgspec.to_builtins(error)})


async def why_event(runtime: Runtime, event_id: UUID) -> Why:
    """Which runs an event started, and why others not. NotFound if there is no such event."""
    event = await runtime.store.get_event(event_id)
    if event is None:
        raise NotFound(f"there is no event {event_id}")
    store = runtime.store
    reasons = []
    runs = await store.runs_of_event(event_id)
    for run in runs:
        text = f"It started run {run.id} of {run.pipeline}, which is {run.status}."
        if run.status not in ("succeeded", "running"):
            text += f" {(await why_run(runtime, run.id)).summary}"
        reasons.append(
            Reason("started", text, {"run": str(run.id), "pipeline": run.pipeline, "status": str(run.status)})
        )
    started = {(run.pipeline, run.trigger) for run in runs}
    reasons += [_gathering(row) for row in await store.gatherings_of(event_id)]
    for run_id, step in await store.waits_ended_by(event_id):
        text = f"It ended the wait `{step}` of run {run_id}."
        reasons.append(Reason("ended_wait", text, {"run": str(run_id), "step": step}))
    for decision in await store.list_decisions(event_id):
        if decision.matched and (decision.pipeline, decision.trigger) in started:
            continue
        text = explain_decision(decision.pipeline, decision.trigger, decision.matched, decision.reason, decision.detail)
        reasons.append(
            Reason(
                "decision",
                text,
                {"pipeline": decision.pipeline, "trigger": decision.trigger, "reason": decision.reason},
            )
        )
    if not reasons:
        reasons.append(
            Reason(
                "nobody_listens",
                f"No trigger of a deployed pipeline listened to {event.source} events"
                f"{' on /hooks/' + event.path if event.path else ''} when it came.",
            )
        )
    count = len(runs)
    summary = f"It started {count} run{'' if count == 1 else 's'}." if count else "It started no run."
    return Why(event_id, "started" if runs else "no_run", summary, reasons)


def _gathering(row: Gathering) -> Reason:
    what = "burst" if row.kind == "debounce" else "batch"
    size = f" of {row.size} events" if row.kind == "batch" else ""
    key = f" for the key `{row.key}`" if row.key else ""
    due = f"becomes a run at {_clock(row.due_at)}" if row.due_at is not None else "becomes a run when it is full"
    text = f"It is in a {what}{size} of {row.pipeline}/{row.trigger}{key}, which {due}."
    return Reason("gathering", text, {"pipeline": row.pipeline, "trigger": row.trigger, "key": row.key})


def _due(run: RunRow) -> dict[str, Any]:
    return {} if run.due_at is None else {"due_at": run.due_at.isoformat()}


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _distance(at: datetime, moment: datetime) -> str:
    seconds = (at - moment).total_seconds()
    return f" (in {format_duration(seconds)})" if seconds > 0 else ""
