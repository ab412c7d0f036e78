"""Which queues the workers serve: this one, and all of them."""

from collections.abc import Collection, Iterable
from uuid import UUID

from engine.errors import Unavailable
from engine.runtime import Runtime
from engine.store import DEFAULT_QUEUE, Served


def unserved(queue: str) -> str:
    """What a run waits for whose next step nobody may carry out."""
    return f"no worker serves queue `{queue}`"


class Pool:
    """The queues that one process serves. Here: whatever there is, for simulations."""

    def __init__(self, queues: Iterable[str] = (), known: Collection[str] = ()) -> None:
        self.queues = frozenset(queues)  # empty: all
        self._known = known

    @property
    def known(self) -> Collection[str]:
        """All queues of the project; empty: they are not known, and any name is good."""
        return self._known

    def serves(self, queue: str) -> bool:
        """Whether this process carries out steps of that queue."""
        return not self.queues or queue in self.queues

    async def is_served(self, queue: str) -> bool:
        """Whether any process does."""
        return self.serves(queue)

    def hand_over(self, run_id: UUID, queue: str) -> None:
        """The run was let go for workers of this queue: tell them."""


class LivePool(Pool):
    """Those of a worker."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime.settings.queues)
        self._runtime = runtime

    @property
    def known(self) -> Collection[str]:
        """As deployed."""
        return self._runtime.deployments.queues

    async def is_served(self, queue: str) -> bool:
        """As the workers' rows say. While PostgreSQL is away: yes."""
        try:
            served = await self._runtime.store.served_queues()
        except Unavailable:
            return True
        return is_among(queue, served, self.known)

    def hand_over(self, run_id: UUID, queue: str) -> None:
        """Ring, unless the queue is crowded: then the leader does it in its turn."""
        if queue not in self._runtime.queue.crowded():
            self._runtime.queue.ring_soon([run_id], queue)


def is_among(queue: str, served: Served, known: Collection[str]) -> bool:
    """Whether somebody serves it. Workers that serve all queues serve those that the project has."""
    return queue in served.names or (served.everything and (queue == DEFAULT_QUEUE or queue in known))
