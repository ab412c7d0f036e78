"""The step `value`: a place to compute something and give it a name."""

from typing import Any

from engine.plugin import StepContext, WholeConfig, hookimpl


class ValueConfig(WholeConfig, frozen=True):
    """Return `with` as it is: a map with any keys, a list, a text, a number.

    Example:

        id: order
        uses: value
        with:
          number: ${{ event.body.order.id }}
          express: true
    """


async def value(config: ValueConfig, context: StepContext) -> Any:
    """The rendered `with`."""
    return config.value


@hookimpl
def register_steps(register: Any) -> None:
    register("value", value, config=ValueConfig, effect="pure")
