"""Steps that do next to nothing: what is measured is the engine. Installed for the benchmark alone."""

from typing import Any

from engine.plugin import StepConfig, StepContext, WholeConfig, hookimpl


class NothingConfig(StepConfig, frozen=True):
    """Do nothing."""


class KeepConfig(WholeConfig, frozen=True):
    """Return `with` as it is."""


async def nothing(config: NothingConfig, context: StepContext) -> None:
    """No output."""


async def tiny(config: NothingConfig, context: StepContext) -> int:
    """fib(10), the slow way: 55."""
    return _fib(10)


async def keep(config: KeepConfig, context: StepContext) -> Any:
    """The rendered `with`, as `value` does, but as a step whose checkpoint is awaited."""
    return config.value


def _fib(number: int) -> int:
    return number if number < 2 else _fib(number - 1) + _fib(number - 2)


@hookimpl
def register_steps(register: Any) -> None:
    register("bench.pure", nothing, config=NothingConfig, effect="pure")
    register("bench.effect", nothing, config=NothingConfig, effect="effect")
    register("bench.tiny", tiny, config=NothingConfig, effect="effect")
    register("bench.keep", keep, config=KeepConfig, effect="effect")
