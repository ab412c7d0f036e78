"""`for_each`: a step once for each item of a list, some at a time.

`if` and `on_error` count for the whole loop, everything else for each item: `timeout`, `retry`, `repeat`, `cache`,
`output`, `compensate`. The attempts of an item are stored under `LOOP[KEY]`, those of the steps in it under
`LOOP[KEY]/STEP`. `max_errors: 20%` tolerates a fifth of the items, rounded up.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

from engine.core.run import AttemptStatus, ErrorInfo
from engine.flow.attempts import ENDED, FAILURES, failure_of
from engine.flow.branches import run_together
from engine.flow.execution import Execution
from engine.flow.frame import Frame, OutOfTime, StepGaveUp, pending
from engine.flow.shapes import Shaped, run_shape
from engine.flow.undo import undoes
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import ForEach, Step
from engine.store import StoredAttempt

LONGEST_KEY = 100  # characters; longer ones are cut and told apart by a hash
KINDS = {type(None): "null", bool: "a boolean", str: "a text", int: "a number", float: "a number", dict: "an object"}
MAX_ITEMS = 1_000_000
MOST_STORED = 64_000  # bytes of a list of items; a longer one is evaluated again on resume
SHARE = 200  # rows that one commit of a loop takes at most, so that the writer is not flooded
TOO_MANY = "max_errors"  # type of the error of a loop in which more items failed than may
PLAIN = "!$&()*+,;=:@"  # characters that stay in a step key besides letters, digits and `-._~`

RunBody = Callable[[Execution, Frame, Step, str], Awaitable[None]]


async def run_loop(execution: Execution, frame: Frame, step: Step, key: str, run_body: RunBody) -> datetime:
    """All iterations; the output is the list of their outputs in the order of the items."""
    each = step.for_each
    assert each is not None

    async def body(inside: Frame, decision: Any, began: datetime) -> Shaped:
        loop = Loop(execution, inside, step, key, each, _whole(decision, each, inside))
        await loop.run(run_body)
        return Shaped(loop.results, sorted(loop.errors, key=lambda error: error["index"]))

    volatile = each.items.volatile or (each.key is not None and each.key.volatile)
    return await run_shape(
        execution,
        frame,
        step,
        key,
        body,
        decide=lambda: decide_items(each, frame),
        volatile=volatile,
        shorten=None if volatile or "env" in each.items.roots else _shorten,
        limited=False,
        recalls=undoes(frame.pipeline, (step,)),
    )


def decide_items(each: ForEach, frame: Frame) -> dict[str, Any]:
    """The items, and their keys where the author names them."""
    items = each.items.render(frame.scope)
    if not isinstance(items, list | tuple):
        raise ExpressionError(f"`for_each` needs a list, this is {_kind(items)}")
    if len(items) > MAX_ITEMS:
        raise ExpressionError(f"`for_each` has {len(items):,} items, {MAX_ITEMS:,} are allowed: split the list")
    if each.key is None:
        return {"items": list(items)}
    keys = []
    for index, item in enumerate(items):
        keys.append(each.key.render(frame.scope.extended(**{each.name: item, "index": index})))
    texts: dict[str, int] = {}
    for index, found in enumerate(keys):
        if (other := texts.setdefault(key_text(found), index)) != index:
            raise ExpressionError(f"items {other} and {index} have the same key: {key_text(found)}")
    return {"items": list(items), "keys": keys}


def _shorten(decision: dict[str, Any], size: int) -> dict[str, Any]:
    """What is stored of a long list: it is the same whenever it is asked for, and need not stand in a row."""
    return decision if size <= MOST_STORED else {"count": len(decision["items"])}


def _whole(decision: dict[str, Any], each: ForEach, frame: Frame) -> dict[str, Any]:
    """The decision with its items. ExpressionError if they have changed, which a person may have brought about."""
    if "items" in decision:
        return decision
    found = decide_items(each, frame)
    if len(found["items"]) != decision["count"]:
        text = f"`for_each` began with {decision['count']:,} items, now there are {len(found['items']):,}"
        raise ExpressionError(text)
    return found


def _kind(value: Any) -> str:
    return KINDS.get(type(value), type(value).__name__)


def key_text(value: Any) -> str:
    """A key as it stands in the keys of steps: without brackets, slashes and control characters."""
    text = quote(value if isinstance(value, str) else msgspec.json.encode(value).decode(), safe=PLAIN)
    if len(text) <= LONGEST_KEY:
        return text
    return f"{text[: LONGEST_KEY - 17]}~{sha256(text.encode()).hexdigest()[:16]}"


class Loop:
    """One visit's work on a loop."""

    def __init__(
        self, execution: Execution, frame: Frame, step: Step, key: str, each: ForEach, decision: dict[str, Any]
    ) -> None:
        self.execution = execution
        self.frame = frame
        self.step = step
        self.key = key
        self.each = each
        self.items: list[Any] = decision["items"]
        self.keys: list[Any] | None = decision.get("keys")
        self.results: list[Any] = [None] * len(self.items)
        self.errors: list[dict[str, Any]] = []
        self._over = False  # it has failed: nothing new is begun
        self._most = tolerated(each, len(self.items))
        self._recalls = undoes(frame.pipeline, (step,))
        self._views = pending((step,))

    async def run(self, run_body: RunBody) -> None:
        """Everything that is not done yet."""
        todo = []
        for index in range(len(self.items)):
            rows = self.execution.stored.get(self._item_key(index))
            if not rows or rows[-1].due_at is not None or rows[-1].status not in (*ENDED, AttemptStatus.SKIPPED):
                todo.append(index)
            elif rows[-1].status == AttemptStatus.SKIPPED:
                continue  # a person decided so; its place in the results stays empty
            elif self._recalls or (rows[-1].status == AttemptStatus.SUCCEEDED and rows[-1].error is not None):
                await self._iterate(index, run_body)
            else:
                self._take_over(index, rows[-1])
        if self.frame.recalling or self.execution.hold.reason == "cancel":
            await self._recall(todo, run_body)
            return
        numbers = iter(todo)
        workers = min(self.each.concurrency, len(todo))
        if workers <= 1:
            await self._work(numbers, run_body)
        else:
            await run_together(self.execution, [partial(self._work, numbers, run_body)] * workers)

    def _take_over(self, index: int, last: StoredAttempt) -> None:
        """Take over an item that an earlier visit finished, without looking into it."""
        if last.status in FAILURES:
            self._fail(index, failure_of(last))
        elif last.output is not None:
            self.results[index] = msgspec.json.decode(last.output)

    async def _work(self, numbers: Iterator[int], run_body: RunBody) -> None:
        for index in numbers:
            if self._over:
                return
            await self._iterate(index, run_body)
            if len(self.execution.pending) >= SHARE:
                await self.execution.checkpoint()
            await asyncio.sleep(0)  # items without I/O must not keep the process from its heartbeats

    async def _recall(self, todo: list[int], run_body: RunBody) -> None:
        left: BaseException | None = None
        for index in todo:
            try:
                await self._iterate(index, run_body)
            except (OutOfTime, asyncio.CancelledError) as error:
                left = left or error
        if left is not None:
            raise left

    async def _iterate(self, index: int, run_body: RunBody) -> None:
        inside = self._item_frame(index)
        try:
            await run_body(self.execution, inside, self.step, self._item_key(index))
        except StepGaveUp as failure:
            self._fail(index, failure)
            return
        self.results[index] = inside.outputs.get(self.step.key)

    def _fail(self, index: int, failure: StepGaveUp) -> None:
        """Count a failed item; StepGaveUp if it is one too many."""
        if self.each.on_item_error == "fail" and self._most is None:
            self._over = True
            raise failure
        error = self.execution.error(failure.error)
        key = self.keys[index] if self.keys is not None else index
        self.errors.append({"index": index, "key": key, "error": msgspec.to_builtins(error)})
        if self._most is not None and len(self.errors) > self._most:
            text = f"{len(self.errors)} of {len(self.items)} items failed, {self._most} may; the last: {error.message}"
            step = self.step.id or self.key
            self._over = True
            raise StepGaveUp(ErrorInfo(type=TOO_MANY, message=text, step=step, data={"errors": self.errors}))

    def _item_key(self, index: int) -> str:
        return f"{self.key}[{key_text(self.keys[index]) if self.keys is not None else index}]"

    def _item_frame(self, index: int) -> Frame:
        frame = self.frame
        steps = frame.steps | self._views
        scope = frame.scope.extended(**{self.each.name: self.items[index], "index": index, "steps": steps})
        prefix = f"{self._item_key(index)}/"
        return Frame(
            frame.pipeline, scope, steps, prefix, recalling=frame.recalling, depth=frame.depth, queue=frame.queue
        )


def tolerated(each: ForEach, count: int) -> int | None:
    """How many items may fail; None: any number, or none if the first failure ends the loop."""
    limits = [] if each.max_errors is None else [each.max_errors]
    if each.max_errors_percent is not None:
        limits.append(math.ceil(each.max_errors_percent * count / 100))
    return min(limits, default=None)
