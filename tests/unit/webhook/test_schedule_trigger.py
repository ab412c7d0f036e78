"""The triggers without a delivery."""

from typing import Any

import msgspec
import pytest

from engine.core.catalog import TriggerKind
from engine.plugin.host import load_catalog

CATALOG = load_catalog().catalog


def test_kinds() -> None:
    """The engine finds them by their kind."""
    assert CATALOG.triggers["schedule"].kind == TriggerKind.SCHEDULE
    assert CATALOG.triggers["event"].kind == TriggerKind.EVENT


def test_defaults_of_a_schedule() -> None:
    """UTC, and the last missed tick is caught up."""
    config: Any = msgspec.convert({"cron": "@daily"}, CATALOG.triggers["schedule"].config)
    assert (config.cron, config.timezone, config.catch_up) == ("@daily", "UTC", "last")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "cron"),
        ({"cron": "every day"}, "is not five fields"),
        ({"cron": "0 0 31 2 *"}, "never fires"),
        ({"cron": "@daily", "timezone": "Mars/Olympus"}, "there is no time zone"),
        ({"cron": "@daily", "catch_up": "some"}, "some"),
        ({"cron": "@daily", "until": "noon"}, "until"),
    ],
)
def test_schedules_that_are_wrong(fields: dict[str, str], message: str) -> None:
    """The author is told what is wrong."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(fields, CATALOG.triggers["schedule"].config)


def test_an_event_needs_a_type() -> None:
    """An empty pattern would never match."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": ""}, CATALOG.triggers["event"].config)
