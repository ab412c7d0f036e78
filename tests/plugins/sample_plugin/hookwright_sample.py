"""A step, a filter and an observer from a package of their own."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.plugin import Duration, Fail, SecretText, StepConfig, StepContext, hookimpl, parse_duration

finished: list[str] = []  # what the observer has seen


class GreetConfig(StepConfig, frozen=True):
    """Greet somebody.

    Example:

        uses: sample.greet
        with:
          name: Ann
    """

    name: Annotated[str, Meta(description="Whom to greet.", examples=["Ann"])]
    pause: Annotated[Duration, Meta(description="Time between two greetings.")] = "1s"
    token: Annotated[SecretText, Meta(description="For nothing at all.")] | None = None


class Greeting(msgspec.Struct, frozen=True):
    """What was said."""

    text: Annotated[str, Meta(description="The greeting.")]
    pause: Annotated[float, Meta(description="Seconds.")]


async def greet(config: GreetConfig, context: StepContext) -> Greeting:
    """Greet them."""
    if not config.name.strip():
        raise Fail("there is nobody to greet", type="sample.nobody")
    context.emit("sample.greeted", {"name": config.name})
    return Greeting(text=f"Hello {config.name}", pause=parse_duration(config.pause))


def shout(text: str, marks: int = 1) -> str:
    """In capitals, with so many exclamation marks."""
    return text.upper() + "!" * marks


@hookimpl
def register_steps(register: Any) -> None:
    register("sample.greet", greet, config=GreetConfig, effect="pure", result=Greeting)
    register("http.request", greet, config=GreetConfig)  # ours already: refused, and said so


@hookimpl
def register_filters(register: Any) -> None:
    register("sample.shout", shout)


@hookimpl
async def run_finished(run: dict[str, Any]) -> None:
    finished.append(run["id"])
