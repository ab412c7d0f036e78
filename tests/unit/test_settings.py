"""Settings, plugin options and secrets from the environment."""

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.settings import load_options, load_secrets, load_settings


def test_defaults() -> None:
    """Nothing needs to be set."""
    settings = load_settings({})
    assert (settings.url, settings.database_url, settings.allow_hosts) == ("http://127.0.0.1:8000", None, ())


@pytest.mark.parametrize(
    ("environment", "field", "value"),
    [
        ({"DATABASE_URL": "postgresql://x"}, "database_url", "postgresql://x"),
        ({"DATABASE_URL": "a", "HOOKWRIGHT_DATABASE_URL": "b"}, "database_url", "b"),  # ours wins
        ({"HOOKWRIGHT_PORT": "9000"}, "port", 9000),
        ({"HOOKWRIGHT_PORT": ""}, "port", 8000),  # a compose file passes what is not set as empty
        ({"HOOKWRIGHT_FORWARDED": "true"}, "forwarded", True),
        ({"HOOKWRIGHT_ALLOW_HOSTS": "a, 10.0.0.0/8 ,,b:81"}, "allow_hosts", ("a", "10.0.0.0/8", "b:81")),
        ({"HOOKWRIGHT_DATA_DIR": "/tmp/x"}, "data_dir", Path("/tmp/x")),
        ({"HOOKWRIGHT_TOKEN": "t", "HOOKWRIGHT_DEBUG": "1", "HOOKWRIGHT_SECRET_X": "s"}, "port", 8000),  # not settings
    ],
)
def test_variables(environment: dict[str, str], field: str, value: object) -> None:
    """Each variable sets its field, in the field's type."""
    assert getattr(load_settings(environment), field) == value


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HOOKWRIGHT_PORT": "many"}, r"port"),
        ({"HOOKWRIGHT_PORT": "70000"}, r"port"),
        ({"HOOKWRIGHT_PROT": "1"}, r"prot"),
        ({"HOOKWRIGHT_CONCURRENCY": "0"}, r"concurrency"),
    ],
)
def test_mistakes_name_the_variable(environment: dict[str, str], message: str) -> None:
    """A wrong value or an unknown name is an error, not a default."""
    with pytest.raises(ConfigurationError, match=message):
        load_settings(environment)


def test_overrides_win_unless_none() -> None:
    """What the command line says beats the environment; None means that it said nothing."""
    settings = load_settings({"HOOKWRIGHT_PORT": "9000", "HOOKWRIGHT_HOST": "::1"}, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "::1")


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({"HOOKWRIGHT_AI_BASE_URL": "u", "OPENAI_BASE_URL": "v"}, {"ai.base_url": "u"}),
        ({"OPENAI_API_KEY": "k"}, {"ai.api_key": "k", "ai.base_url": "https://api.openai.com/v1"}),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "v"}, {"ai.api_key": "k", "ai.base_url": "v"}),
        ({"HOOKWRIGHT_AI_BASE_URL": "", "OPENAI_API_KEY": ""}, {}),
        ({"HOOKWRIGHT_SLACK_WEBHOOK_URL": "w"}, {"slack.webhook_url": "w"}),
    ],
)
def test_plugin_options(environment: dict[str, str], options: dict[str, str]) -> None:
    """Variables become options; OpenAI's own key alone means OpenAI."""
    assert load_options(environment) == options


def test_secrets(tmp_path: Path) -> None:
    """The file is read, the environment wins, empty values do not count: an empty secret would let everybody in."""
    file = tmp_path / "secrets.env"
    file.write_text("# comment\n\nA=1\nB = 'two' \nEMPTY=\nURL=http://x?a=b\n")
    found = load_secrets({"HOOKWRIGHT_SECRET_A": "env", "HOOKWRIGHT_SECRET_C": ""}, file)
    assert found == {"A": "env", "B": "two", "URL": "http://x?a=b"}
    assert load_secrets({}, tmp_path / "absent") == {}


def test_a_broken_secrets_file_names_the_line(tmp_path: Path) -> None:
    """File and line, and what to write."""
    file = tmp_path / "secrets.env"
    file.write_text("A=1\nnonsense\n")
    with pytest.raises(ConfigurationError, match=r"secrets\.env:2: write NAME=value"):
        load_secrets({}, file)
