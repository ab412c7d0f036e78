"""Trying an expression on a stored event, without holding up the server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from engine.core.event import view
from engine.errors import NotFound
from engine.pipeline.evaluation import Evaluation, evaluate
from engine.runtime import Runtime

AT_ONCE = 2  # evaluations in this process; each has the expression's own limit of work
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="expression")  # started by the first of them


async def evaluate_on_event(runtime: Runtime, text: str, event_id: UUID | None, inputs: dict[str, Any]) -> Evaluation:
    """What the expression yields with `event` and `inputs`; without an event id there is only `inputs`.

    NotFound if there is no such event.
    """
    event = None
    if event_id is not None:
        event = await runtime.store.get_event(event_id)
        if event is None:
            raise NotFound(f"There is no event {event_id}.")

    def work() -> Evaluation:
        scope: dict[str, Any] = {"inputs": inputs}
        if event is not None:
            scope = {"event": view(event)} | scope
        return evaluate(text, scope, filters=runtime.catalog.filters)

    return await asyncio.get_running_loop().run_in_executor(_threads, work)
