"""Run one step the way the engine does: validate `with`, call the function in its time, check the output."""

import asyncio
import functools
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import structlog

from engine.core.catalog import Catalog, StepType
from engine.core.ids import uuid7
from engine.http_client import create_client
from engine.plugin import Cache, Documents, StepContext, WholeConfig
from engine.plugin.host import load_catalog
from engine.testing.memory import MemoryCache, MemoryDocuments, MemoryRuns

LOOPBACK = ("127.0.0.0/8", "::1", "localhost")


class StepResult(msgspec.Struct):
    """What one attempt left behind."""

    output: Any  # JSON-plain
    emitted: list[tuple[str, Any]]
    started: list[tuple[str, dict[str, Any]]]  # pipelines and their inputs
    usage: dict[str, Any]


async def run_step(
    uses: str | StepType,
    with_: Any = None,
    *,
    plugins: Iterable[Any] = (),
    options: Mapping[str, str] | None = None,
    cache: Cache | None = None,
    documents: Documents | None = None,
    http: httpx.AsyncClient | None = None,
    allow_hosts: Iterable[str] = LOOPBACK,
    idempotency_key: str = "test-run/step",
    attempt: int = 1,
    timeout: float | None = None,  # noqa: ASYNC109 - the step's
) -> StepResult:
    """One attempt of the step. Raises what it raises (StepError, Stop, TimeoutError), or msgspec.ValidationError.

    uses: a registered name, or a StepType. plugins: modules that are not installed. options: plugin settings such as
    "ai.base_url". Cache and documents live in memory unless given. http: None makes a client for this call that may
    reach this machine and public addresses.
    """
    given = tuple(plugins)
    catalog = load_catalog(extra=given).catalog if given else _installed()
    type_ = uses if isinstance(uses, StepType) else catalog.steps[uses]
    config = make_config(type_, with_)
    limit = timeout or type_.timeout or 300.0
    async with AsyncExitStack() as stack:
        client = http if http is not None else await stack.enter_async_context(create_client(allow_hosts))
        context = StepContext(
            run_id=uuid7(),
            pipeline="test",
            step="step",
            attempt=attempt,
            idempotency_key=idempotency_key,
            timeout=limit,
            log=structlog.get_logger("test"),
            http=client,
            cache=cache or MemoryCache(),
            documents=documents or MemoryDocuments(),
            runs=(runs := MemoryRuns()),
            options=options or {},
        )
        async with asyncio.timeout(limit):
            returned = await type_.function(config, context)
        output = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(returned)))
        return StepResult(output=output, emitted=context.emitted, started=runs.started, usage=context.used)


def make_config(type_: StepType, with_: Any) -> Any:
    """The validated `with`. msgspec.ValidationError if it does not fit."""
    plain = {"value": with_} if issubclass(type_.config, WholeConfig) else {} if with_ is None else with_
    return msgspec.convert(plain, type_.config, strict=True)


@functools.cache
def _installed() -> Catalog:
    return load_catalog().catalog
