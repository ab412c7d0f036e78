"""Plugins that hang, block, grow or hand back nonsense: the run hears of it, and the worker goes on."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.flow import contain
from engine.flow.advance import MAX_DEATHS
from engine.flow.contain import count_leaked
from engine.flow.execution import Hold
from engine.plugin import Fail, Retry, StepContext, Stop, hookimpl
from engine.watchdog import Watchdog
from engine.worker import Holder
from tests.integration.flow.conftest import Anything, House, Probe, decode, open_house


class Odd:
    """An object whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no")


def _cyclic() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


def _raise(problem: BaseException) -> None:
    raise problem


RETURNS: dict[str, Callable[[], Any]] = {
    "object": object,
    "nan": lambda: {"a": [1.0, {"b": float("nan")}], "c": None},
    "infinity": lambda: float("inf"),
    "cyclic": _cyclic,
    "deep": _deep,
    "huge": lambda: "x" * 11_000_000,
    "surrogate": lambda: "\ud800",
    "coroutine": lambda: asyncio.sleep,
    "odd keys": lambda: {(1, 2): 3},
    "exit": lambda: _raise(SystemExit(3)),
    "interrupt": lambda: _raise(KeyboardInterrupt()),
    "generator exit": lambda: _raise(GeneratorExit()),
    "cancelled": lambda: _raise(asyncio.CancelledError()),
    "base": lambda: _raise(BaseException("x")),
    "base group": lambda: _raise(BaseExceptionGroup("x", [SystemExit()])),
    "stop iteration": lambda: _raise(StopIteration()),
    "no text": lambda: _raise(ValueError(Odd())),
    "recursion": lambda: RETURNS["recursion"](),
    "memory": lambda: bytearray(1 << 62),
    "stop": lambda: _raise(Stop("done", output=object())),
    "odd stop": lambda: _raise(Stop(output=float("nan"))),
    "odd error": lambda: _raise(Fail("no", type="odd", data=_cyclic())),
    "odd delay": lambda: _raise(Retry("later", type="late", after=float("nan"))),
    "odd type": lambda: _raise(Fail(7, type=None)),  # type: ignore[arg-type]
}
EXPECTED = {
    "object": ("invalid_output", "not JSON"),
    "nan": ("invalid_output", "a number that JSON does not have, at the output.a[1].b"),
    "infinity": ("invalid_output", "a number that JSON does not have, at the output"),
    "cyclic": ("invalid_output", "not JSON: RecursionError"),
    "deep": ("invalid_output", "not JSON: RecursionError"),
    "huge": ("output_too_large", "11,000,002 bytes"),
    "surrogate": ("invalid_output", "not JSON"),
    "coroutine": ("invalid_output", "not JSON"),
    "odd keys": ("invalid_output", "not JSON"),
    "exit": ("plugin", "raised SystemExit"),
    "interrupt": ("plugin", "raised KeyboardInterrupt"),
    "generator exit": ("plugin", "raised GeneratorExit"),
    "cancelled": ("plugin", "raised CancelledError, though nobody had cancelled it"),
    "base": ("plugin", "raised BaseException"),
    "base group": ("plugin", "raised BaseExceptionGroup"),
    "stop iteration": ("plugin", "RuntimeError"),
    "no text": ("plugin", "its text cannot be had"),
    "recursion": ("plugin", "RecursionError"),
    "memory": ("memory", "needs more memory"),
    "stop": ("invalid_output", "not JSON"),
    "odd stop": ("invalid_output", "a number that JSON does not have"),
    "odd error": ("odd", "no"),
    "odd delay": ("late", "later"),
    "odd type": ("failed", "7"),
}


class Rogue(Probe):
    """Step types that keep no promise."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = asyncio.Event()

    async def at_once(self, config: Anything, context: StepContext) -> Any:
        return RETURNS[config.value]()

    async def later(self, config: Anything, context: StepContext) -> Any:
        await asyncio.sleep(0)
        return RETURNS[config.value]()

    def sync(self, config: Anything, context: StepContext) -> Any:
        return 7

    async def emits(self, config: Anything, context: StepContext) -> None:
        context.emit("odd", RETURNS[config.value]())

    async def uses(self, config: Anything, context: StepContext) -> int:
        context.usage(tokens=object())
        return 1

    async def stubborn(self, config: Anything, context: StepContext) -> Any:
        while not self.freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.freed.wait()
        return "too late"

    async def slow_to_end(self, config: Anything, context: StepContext) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            return "in time after all"

    async def block(self, config: Anything, context: StepContext) -> Any:
        time.sleep(60)

    @hookimpl
    def register_steps(self, register: Any) -> None:
        super().register_steps(register)
        for name in ("at_once", "later", "emits", "uses", "stubborn", "slow_to_end", "block"):
            register(f"rogue.{name}", getattr(self, name), config=Anything, effect="effect")
        register("rogue.pure_gate", self.wait, config=Anything, effect="pure")


@pytest.fixture
def probe() -> Rogue:
    return Rogue()


@pytest.fixture
async def rogue(tmp_path: Path, database_url: str, redis_url: str, probe: Rogue) -> AsyncIterator[House]:
    async with open_house(tmp_path, database_url, redis_url, probe) as opened:
        yield opened
        probe.freed.set()


def one(uses: str, with_: str = "null", more: str = "") -> str:
    after = '{id: after, uses: test.effect, with: "${{ steps.odd.status }}"}'
    return (
        f"id: test\nsteps:\n  - {{id: odd, uses: rogue.{uses}, with: {with_}, on_error: continue{more}}}\n  - {after}"
    )


async def error_of(house: House, **inputs: Any) -> dict[str, Any]:
    run = await house.finish(**inputs)
    assert run.status == "succeeded", decode(run.error)
    (row,) = [row for row in await house.attempts(run.id) if row.step == "odd"]
    assert house.probe.calls[-1][:2] == ("after", "failed")
    return {**decode(row.error), "status": str(row.status)}


@pytest.mark.parametrize("how", ["at_once", "later"])
async def test_nonsense_is_a_failure_of_the_step(rogue: House, how: str) -> None:
    """Whatever it returns or raises; the run goes on as its author says."""
    await rogue.deploy(one(how, "'${{ inputs.what }}'") + "\ninputs: {what: string}")
    found = {}
    for what in RETURNS:
        error = await error_of(rogue, what=what)
        type_, message = EXPECTED[what]
        found[what] = (type_, True) if (error["type"], message in error["message"]) == (type_, True) else error
    assert found == {what: (type_, True) for what, (type_, _) in EXPECTED.items()}


async def test_a_function_that_is_not_async(rogue: House) -> None:
    """It would fail at registration; should it get past, the step fails."""
    catalog = rogue.runtime.catalog
    type_ = catalog.steps["rogue.uses"]
    catalog.steps["rogue.uses"] = msgspec.structs.replace(type_, function=rogue.probe.sync)
    await rogue.deploy(one("uses"))
    assert "is not async: it returned int at once" in (await error_of(rogue))["message"]


async def test_nonsense_in_an_event(rogue: House) -> None:
    """The body of what it emits counts as its output does."""
    await rogue.deploy(one("emits", "cyclic"))
    error = await error_of(rogue)
    assert (error["type"], error["message"].startswith("event `odd`: its body is")) == ("invalid_output", True)


async def test_odd_usage_is_left_out(rogue: House) -> None:
    """Figures are not worth a failure."""
    await rogue.deploy("id: test\nsteps: [{id: odd, uses: rogue.uses, with: 1}]")
    assert (await rogue.finish()).status == "succeeded"


async def test_a_step_that_does_not_heed_its_timeout_is_left_alone(
    rogue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt has timed out, the run goes on; the task goes on too, and nobody listens."""
    monkeypatch.setattr(contain, "STUBBORN", 0.2)
    await rogue.deploy(one("stubborn", more=", timeout: 100ms"))
    error = await error_of(rogue)
    assert (error["type"], error["status"]) == ("timeout", "timed_out")
    assert count_leaked() == 1
    rogue.probe.freed.set()
    async with asyncio.timeout(5):
        while count_leaked():
            await asyncio.sleep(0.01)


async def test_a_step_that_finishes_while_it_is_cancelled_has_finished(rogue: House) -> None:
    """It was in time after all."""
    await rogue.deploy("id: test\nsteps: [{id: odd, uses: rogue.slow_to_end, with: 1, timeout: 50ms}]")
    run = await rogue.finish()
    assert run.status == "succeeded"


async def test_a_run_with_a_step_that_does_not_heed_a_cancellation_ends(
    rogue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelling does not wait for it."""
    monkeypatch.setattr(contain, "STUBBORN", 0.2)
    await rogue.deploy("id: test\nsteps: [{id: odd, uses: rogue.stubborn, with: 1}]")
    store = rogue.runtime.store
    holder = Holder(rogue.runtime, await store.register_worker("worker", "test", 1))
    run_id = await rogue.start()
    await holder.take(None, run_ids=[str(run_id)])
    async with asyncio.timeout(10):
        while not await rogue.attempts(run_id):
            await asyncio.sleep(0.01)
    await store.request_cancel(run_id)
    await holder.beat()
    await holder.idle(5)
    assert (await rogue.run(run_id)).status == "cancelled"


@pytest.mark.timeout(60, method="thread")  # the alarm is the watchdog's
async def test_a_step_that_blocks_the_loop_is_interrupted_and_leases_survive(rogue: House) -> None:
    """Its run hears where it blocked; the other run of the same worker is still its own and ends well."""
    await rogue.deploy(one("block"))
    await rogue.deploy("id: other\nsteps: [{id: gate, uses: test.gate}]", name="other")
    store = rogue.runtime.store
    holder = Holder(rogue.runtime, await store.register_worker("worker", "test", 1))
    rogue.probe.gate = asyncio.Event()
    other = await rogue.start("other")
    await holder.take(None, run_ids=[str(other)])
    async with asyncio.timeout(10):
        await rogue.probe.entered.wait()
    worker = holder.worker_id
    await holder.beat()
    watchdog = Watchdog()
    assert watchdog.start()
    try:
        run_id = await rogue.start()
        await holder.take(None, run_ids=[str(run_id)])
        began = time.monotonic()
        async with asyncio.timeout(10):
            while not rogue.probe.count("after"):
                await asyncio.sleep(0.01)
    finally:
        watchdog.stop()
    assert time.monotonic() - began < 5
    assert await store.rescue() == [], "nobody was declared dead"
    await holder.beat()
    assert holder.worker_id == worker
    rogue.probe.gate.set()
    await holder.idle(10)
    assert (await rogue.run(other)).status == "succeeded"
    (row,) = [row for row in await rogue.attempts(run_id) if row.step == "odd"]
    error = decode(row.error)
    assert (error["type"], "test_containment.py:" in error["message"]) == ("blocked", True)


async def die_in(house: House, run_ids: list[UUID], step: str) -> None:
    """Claim the runs together, kill the worker as soon as the step is at work in one, and rescue what is left."""
    house.probe.gate, holds = asyncio.Event(), [Hold() for _ in run_ids]
    house.probe.entered.clear()
    await house.new_worker()
    tasks = [asyncio.create_task(house.turn(run_id, hold)) for run_id, hold in zip(run_ids, holds, strict=True)]
    async with asyncio.timeout(10):
        await house.probe.entered.wait()
        for _ in range(20):
            await asyncio.sleep(0.01)  # whoever else can begin does
    for hold, task in zip(holds, tasks, strict=True):
        hold.reason = "lost"
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    house.worker = None
    await house.runtime.store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60))
    house.probe.gate = None


async def test_a_pure_step_that_kills_its_worker_is_given_up_as_well(rogue: House) -> None:
    """It leaves no mark while all is well; after the first death it does."""
    await rogue.deploy("id: test\nsteps: [{id: gate, uses: rogue.pure_gate, with: 1}]")
    run_id = await rogue.start()
    for _ in range(4):
        await die_in(rogue, [run_id], "gate")
    assert await rogue.turn(run_id)
    run = await rogue.run(run_id)
    assert (run.status, decode(run.error)["type"]) == ("failed", "interrupted")
    assert rogue.probe.count("gate") == 4


async def test_who_was_only_there_when_the_worker_died_is_not_given_up(rogue: House) -> None:
    """After two deaths such steps run one at a time: the third death is that of the one that was at work."""
    await rogue.deploy("id: test\nsteps: [{id: gate, uses: test.gate}]")
    run_ids = [await rogue.start() for _ in range(3)]
    for _ in range(3):
        await die_in(rogue, run_ids, "gate")
    for run_id in run_ids:
        assert await rogue.turn(run_id)
    statuses = [str((await rogue.run(run_id)).status) for run_id in run_ids]
    assert sorted(statuses) == ["failed", "succeeded", "succeeded"]


async def test_a_run_that_kills_its_workers_outside_of_steps_is_given_up(rogue: House) -> None:
    """Whatever it is: not for ever."""
    await rogue.deploy("id: test\nsteps: [{uses: value, with: 1}]")
    run_id = await rogue.start()
    for _ in range(MAX_DEATHS):
        assert await rogue.runtime.store.claim([run_id], await rogue.new_worker(), 1)
        await rogue.runtime.store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60))
    await rogue.new_worker()
    assert await rogue.turn(run_id)
    run = await rogue.run(run_id)
    assert (run.status, decode(run.error)["message"]) == (
        "failed",
        f"given up: {MAX_DEATHS} workers died while they held this run",
    )
