"""Steps over the shared cache: `cache.get`, `cache.set`, `cache.delete`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.plugin import Duration, StepConfig, StepContext, hookimpl, parse_duration

Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        description="Shared by all pipelines: begin it with a word of your own.",
        examples=["triage:issue-42"],
    ),
]


class GetConfig(StepConfig, frozen=True):
    """Look a value up in the cache.

    Example:

        id: known
        uses: cache.get
        with:
          key: triage:${{ event.body.issue.id }}
    """

    key: Key
    default: Annotated[Any, Meta(description="Value if the key is not there.")] = None


class SetConfig(StepConfig, frozen=True):
    """Put a value into the cache for a while. It may be forgotten earlier: keep what must last with `store.put`.

    Example:

        uses: cache.set
        with:
          key: triage:latest
          value: {label: bug}
          ttl: 10m
    """

    key: Key
    value: Annotated[Any, Meta(description="Anything; up to 5 MB as JSON.")]
    ttl: Annotated[Duration, Meta(description="How long to keep it.", examples=["10m"])]

    def __post_init__(self) -> None:
        super().__post_init__()
        if parse_duration(self.ttl) <= 0:
            raise ValueError("`ttl`: nothing can be kept for no time at all")


class DeleteConfig(StepConfig, frozen=True):
    """Remove keys from the cache.

    Example:

        uses: cache.delete
        with:
          keys: [triage:latest, triage:count]
    """

    keys: Annotated[
        Key | Annotated[list[Key], Meta(min_length=1, max_length=1000)],
        Meta(description="One key or several.", examples=["triage:issue-42"]),
    ]


class Found(msgspec.Struct, frozen=True):
    """What the cache holds."""

    hit: Annotated[bool, Meta(description="Whether it was there; false also if the cache cannot be reached.")]
    value: Annotated[Any, Meta(description="The value, or the default.")]


class Kept(msgspec.Struct, frozen=True):
    """What was put into the cache."""

    key: Annotated[str, Meta(description="Its key.")]
    expires_in: Annotated[float, Meta(description="Seconds until it is forgotten.")]


class Deleted(msgspec.Struct, frozen=True):
    """How many of the keys were there."""

    deleted: Annotated[int, Meta(description="How many of the keys were there.")]


async def get(config: GetConfig, context: StepContext) -> Found:
    """The value, or the default."""
    hit, value = await context.cache.get(config.key)
    return Found(hit=hit, value=value if hit else config.default)


async def put(config: SetConfig, context: StepContext) -> Kept:
    """Keep the value for its time."""
    seconds = parse_duration(config.ttl)
    await context.cache.set(config.key, config.value, seconds)
    return Kept(key=config.key, expires_in=seconds)


async def delete(config: DeleteConfig, context: StepContext) -> Deleted:
    """Forget the keys."""
    keys = [config.keys] if isinstance(config.keys, str) else config.keys
    return Deleted(await context.cache.delete(*keys))


@hookimpl
def register_steps(register: Any) -> None:
    register("cache.get", get, config=GetConfig, effect="idempotent", result=Found, timeout=10.0)
    register("cache.set", put, config=SetConfig, effect="idempotent", result=Kept, timeout=10.0)
    register("cache.delete", delete, config=DeleteConfig, effect="idempotent", result=Deleted, timeout=10.0)
