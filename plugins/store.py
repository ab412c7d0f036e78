"""Steps over JSON documents in PostgreSQL: `store.put`, `store.get`, `store.query`, `store.delete`."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from engine.plugin import Duration, StepConfig, StepContext, hookimpl, parse_duration

Collection = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$",
        description="Name of the collection; it exists as soon as it is used. All pipelines see it.",
        examples=["triage"],
    ),
]
Key = Annotated[
    str,
    Meta(pattern=r"^[^\x00]{1,500}$", description="Name of the document within its collection.", examples=["issue-42"]),
]


class PutConfig(StepConfig, frozen=True):
    """Store a document under a key; an older one is replaced.

    Example:

        uses: store.put
        with:
          collection: triage
          key: issue-42
          value: {label: bug, status: open}
          ttl: 90d
    """

    collection: Collection
    key: Key
    value: Annotated[Any, Meta(description="The document: anything that JSON can hold.")]
    ttl: Annotated[Duration | None, Meta(description="Forget it after this time. Default: never.")] = None


class GetConfig(StepConfig, frozen=True):
    """Read one document by its key.

    Example:

        id: issue
        uses: store.get
        with:
          collection: triage
          key: issue-42
    """

    collection: Collection
    key: Key
    default: Annotated[Any, Meta(description="Value if there is no such document.")] = None


class QueryConfig(StepConfig, frozen=True):
    """Find documents by their content.

    Example:

        id: open
        uses: store.query
        with:
          collection: triage
          where: {status: open}
          order: newest
          limit: 20
    """

    collection: Collection
    where: Annotated[
        dict[str, Any],
        Meta(description="Documents that contain these fields with these values.", examples=[{"status": "open"}]),
    ] = field(default_factory=dict)
    prefix: Annotated[str, Meta(description="Only keys that begin with this.", examples=["issue-"])] = ""
    order: Annotated[Literal["key", "newest"], Meta(description="By key, or the most recently written first.")] = "key"
    limit: Annotated[int, Meta(ge=1, le=1000, description="At most so many documents.")] = 100


class DeleteConfig(StepConfig, frozen=True):
    """Delete one document.

    Example:

        uses: store.delete
        with:
          collection: triage
          key: issue-42
    """

    collection: Collection
    key: Key


class Stored(msgspec.Struct, frozen=True):
    """What was stored."""

    collection: Annotated[str, Meta(description="Its collection.")]
    key: Annotated[str, Meta(description="Its key.")]
    expires_in: Annotated[float | None, Meta(description="Seconds until it is forgotten; null: never.")]


class Document(msgspec.Struct, frozen=True):
    """One document, or its absence."""

    found: Annotated[bool, Meta(description="Whether there is such a document.")]
    value: Annotated[Any, Meta(description="The document, or the default.")]


class Match(msgspec.Struct, frozen=True):
    """One document of a query."""

    key: Annotated[str, Meta(description="Its key.")]
    value: Annotated[Any, Meta(description="The document.")]
    updated_at: Annotated[datetime, Meta(description="When it was last written.")]


class Matches(msgspec.Struct, frozen=True):
    """Documents that were found."""

    documents: Annotated[list[Match], Meta(description="The documents: `key`, `value`, `updated_at`.")]
    count: Annotated[int, Meta(description="How many there are in `documents`.")]


class Deleted(msgspec.Struct, frozen=True):
    """Whether the document was there."""

    deleted: Annotated[bool, Meta(description="Whether it was there.")]


async def put(config: PutConfig, context: StepContext) -> Stored:
    """Insert or replace."""
    seconds = parse_duration(config.ttl) if config.ttl is not None else None
    await context.documents.put(config.collection, config.key, config.value, seconds)
    return Stored(collection=config.collection, key=config.key, expires_in=seconds)


async def get(config: GetConfig, context: StepContext) -> Document:
    """The document, or the default."""
    found, value = await context.documents.get(config.collection, config.key)
    return Document(found=found, value=value if found else config.default)


async def query(config: QueryConfig, context: StepContext) -> Matches:
    """The documents that match."""
    rows = await context.documents.query(
        config.collection,
        config.where,
        prefix=config.prefix,
        limit=config.limit,
        newest_first=config.order == "newest",
    )
    return Matches(documents=[msgspec.convert(row, Match) for row in rows], count=len(rows))


async def delete(config: DeleteConfig, context: StepContext) -> Deleted:
    """Delete it if it is there."""
    return Deleted(await context.documents.delete(config.collection, config.key))


@hookimpl
def register_steps(register: Any) -> None:
    register("store.put", put, config=PutConfig, effect="idempotent", result=Stored, timeout=30.0)
    register("store.get", get, config=GetConfig, effect="idempotent", result=Document, timeout=30.0)
    register("store.query", query, config=QueryConfig, effect="idempotent", result=Matches, timeout=30.0)
    register("store.delete", delete, config=DeleteConfig, effect="idempotent", result=Deleted, timeout=30.0)
