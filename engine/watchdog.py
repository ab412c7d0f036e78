"""Notices that the event loop does not turn, and gets it going again or gives the process up.

Step types are coroutines that share one thread. One that computes or sleeps without awaiting keeps everything else
from its turn, heartbeats included, and other workers would take over all runs of this process. So an alarm of the
kernel interrupts the main thread; if the code of a guarded call is at work there, Blocked is raised in it. Code in C
that does not listen to alarms is given up together with the process: faulthandler needs no turn to do that.
"""

import asyncio
import contextlib
import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

FIRST = 1.0  # seconds without a turn until the first look
AGAIN = 0.25  # seconds between two looks
TURN = 0.5  # seconds between two signs of life of the loop
PATIENCE = 3.0  # seconds one call may keep the loop
ALL = 1.5  # more seconds until whoever is at work pays for all; the lease ends 6 s after a heartbeat that is 1 s old
GIVE_UP = 30.0  # seconds without a turn until the process ends

_guarded: set[CodeType] = set()


class Blocked(BaseException):
    """Raised in code that keeps the event loop. Not an Exception: code that catches everything shall not catch it."""

    def __init__(self, seconds: float, place: str) -> None:
        super().__init__(f"blocked the worker for {seconds:.1f} s at {place}")
        self.seconds = seconds
        self.place = place


def guard(function: F) -> F:
    """Mark a function: what runs below its frames may be interrupted."""
    _guarded.add(function.__code__)
    return function


class Watchdog:
    """Watches the running loop of the main thread. Elsewhere, and where there are no alarms, it does nothing."""

    def __init__(self, patience: float = PATIENCE, give_up: float = GIVE_UP) -> None:
        self._patience = patience
        self._give_up = give_up
        self._turned = time.monotonic()
        self._call: FrameType | None = None  # the guarded call that was at work when we looked
        self._since = 0.0  # at the latest it has been at work since then
        self._looked = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> bool:
        """Begin; False: there is nothing to watch with."""
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            return False
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.siginterrupt(signal.SIGALRM, False)
        self._turn()
        return True

    def stop(self) -> None:
        """End; nothing is watched any more."""
        if self._handle is None:
            return
        self._handle.cancel()
        self._handle = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        faulthandler.cancel_dump_traceback_later()

    def _turn(self) -> None:
        self._turned, self._call = time.monotonic(), None
        signal.setitimer(signal.ITIMER_REAL, FIRST, AGAIN)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error may be no file
            faulthandler.dump_traceback_later(self._give_up, exit=True)
        self._handle = asyncio.get_running_loop().call_later(TURN, self._turn)

    def _on_alarm(self, _number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        call = find_guarded(frame)
        if call is None:
            self._call, self._looked = None, now
            return
        if call is not self._call:
            self._call, self._since = call, max(self._turned, self._looked)
        self._looked = now
        seconds, all_ = now - self._since, now - self._turned
        if seconds >= self._patience or all_ >= self._patience + ALL:
            self._call = None
            raise Blocked(seconds, describe(frame, call))


def find_guarded(frame: FrameType | None) -> FrameType | None:
    """The frame of the guarded call that is at work; None: none is."""
    while frame is not None and frame.f_code not in _guarded:
        frame = frame.f_back
    return frame


def describe(frame: FrameType | None, call: FrameType) -> str:
    """`file:line in function`, of the innermost code that is not Python's own or installed."""
    innermost = frame
    while frame is not None and frame is not call:
        name = frame.f_code.co_filename
        if "site-packages" not in name and not name.startswith((sys.base_prefix, "<")):
            return _place(frame)
        frame = frame.f_back
    return _place(innermost if innermost is not None else call)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
