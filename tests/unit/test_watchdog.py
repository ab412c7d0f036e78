"""The watchdog of the event loop."""

import asyncio
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from engine.watchdog import Blocked, Watchdog, guard

pytestmark = pytest.mark.timeout(60, method="thread")  # the alarm is the watchdog's


@pytest.fixture
async def watchdog() -> Iterator[Watchdog]:
    """With less patience than in earnest."""
    watchdog = Watchdog(patience=1.2)
    assert watchdog.start()
    yield watchdog
    watchdog.stop()


@guard
async def call(work: object) -> None:
    work()


def sleep_long() -> None:
    time.sleep(30)


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("work", [sleep_long, spin])
async def test_a_guarded_call_that_keeps_the_loop_is_interrupted(watchdog: Watchdog, work: object) -> None:
    """It gets an exception that says where it was, and the loop turns again."""
    began = time.monotonic()
    with pytest.raises(Blocked, match=rf"test_watchdog\.py:\d+ in {work.__name__}"):
        await asyncio.create_task(call(work))
    assert 1.0 < time.monotonic() - began < 2.5
    await asyncio.sleep(0)


async def test_who_swallows_it_gets_it_again(watchdog: Watchdog) -> None:
    """Catching everything once does not help."""

    def stubborn() -> None:
        try:
            time.sleep(30)
        except BaseException:
            time.sleep(30)

    with pytest.raises(Blocked):
        await call(stubborn)


async def test_what_is_not_guarded_is_left_alone(watchdog: Watchdog) -> None:
    """The engine's own work may take its time."""
    time.sleep(2)


async def test_short_work_of_many_is_nobodys_fault(watchdog: Watchdog) -> None:
    """One after the other without a turn of the loop: each is asked how long it has taken itself."""
    for _ in range(4):
        await call(lambda: time.sleep(0.4))


def test_what_does_not_listen_ends_with_its_process() -> None:
    """Code in C that ignores alarms: the process says where it was, and is gone."""
    code = """
        import asyncio, ctypes, signal
        from engine.watchdog import Watchdog, guard

        @guard
        async def call():
            ctypes.PyDLL(None).sleep(60)  # holds the interpreter; an alarm ends one sleep

        async def main():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # so alarms do not even do that
            Watchdog(patience=0.5, give_up=1.5).start()
            await call()

        asyncio.run(main())
    """
    began = time.monotonic()
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in call" in ended.stderr
    assert time.monotonic() - began < 20
