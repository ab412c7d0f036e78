"""The parent process of `hookwright up`: keeps its children running and stops them in the right order."""

import queue
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from engine.cli.children import Child, describe_exit
from engine.cli.exits import FAILED, OK, SETUP
from engine.cli.output import note

MORE = 10.0  # seconds a child may take to stop, besides the grace it gives to what is under way
HOPELESS = 3  # deaths of one child before anything was ready
TICK = 0.5  # seconds between looks at what is due


class Databases(Protocol):
    """The bundled databases."""

    def revive(self) -> list[str]:
        """Start again what has died; the names of what that was."""

    def stop(self) -> None:
        """Stop both cleanly."""


class Supervisor:
    """Children in the order they are stopped, and the signals that end it all.

    Signals must be caught before the first child is started, see `catch_signals`.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.children: list[Child] = []
        self._wakes: queue.SimpleQueue[int] = queue.SimpleQueue()  # put() is safe in a signal handler
        self._hurry = False
        self.asked: int | None = None  # the signal that asks for the end

    def catch_signals(self) -> None:
        """SIGINT, SIGTERM and SIGHUP end `run`; a second one hurries."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: self._wakes.put(0))

    def add(self, child: Child) -> None:
        """Start a child and look after it."""
        child.start()
        self.children.append(child)

    def wait_until(self, ready: Callable[[], bool], *, patience: float) -> bool:
        """Look after the children until ready() says so; False if asked to stop, out of patience or without hope."""
        end = time.monotonic() + patience
        while self.asked is None and time.monotonic() < end:
            if self._broken() is not None or any(child.deaths >= HOPELESS for child in self.children):
                return False
            if ready():
                return True
            self._look_after()
            self._sleep(0.02)
        return False

    def run(self, databases: Databases | None) -> int:
        """Look after everything until a signal comes or a child says that the set-up is wrong; the exit code."""
        while self.asked is None:
            if self._broken() is not None:
                return SETUP
            self._look_after()
            if databases is not None and (names := databases.revive()):
                note(f"hookwright: {' and '.join(names)} had died and was started again")
            self._sleep(TICK)
        return OK

    def stop(self, databases: Databases | None) -> int:
        """Stop the children one kind after the other, then the databases; FAILED if one had to be killed."""
        code = OK
        for group in _groups(self.children):
            for child in group:
                child.ask_to_stop()
            for child in self._wait_for(group, self._grace + MORE):
                note(f"hookwright: {child.name} did not stop in time: killed; its runs go on at the next start")
                child.kill()
                code = FAILED
            self._wait_for(group, 5.0)
        if databases is not None:
            databases.stop()
        return code

    def _wait_for(self, group: list[Child], patience: float) -> list[Child]:
        """The children that still run after so many seconds; none are waited for once the user hurries."""
        end = time.monotonic() + patience
        while running := [child for child in group if child.process is not None and child.ended() is None]:
            if time.monotonic() >= end:
                return running
            if self._hurry:
                for child in running:
                    child.kill()
            self._sleep(0.1)
        return []

    def _look_after(self) -> None:
        for child in self.children:
            if child.due_at is not None and time.monotonic() >= child.due_at:
                child.start()
            elif (code := child.ended()) is not None and not child.stopping:
                delay = child.plan_restart()
                note(f"hookwright: {child.name} ended ({describe_exit(code)}); starting it again in {delay:g} s")

    def _broken(self) -> Child | None:
        """A child that says the configuration is wrong: starting it again would not help."""
        return next((child for child in self.children if child.ended() == SETUP and not child.stopping), None)

    def _sleep(self, seconds: float) -> None:
        try:
            self._wakes.get(timeout=seconds)
        except queue.Empty:
            return

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            self._hurry = True
        self.asked = number
        self._wakes.put(number)


def _groups(children: list[Child]) -> list[list[Child]]:
    """Workers first, so that they can drain; then the API; then the rest."""
    order: list[list[Child]] = [[], [], []]
    for child in children:
        place = 0 if child.name.startswith("worker") else 1 if child.name == "api" else 2
        order[place].append(child)
    return [group for group in order if group]
