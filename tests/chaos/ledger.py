"""The world outside: what effects really happened, in which order. It does not die with anybody."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.plugin import Fail, StepContext, WholeConfig, hookimpl


class Entry(NamedTuple):
    """One effect."""

    run: str
    step: str  # the whole key, such as `each[2]/send`
    process: int
    value: Any


class Anything(WholeConfig, frozen=True):
    """Take anything."""


class Ledger:
    """Every effect, and who is in the middle of one."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.final: dict[tuple[str, str], int] = {}  # (run, step) known to be recorded as succeeded -> entries then
        self.zombies: set[int] = set()  # processes that went on after they had been taken for dead
        self.busy: dict[str, dict[int, set[str]]] = {}  # limit key -> process -> runs within it
        self.most: dict[str, int] = {}  # the most runs that were ever within it at once

    def note(self, entry: Entry) -> None:
        """It has happened, whatever becomes of who did it."""
        self.entries.append(entry)

    def seal(self, succeeded: list[tuple[str, str]]) -> None:
        """These are recorded as done: they must not happen again from now on."""
        for key in succeeded:
            self.final.setdefault(key, len(self.entries))

    def repeated(self) -> list[Entry]:
        """Effects of steps that had been recorded as done before.

        A process that froze between its last look at the database and the effect does it once more when it goes on:
        nobody can prevent that but the one who receives it, by the idempotency key.
        """
        return [
            entry
            for index, entry in enumerate(self.entries)
            if entry.process not in self.zombies and index >= self.final.get((entry.run, entry.step), len(self.entries))
        ]

    def of(self, run: str) -> list[Entry]:
        """The effects of one run."""
        return [entry for entry in self.entries if entry.run == run]


class Effects:
    """Step types of one process: each effect can be the last thing that it does."""

    def __init__(self, ledger: Ledger, number: int, reach: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._number = number
        self._reach = reach

    async def send(self, config: Anything, context: StepContext) -> Any:
        """An effect."""
        self._reach("before an effect")
        run, _, step = context.idempotency_key.partition("/")
        self._ledger.note(Entry(run, step, self._number, config.value))
        self._reach("after an effect")
        return config.value

    async def refuse(self, config: Anything, context: StepContext) -> Any:
        """A failure that is not worth another try."""
        self._reach("before a failure")
        raise Fail("no")

    @hookimpl
    def register_steps(self, register: Any) -> None:
        """Three types."""
        register("chaos.send", self.send, config=Anything, effect="effect")
        register("chaos.refuse", self.refuse, config=Anything, effect="effect")
