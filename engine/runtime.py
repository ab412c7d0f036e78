"""The composition root: what the use cases work with, built once per process. No behaviour."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import structlog

from engine.cache import RedisCache, connect_cache
from engine.core.catalog import Catalog
from engine.errors import ConfigurationError
from engine.http_client import create_client
from engine.listener import Listener
from engine.pipeline.check import Problem
from engine.pipeline.deployment import Deployment
from engine.pipeline.spec import Pipeline
from engine.plugin.host import load_catalog
from engine.plugin.observers import Observers
from engine.queue import Queue, connect_queue
from engine.secrets import Secrets
from engine.settings import Settings, load_options
from engine.store import QueueSettings, Store, connect

SECRETS_FILE = "secrets.env"


@dataclass
class Deployments:
    """The pipelines in force, replaced as a whole, and every version met so far by its hash."""

    current: Deployment = field(default_factory=Deployment)
    versions: dict[str, Pipeline] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of project.yaml: who is in them
    problems: list[Problem] = field(default_factory=list)  # of files and triggers, as of the last deployment
    file_problems: list[Problem] = field(default_factory=list)  # of files alone, where this process reads them
    revision: str | None = None  # of what is in force here; see Store.deployment_revision
    queues: dict[str, QueueSettings] = field(default_factory=dict)  # of project.yaml; empty: not known yet
    loaded: bool = False  # whether `current` was ever set: before that nothing is known about what is in force


@dataclass(frozen=True)
class Runtime:
    """Collaborators of one process."""

    settings: Settings
    store: Store
    queue: Queue
    listener: Listener
    catalog: Catalog
    observers: Observers
    catalog_problems: tuple[str, ...]
    deployments: Deployments
    secrets: Secrets
    http: httpx.AsyncClient
    cache: RedisCache
    options: Mapping[str, str]
    environment: Mapping[str, str]
    log: structlog.stdlib.BoundLogger
    suspects: asyncio.Lock = field(default_factory=asyncio.Lock)  # steps during which workers have died
    steps_waiting: dict[tuple[UUID, str], asyncio.Event] = field(default_factory=dict)  # in this process, for a limit


def open_secrets(settings: Settings, environment: Mapping[str, str] = os.environ) -> Secrets:
    """The secrets of this installation."""
    return Secrets(settings.secrets_file or settings.data_dir / SECRETS_FILE, environment)


@asynccontextmanager
async def open_runtime(
    settings: Settings, environment: Mapping[str, str] = os.environ, *, extra_plugins: Iterable[Any] = ()
) -> AsyncIterator[Runtime]:
    """Connect everything, closed on exit. ConfigurationError if a URL is missing, Unavailable if a database is."""
    if settings.database_url is None or settings.redis_url is None:
        raise ConfigurationError(
            "set DATABASE_URL and REDIS_URL, or start everything with `hookwright up`, which brings its own databases"
        )
    host = load_catalog(extra=extra_plugins)
    async with AsyncExitStack() as stack:
        store = await connect(settings.database_url)
        stack.push_async_callback(store.close)
        queue = connect_queue(settings.redis_url)
        stack.push_async_callback(queue.close)
        listener = Listener(store, queue)
        stack.push_async_callback(listener.close)
        store.crowded = queue.crowded
        cache = connect_cache(settings.redis_url)
        stack.push_async_callback(cache.close)
        stack.push_async_callback(host.observers.close)
        http = await stack.enter_async_context(create_client(settings.allow_hosts))
        yield Runtime(
            settings=settings,
            store=store,
            queue=queue,
            listener=listener,
            catalog=host.catalog,
            observers=host.observers,
            catalog_problems=tuple(host.problems),
            deployments=Deployments(),
            secrets=open_secrets(settings, environment),
            http=http,
            cache=cache,
            options=load_options(environment),
            environment=dict(environment),
            log=structlog.get_logger("hookwright"),
        )
