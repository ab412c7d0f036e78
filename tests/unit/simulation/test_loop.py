"""Virtual time."""

import asyncio
import socket
import time

import pytest

from engine.simulation.loop import NothingHappens, run_virtual


def test_a_month_takes_no_time() -> None:
    """The clock jumps to the next timer."""

    async def work() -> float:
        await asyncio.sleep(30 * 86400)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert run_virtual(work()) == 30 * 86400
    assert time.perf_counter() - began < 1


def test_timers_fire_in_their_order() -> None:
    """Whoever is due first comes first, whatever the order they were made in."""
    order: list[tuple[int, float]] = []

    async def wait(seconds: int) -> None:
        await asyncio.sleep(seconds)
        order.append((seconds, asyncio.get_running_loop().time()))

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (300, 100, 200):
                group.create_task(wait(seconds))

    run_virtual(work())
    assert order == [(100, 100.0), (200, 200.0), (300, 300.0)]


def test_timeouts_use_the_virtual_clock() -> None:
    """A time-out cuts a longer sleep at its virtual moment."""

    async def work() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(10)
        return asyncio.get_running_loop().time()

    assert run_virtual(work()) == 5


def test_a_dead_end_is_told() -> None:
    """Where everybody waits and nothing is due, waiting for it would take for ever."""

    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingHappens):
        run_virtual(work())


def test_threads_come_back() -> None:
    """Work in a thread takes real time; the virtual clock stands still."""

    async def work() -> tuple[int, float]:
        return await asyncio.to_thread(sum, [1, 2]), asyncio.get_running_loop().time()

    assert run_virtual(work()) == (3, 0.0)


def test_the_loop_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the pair of sockets that other loops wake themselves with."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "socketpair", refuse)
    run_virtual(asyncio.sleep(1))
