"""What starts a run without a delivery: the clock, and events that other pipelines emit."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from engine.plugin import StepConfig, TriggerKind, cron, hookimpl


class ScheduleConfig(StepConfig, frozen=True):
    """Start at times that a cron expression names.

    Clock changes as Debian's cron has them: a fixed time that is skipped fires at the next time that exists, one that
    is repeated fires once.

    Example:
        uses: schedule
        with:
          cron: "30 9 * * MON-FRI"
          timezone: Europe/Berlin
    """

    cron: Annotated[
        str,
        Meta(
            description="Five fields: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, "
            "@monthly, @yearly.",
            examples=["*/5 * * * *", "30 9 * * MON-FRI", "@daily"],
        ),
    ]
    timezone: Annotated[str, Meta(description="IANA name of the time zone.", examples=["Europe/Berlin"])] = "UTC"
    catch_up: Annotated[
        Literal["none", "last", "all"],
        Meta(description="After a pause: run none of the ticks that were missed, the last one, or all."),
    ] = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        cron.check_cron(self.cron)
        cron.load_zone(self.timezone)


class EventConfig(StepConfig, frozen=True):
    """Start when a pipeline emits an event.

    Example:
        uses: event
        with:
          type: order.*
    """

    type: Annotated[
        str,
        Meta(min_length=1, description="Type of the event; * stands for anything.", examples=["order.paid", "order.*"]),
    ]


class FinishedConfig(StepConfig, frozen=True):
    """Start when a run of another pipeline has ended.

    The event's body has the `run`, its `error` and its `outputs`.

    Example:
        uses: run.finished
        with:
          pipelines: ["*", "!on-failure"]
          outcomes: [failed]
    """

    pipelines: Annotated[
        list[str],
        Meta(min_length=1, description="Ids of pipelines; * stands for anything, ! excludes.", examples=[["*"]]),
    ] = msgspec.field(default_factory=lambda: ["*"])
    outcomes: Annotated[
        list[Literal["succeeded", "failed", "cancelled"]], Meta(min_length=1, description="How the run ended.")
    ] = msgspec.field(default_factory=lambda: ["succeeded", "failed", "cancelled"])


@hookimpl
def register_triggers(register: Any) -> None:
    """`schedule`, `event` and `run.finished`."""
    register("schedule", config=ScheduleConfig, kind=TriggerKind.SCHEDULE, source="schedule")
    register("event", config=EventConfig, kind=TriggerKind.EVENT, source="internal")
    register("run.finished", config=FinishedConfig, kind=TriggerKind.EVENT, source="hookwright")
