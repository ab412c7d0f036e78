"""A catalog with small step and trigger types, and a checker for texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.core.catalog import Catalog, Effect, StepType, TriggerKind, TriggerType, WebhookRules
from engine.pipeline.check import Report, check_files
from engine.plugin.config import StepConfig, WholeConfig


class AnyConfig(WholeConfig, frozen=True):
    """Return `with`."""


class Bearer(StepConfig, frozen=True):
    """A token."""

    bearer: str


class RequestConfig(StepConfig, frozen=True):
    """Send a request."""

    url: str
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, str] | None = None
    auth: Bearer | None = None
    expect: tuple[int, ...] = ()
    limit: Annotated[int, Meta(ge=1, le=10)] = 1
    json: Any = None
    follow: bool = False
    body: str | UnsetType = UNSET


class Answer(Struct):
    """What a request returns."""

    status: int
    body: Any = None


class QueryConfig(StepConfig, frozen=True):
    """Ask a database."""

    query: Annotated[str, Meta(extra={"template": "literal"})]
    params: dict[str, Any] | None = None


class HookConfig(StepConfig, frozen=True):
    """Wait for a delivery."""

    path: str
    secret: str | list[str] | None = None
    auth: Bearer | Literal["none"] | None = None
    events: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("POST",)
    max_body: int = 1000


class ClockConfig(StepConfig, frozen=True):
    """Start at a time."""

    cron: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.cron.startswith("0 25"):
            raise ValueError("hour cannot be 25")
        if self.timezone == "Mars":
            raise ValueError("there is no time zone Mars")


class EventConfig(StepConfig, frozen=True):
    """Wait for an event."""

    type: str


async def nothing(config: Any, context: Any) -> None:
    """Never called here."""


def step(name: str, config: type[Struct], result: Any = Any) -> StepType:
    return StepType(name=name, function=nothing, config=config, effect=Effect.PURE, result=result)


RULES = WebhookRules(
    verify=lambda delivery, config: None,
    delivery_id=lambda delivery, config: None,
    event_type=lambda delivery, config: "",
    wants=lambda event_type, config: not config.events or event_type in config.events,
    sign=lambda body, headers, config, now: {},
)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    steps = [
        step("value", AnyConfig),
        step("http.request", RequestConfig, Answer),
        step("sql.query", QueryConfig),
    ]
    triggers = [
        TriggerType("webhook", TriggerKind.WEBHOOK, HookConfig, webhook=RULES),
        TriggerType("github.webhook", TriggerKind.WEBHOOK, HookConfig, source="github", webhook=RULES),
        TriggerType("schedule", TriggerKind.SCHEDULE, ClockConfig),
        TriggerType("event", TriggerKind.EVENT, EventConfig),
    ]
    return Catalog(
        steps={item.name: item for item in steps},
        triggers={item.name: item for item in triggers},
        filters={"demo.twice": lambda value: value * 2},
    )


Check = Callable[..., Report]


@pytest.fixture
def check(tmp_path: Path, catalog: Catalog) -> Check:
    """Write files below a root and check those in pipelines/: check(text) or check({"pipelines/a.yaml": text, ...})."""

    def run(files: str | bytes | dict[str, str | bytes]) -> Report:
        if not isinstance(files, dict):
            files = {"pipelines/a.yaml": files}
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return check_files(sorted(tmp_path.glob("pipelines/**/*.yaml")), catalog, root=tmp_path)

    return run
