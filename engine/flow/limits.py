"""Limits of runs: what a new run has to get through, and what becomes of the others when one has ended.

A run with limits is written with its tickets and cannot be claimed. After the commit `admit` lets the database decide;
when a run has ended, `release` lets the next ones in. What a crash leaves undone between the two, the leader does
within seconds: see Gatekeeper.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from engine.core.gate import ALL_RUNS, ALL_STEPS, CONCURRENCY, RATE, GateRequest
from engine.core.run import RunStatus
from engine.errors import BadRequest, Unavailable
from engine.flow.execution import now
from engine.pipeline.expression import ExpressionError
from engine.pipeline.match import render_key
from engine.pipeline.spec import Limit, Pipeline, Step
from engine.runtime import Runtime
from engine.store import GateNews

AHEAD = 1.1  # seconds that a round looks ahead; a little more than there is between two
LEFT_OUT = 2.0  # seconds after which what an ended run holds was left out by whoever ended it
MOST = 500  # runs in one round
MENDED = 30  # rounds between two looks for what cannot happen


class LimitError(BadRequest):
    """A limit has no key or no number here."""


def gates_of(pipeline: Pipeline, scope: Mapping[str, Any]) -> tuple[GateRequest, ...]:
    """What a run of this pipeline has to get through, in order. LimitError. The scope has `inputs`, `env`, `event`."""
    found = []
    for what, kind, limit in (
        ("rate_limit", RATE, pipeline.rate_limit),
        ("concurrency", CONCURRENCY, pipeline.concurrency),
    ):
        if limit is not None:
            try:
                found.append(make_request(limit, kind, ALL_RUNS if limit.scope == "global" else pipeline.id, scope))
            except ExpressionError as error:
                raise LimitError(f"{what}: {error}") from None
    return tuple(found)


def gate_of_step(pipeline: Pipeline, step: Step, limit: Limit, kind: str, scope: Mapping[str, Any]) -> GateRequest:
    """What an attempt of this step has to get through. ExpressionError."""
    place = ALL_STEPS if limit.scope == "global" else f"{pipeline.id}/{step.key}"
    return make_request(limit, kind, place, scope)


def make_request(limit: Limit, kind: str, place: str, scope: Mapping[str, Any]) -> GateRequest:
    """The limit with its key and its number. ExpressionError if one of them has no value."""
    most = limit.limit if isinstance(limit.limit, int) else limit.limit.render(scope)
    if isinstance(most, bool) or not isinstance(most, int | float) or not 1 <= most <= 2**31 - 1:
        raise ExpressionError("the limit must be a number of at least 1")
    return GateRequest(
        kind=kind,
        scope=place,
        key=render_key(limit.key, scope) if limit.key is not None else "",
        most=int(most),
        on_limit=limit.on_limit,
        max_queued=limit.max_queued,
        period=limit.period if kind == RATE else None,
        burst=limit.burst if kind == RATE else None,
    )


def has_limits(pipeline: Pipeline) -> bool:
    """Whether its runs have to get through anything."""
    return pipeline.concurrency is not None or pipeline.rate_limit is not None


async def admit(runtime: Runtime, run_ids: Sequence[UUID]) -> None:
    """Let those of the new runs begin whose limits let them. What fails here, the leader does a moment later."""
    if not run_ids:
        return
    announce = _is_told(runtime)
    try:
        answers = await asyncio.gather(*(runtime.store.admit(run_id, announce=announce) for run_id in run_ids))
        for news in answers:
            await act_on(runtime, news)
    except Unavailable as error:
        runtime.log.warning("limits.failed", runs=len(run_ids), error=str(error))


async def release(runtime: Runtime, run_id: UUID) -> None:
    """Free what an ended run held, and let the next ones in. What fails here, the leader does a moment later."""
    try:
        await act_on(runtime, await runtime.store.release(run_id, announce=_is_told(runtime)))
    except Unavailable as error:
        runtime.log.warning("limits.failed", runs=1, error=str(error))


async def act_on(runtime: Runtime, news: list[GateNews]) -> None:
    """Ring who may go on, and tell who watches. Of all who get the same news the first one does it."""
    mine = news[:]
    news.clear()
    ended = []
    for row in mine:
        if row.step and (bell := runtime.steps_waiting.get((row.run_id, row.step))) is not None:
            bell.set()
        if row.what == "ended":
            ended.append(row.run_id)
    runtime.queue.ring_soon(list(dict.fromkeys(row.run_id for row in mine if row.what == "ring")))
    if ended:
        for run_id, pipeline in (await runtime.store.pipelines_of(ended)).items():
            runtime.queue.changed(run_id, pipeline, RunStatus.CANCELLED)


class Gatekeeper:
    """The leader's part: what a crash left undone, and runs that a rate limit has put off until now."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._rounds = 0

    async def round(self) -> None:
        """Do what is due, and set the timer for what becomes due before the next round."""
        self._rounds += 1
        store = self._runtime.store
        for run_id in await store.exited(LEFT_OUT, MOST):
            await release(self._runtime, run_id)
        if self._rounds % MENDED == 1:
            await act_on(self._runtime, await store.mend_gates(MOST, announce=_is_told(self._runtime)))
            await store.sweep_gates()
        await self._decide()

    async def _decide(self) -> None:
        store = self._runtime.store
        await admit(self._runtime, await store.undecided(MOST))
        following = await store.next_decision()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if following is not None and (delay := (following - now()).total_seconds()) < AHEAD:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, delay), self._ring)

    def _ring(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._decide_alone())

    async def _decide_alone(self) -> None:
        try:
            await self._decide()
        except Unavailable as error:
            self._runtime.log.warning("limits.failed", error=str(error))


def _is_told(runtime: Runtime) -> bool:
    """Whether a trigger may want to hear of cancelled runs: if unsure, yes. Upkeep announces them."""
    deployments = runtime.deployments
    finished = deployments.current.finished
    return not deployments.loaded or any(RunStatus.CANCELLED in found.config.outcomes for found in finished)
