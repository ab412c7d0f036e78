"""Live updates: one subscription per process, fanned out to the open pages as server-sent events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import structlog
from litestar import Request, get
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.response import ServerSentEvent, ServerSentEventMessage

from engine import metrics
from engine.queue import Queue
from engine.web.auth import require_session
from engine.web.problems import InvalidParameter

QUIET = 0.4  # seconds between two signals to one page: a burst of changes becomes one refresh
BEAT = 10.0  # seconds; a page also refreshes this often, in case Redis lost a message
PAGES = 200  # open pages per process; further ones are told to come back

log = structlog.get_logger("live")


class Live:
    """Wakes pages when runs change. Subscribes when the first page opens, lets go when the last one closes."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._pages: set[Page] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pages(self) -> int:
        """How many pages are listening."""
        return len(self._pages)

    @property
    def subscribed(self) -> bool:
        """Whether this process listens to Redis right now."""
        return self._task is not None

    def notify(self, runs: set[str]) -> int:
        """Wake the pages that care for one of these runs; how many."""
        woken = [page for page in self._pages if page.run is None or page.run in runs]
        for page in woken:
            page.changed.set()
        return len(woken)

    async def follow(self, run: UUID | None = None) -> AsyncIterator[ServerSentEventMessage]:
        """A signal for each change of this run, or of any run. Ends when the process stops."""
        page = Page(None if run is None else str(run))
        self._pages.add(page)
        metrics.PAGES.set(len(self._pages))
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        try:
            yield ServerSentEventMessage(comment="listening", data=None)
            while not self._closed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT):
                        await page.changed.wait()
                page.changed.clear()
                yield ServerSentEventMessage(event="runs-changed", data="")
                await asyncio.sleep(QUIET)
        finally:
            self._pages.discard(page)
            metrics.PAGES.set(len(self._pages))
            if not self._pages and self._task is not None:
                self._task.cancel()
                self._task = None

    async def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for page in self._pages:
            page.changed.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            async for changes in self._queue.subscribe():
                self.notify({str(change.get("run")) for change in changes})
        except Exception:  # pages still refresh on the beat
            log.exception("live.failed")


class Page:
    """One open page. `run`: the only run it cares about, or None for all."""

    def __init__(self, run: str | None) -> None:
        self.run = run
        self.changed = asyncio.Event()


@get("/live", guards=[require_session], include_in_schema=False, sync_to_thread=False)
def live(request: Request[None, None, State], run: FromQuery[str | None] = None) -> ServerSentEvent:
    """The stream a page listens to: `runs-changed` whenever it should refresh itself."""
    followed: UUID | None = None
    if run is not None:
        try:
            followed = UUID(run)
        except ValueError:
            raise InvalidParameter("run", "not a run id") from None
    hub: Live = request.app.state.live
    if hub.pages >= PAGES:
        return ServerSentEvent(iter([ServerSentEventMessage(comment="full", data=None, retry=int(BEAT * 1000))]))
    return ServerSentEvent(hub.follow(followed))
