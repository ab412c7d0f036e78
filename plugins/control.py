"""Steps that steer runs: `stop`, `fail`, `emit`, `pipeline.start`."""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from engine.plugin import Fail, StartedRun, StepConfig, StepContext, Stop, hookimpl

TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,99}")


class StopConfig(StepConfig, frozen=True):
    """End the run here, as succeeded. Later steps are not executed; `finally` is.

    Example:

        if: event.body.draft
        uses: stop
        with:
          message: drafts are left alone
    """

    message: Annotated[str, Meta(description="Why; shown with the run.", examples=["nothing to do"])] = ""
    output: Annotated[Any, Meta(description="Output of this step.")] = None


class FailConfig(StepConfig, frozen=True):
    """Fail here, with an error of your own.

    Example:

        if: event.body.items | length == 0
        uses: fail
        with:
          type: order.empty
          message: the order has no items
    """

    message: Annotated[str, Meta(description="What went wrong, for people.", examples=["the order has no items"])]
    type: Annotated[
        str, Meta(description="What `on_error` and reports see as `error.type`.", examples=["order.empty"])
    ] = "failed"
    data: Annotated[Any, Meta(description="Anything; kept as `error.data`.")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_type(self.type)


class EmitConfig(StepConfig, frozen=True):
    """Emit an internal event; pipelines with an `event` trigger of this type are started by it.

    Example:

        uses: emit
        with:
          type: order.paid
          body:
            order: ${{ event.body.order.id }}
    """

    type: Annotated[str, Meta(description="Type of the event, lower case.", examples=["order.paid"])]
    body: Annotated[Any, Meta(description="What receivers see as `event.body`.")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_type(self.type)


class Emitted(msgspec.Struct, frozen=True):
    """The event that was emitted."""

    type: Annotated[str, Meta(description="Its type.")]


class StartConfig(StepConfig, frozen=True):
    """Start a run of another pipeline and do not wait for it. `uses: pipeline:ID` waits and has its outputs.

    The run is started once, however often this step is tried. It sees where it comes from as `run.parent`.

    Example:

        uses: pipeline.start
        with:
          pipeline: send-invoice
          inputs:
            order: ${{ event.body.order.id }}
    """

    pipeline: Annotated[str, Meta(description="Id of the pipeline.", examples=["send-invoice"])]
    inputs: Annotated[dict[str, Any], Meta(description="Its inputs.")] = field(default_factory=dict)
    labels: Annotated[dict[str, str], Meta(description="Labels besides its own, which they replace.")] = field(
        default_factory=dict
    )


async def start(config: StartConfig, context: StepContext) -> StartedRun:
    """Exactly once: after a crash the run that was started is found again."""
    return await context.runs.start(config.pipeline, config.inputs, labels=config.labels)


async def stop(config: StopConfig, context: StepContext) -> None:
    """End the run."""
    raise Stop(config.message, output=config.output)


async def fail(config: FailConfig, context: StepContext) -> None:
    """Fail for good, with this error's type."""
    raise Fail(config.message, type=config.type, data=config.data)


async def emit(config: EmitConfig, context: StepContext) -> Emitted:
    """The event is stored together with this step's result: at most once."""
    context.emit(config.type, config.body)
    return Emitted(config.type)


def _check_type(text: str) -> None:
    if not TYPE.fullmatch(text):
        raise ValueError(f"`type`: {text!r} is not a type: lower case words joined by dots, such as order.paid")


@hookimpl
def register_steps(register: Any) -> None:
    register("stop", stop, config=StopConfig, effect="pure")
    register("fail", fail, config=FailConfig, effect="pure")
    register("emit", emit, config=EmitConfig, effect="idempotent", result=Emitted)
    register("pipeline.start", start, config=StartConfig, effect="idempotent", result=StartedRun)
