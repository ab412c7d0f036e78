"""What every config can do: durations, secrets, anything at all."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta
from rich.pretty import pretty_repr

from engine.plugin import Duration, SecretText, StepConfig, WholeConfig


class Inner(StepConfig, frozen=True):
    """Inside."""

    password: str = ""


class Config(StepConfig, frozen=True):
    """For these tests."""

    token: str | None = None  # by its name
    hook: Annotated[SecretText, Meta(description="By its type.")] | None = None
    ttl: Annotated[Duration, Meta(description="How long.")] | None = None
    inner: Inner | None = None
    plain: str = "shown"


def test_secrets_are_masked_by_name_and_by_type() -> None:
    """Neither repr nor rich nor str shows a secret, at any depth; what is not set is shown as such."""
    config = Config(token="t0ken", hook="h00k", inner=Inner(password="pa55"))
    for text in (repr(config), str(config), pretty_repr(config), f"{config}"):
        assert not {"t0ken", "h00k", "pa55"} & set(text.replace("'", " ").split())
        assert "shown" in text
    assert repr(Config()) == "Config(token=None, hook=None, ttl=None, inner=None, plain='shown')"


@pytest.mark.parametrize("text", ["5", "", "5 m", "m", "1h 30m", "-5m", "5min"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The message names the field and shows how it is done."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"ttl": text}, Config)
    assert str(caught.value).startswith(f"`ttl`: {text!r} is not a duration: write for example 500ms, 30s")


def test_durations_pass() -> None:
    """Durations are kept as written."""
    assert msgspec.convert({"ttl": "1h30m"}, Config).ttl == "1h30m"
    assert msgspec.convert({"ttl": None}, Config).ttl is None


def test_unknown_fields_are_refused() -> None:
    """A misspelt field is an error."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `tll`"):
        msgspec.convert({"tll": "5m"}, Config)


def test_a_whole_config_takes_anything() -> None:
    """The one field holds whatever `with` was."""
    for value in ({"a": 1}, [1, 2], "text", None, 5):
        assert msgspec.convert({"value": value}, WholeConfig).value == value
