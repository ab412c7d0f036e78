"""Process configuration from the environment: HOOKWRIGHT_*, DATABASE_URL, REDIS_URL."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from engine.errors import ConfigurationError

PREFIX = "HOOKWRIGHT_"
OPTION_GROUPS = ("AI_", "SMTP_", "SLACK_", "OPTION_")  # HOOKWRIGHT_AI_BASE_URL becomes the plugin option "ai.base_url"
OPENAI = "https://api.openai.com/v1"  # what OPENAI_API_KEY alone means
SECRET = "SECRET_"  # HOOKWRIGHT_SECRET_NAME is the secret NAME
CLIENT = ("URL", "TOKEN", "DEBUG", "REQUIRE_BROWSER")  # for the command line and the tests, not for the engine
ALIASES = {  # what other tools call it -> the plugin option; ours wins
    "OPENAI_BASE_URL": "ai.base_url",
    "OPENAI_API_KEY": "ai.api_key",
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the operator can set. Every field is HOOKWRIGHT_<NAME> in the environment."""

    database_url: str | None = None  # also DATABASE_URL; None: the bundled PostgreSQL
    redis_url: str | None = None  # also REDIS_URL; None: the bundled Valkey
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    public_url: str | None = None  # how senders and people reach us; None: http://host:port
    data_dir: Path = Path(".hookwright")
    pipelines: Path = Path("pipelines")
    deploy: Literal["files", "command"] = "files"  # files: the folder, at the start and when it changes; or by command
    secrets_file: Path | None = None  # None: <data_dir>/secrets.env
    allow_hosts: tuple[str, ...] = ()  # outbound: hosts, host:port or networks allowed though private
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100  # runs at once per worker
    queues: tuple[str, ...] = ()  # whose steps this worker carries out; none: of all queues
    max_body: Annotated[int, msgspec.Meta(ge=1024, le=100_000_000)] = 1_000_000  # bytes, default per trigger
    log_level: str = "info"
    log_format: str = "auto"  # auto | json | text; auto: text on a terminal
    # how long history is kept, in days or weeks: 90d, 12w, or `forever`
    retention: Annotated[str, msgspec.Meta(pattern=r"^(forever|[1-9][0-9]{0,3}[dw])$")] = "90d"
    grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 20.0  # seconds that work under way gets after SIGTERM
    blocked: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 3.0  # seconds a step may keep a worker's loop; 0: any
    memory: Annotated[int, msgspec.Meta(ge=128)] | None = None  # megabytes one worker may use; None: no limit
    forwarded: bool = False  # trust X-Forwarded-* from the proxy in front

    @property
    def url(self) -> str:
        """Base URL without trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def load_settings(environment: Mapping[str, str] = os.environ, **overrides: object) -> Settings:
    """Settings from the environment; overrides (from the command line) win. ConfigurationError names what is wrong."""
    environment = _given(environment)
    raw: dict[str, object] = {}
    for name in ("database_url", "redis_url"):
        if environment.get(name.upper()):
            raw[name] = environment[name.upper()]
    for name, value in environment.items():
        rest = name.removeprefix(PREFIX)
        if rest == name or rest.startswith((*OPTION_GROUPS, SECRET)) or rest in CLIENT:
            continue
        raw[rest.lower()] = value
    raw.update({name: value for name, value in overrides.items() if value is not None})
    for field in ("allow_hosts", "queues"):
        if isinstance(text := raw.get(field), str):
            raw[field] = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.convert(raw, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"settings: {error} (environment variables {PREFIX}*)") from None


def load_options(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Plugin options: HOOKWRIGHT_AI_BASE_URL -> "ai.base_url"; well-known aliases count where ours is not set."""
    environment = _given(environment)
    options = {option: environment[alias] for alias, option in ALIASES.items() if environment.get(alias)}
    for name, value in environment.items():
        rest = name.removeprefix(PREFIX)
        if rest != name and rest.startswith(OPTION_GROUPS):
            options[rest.lower().replace("_", ".", 1)] = value
    if environment.get("OPENAI_API_KEY"):
        options.setdefault("ai.base_url", OPENAI)
    return options


def _given(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with a value: compose files and CI systems pass what is not set as empty texts."""
    return {name: value for name, value in environment.items() if value}


def _path(type_: type, value: object) -> object:
    if type_ is Path:
        return Path(str(value))
    raise NotImplementedError


def load_secrets(environment: Mapping[str, str], file: Path | None) -> dict[str, str]:
    """Secrets by name: NAME=value lines of the file, then HOOKWRIGHT_SECRET_NAME, which wins."""
    secrets: dict[str, str] = {}
    if file is not None and file.exists():
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, found, value = line.partition("=")
            if not found or not name.strip().replace("_", "").isalnum():
                raise ConfigurationError(f"{file}:{number}: write NAME=value")
            if value := value.strip().strip("'\""):  # an empty secret would let everybody in
                secrets[name.strip()] = value
    for name, value in _given(environment).items():
        if name.startswith(PREFIX + SECRET):
            secrets[name.removeprefix(PREFIX + SECRET)] = value
    return secrets
