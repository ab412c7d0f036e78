"""Whose turn it is: runs that are due go to Redis in a fair order, a little ahead of the workers.

Without a backlog nobody waits: processes ring their new runs themselves, and what comes due is rung at once. A queue
with more than its workers take is crowded: then runs wait in PostgreSQL, and the leader brings as many as are taken in
a moment. Higher priorities come first, but one run in OLD_SHARE is the one that has waited longest; within a priority
the turn keys take turns, so that many runs of one key hold up no other key.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from engine.flow.pool import is_among
from engine.queue import BATCH
from engine.runtime import Runtime
from engine.store import DEFAULT_QUEUE, Place
from engine.store.ringing import BEFORE_ALL

MOST = 1000  # timers rung in one go
MOVED = 1000  # runs that are handed to another queue in one go
OLD_SHARE = 8
LEAST, LARGEST = 4, 128  # jobs that lie ahead in Redis
SLOW = 0.5  # seconds after which a half full window is too large
LOOKED = 200  # turn keys that are looked at in any case: some may have nothing that is due
AGAIN = 4  # passes of one round, where some keys have less than their share


class Rounds:
    """Who is next at one place. The keys stand in a circle; everybody gets a turn before anybody gets another."""

    def __init__(self) -> None:
        self.after = BEFORE_ALL  # the key that had the last turn

    def share(self, keys: Sequence[UUID], wanted: int) -> list[tuple[UUID, int]]:
        """How many runs of each key. keys: those with something to do, from `after` on, around the circle."""
        if not keys or wanted <= 0:
            return []
        each, more = divmod(wanted, len(keys))
        shares = [(key, each + (number < more)) for number, key in enumerate(keys)]
        if more:
            self.after = keys[more - 1]
        return [(key, runs) for key, runs in shares if runs]


class Window:
    """How many jobs lie ahead in Redis: as few as possible, but never none while there is work."""

    def __init__(self) -> None:
        self.size = LEAST
        self._filled_at = 0.0

    def room(self, depth: int, at: float) -> int:
        """How many jobs to bring now. It grows while it is found nearly empty, and shrinks while it stays full."""
        if depth * 4 <= self.size:
            self.size = min(LARGEST, self.size * 2)
        elif depth * 2 > self.size:
            if at - self._filled_at > SLOW:
                self.size, self._filled_at = max(LEAST, self.size // 2), at
            return 0
        self._filled_at = at
        return self.size - depth


class Feeder:
    """The leader's part. Its memory only makes it fairer: another process can go on at any time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rounds: defaultdict[Place, Rounds] = defaultdict(Rounds)
        self._windows: defaultdict[str, Window] = defaultdict(Window)
        self._behind: set[str] = set()  # queues with more ready runs than were brought

    @property
    def behind(self) -> Collection[str]:
        """Queues that are crowded."""
        return self._behind

    async def ring_due(self) -> bool:
        """Ring what is due, as much of it as makes sense now. Whether anything was rung."""
        store, queue = self._runtime.store, self._runtime.queue
        await queue.ping()  # nothing is marked as rung while there is no bell
        served = await served_queues(self._runtime)
        timers, found = await store.ring_timers(MOST, sorted(served - self._behind))
        for name, run_ids in _by_queue(timers).items():
            await queue.ring(run_ids, name)
        rung = len(timers)
        behind = dict.fromkeys((name for _, name in timers), found >= MOST)
        places = await store.ready_places()
        waiting = {place.queue for place in places}
        await self._hand_over(waiting - served, served)
        depths = await queue.depths(sorted(waiting & served))
        for name, depth in depths.items():
            priorities = sorted((place.priority for place in places if place.queue == name), reverse=True)
            wanted = self._windows[name].room(depth, time.monotonic()) * BATCH
            run_ids = await self._take(name, priorities, wanted) if wanted else []
            await queue.ring(run_ids, name)
            rung += len(run_ids)
            behind[name] = len(run_ids) >= wanted or behind.get(name, False)
        await self._mark({name for name, is_behind in behind.items() if is_behind})
        return rung > 0

    async def _take(self, queue: str, priorities: Sequence[int], wanted: int) -> list[UUID]:
        store = self._runtime.store
        taken = await store.take_oldest(queue, max(1, wanted // OLD_SHARE)) if len(priorities) > 1 else []
        for priority in priorities:
            place = Place(queue, priority)
            for _ in range(AGAIN):
                if len(taken) >= wanted:
                    return taken
                found = await self._take_round(place, wanted - len(taken))
                if not found:
                    break
                taken += found
        return taken

    async def _take_round(self, place: Place, wanted: int) -> list[UUID]:
        store, rounds = self._runtime.store, self._rounds[place]
        limit = max(wanted, LOOKED)
        looked = await store.ready_keys(place, rounds.after, limit)
        if len(looked) < limit and rounds.after != BEFORE_ALL:
            seen = {key for key, _ in looked}
            around = await store.ready_keys(place, BEFORE_ALL, limit - len(looked))
            looked += [item for item in around if item[0] not in seen]
        keys = [key for key, due in looked if due]
        if not keys:
            rounds.after = looked[-1][0] if len(looked) >= limit else BEFORE_ALL
            return []
        return await store.take_ready(place, rounds.share(keys, wanted))

    async def _hand_over(self, queues: Collection[str], served: Collection[str]) -> None:
        """Runs of queues that nobody serves go to workers who can at least say so, and mind their time."""
        others = [DEFAULT_QUEUE] if DEFAULT_QUEUE in served else sorted(served)
        for name in queues if others else ():
            await self._runtime.store.move_ready(name, others[0], MOVED)

    async def _mark(self, behind: set[str]) -> None:
        """Tell everybody which queues are crowded, if there is or was one."""
        if marks := dict.fromkeys(self._behind, False) | dict.fromkeys(behind, True):
            await self._runtime.queue.mark_backlogs(marks)
        self._behind = behind


async def served_queues(runtime: Runtime) -> frozenset[str]:
    """The queues that have a worker."""
    served, known = await runtime.store.served_queues(), runtime.deployments.queues
    return frozenset(name for name in {DEFAULT_QUEUE, *known, *served.names} if is_among(name, served, known))


def _by_queue(runs: Sequence[tuple[UUID, str]]) -> dict[str, list[UUID]]:
    found: dict[str, list[UUID]] = {}
    for run_id, queue in runs:
        found.setdefault(queue, []).append(run_id)
    return found
