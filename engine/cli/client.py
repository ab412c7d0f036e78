"""Talking to a running Hookwright over its HTTP API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from cyclopts import Group, Parameter

from engine import __version__
from engine.errors import ConfigurationError, HookwrightError, NotFound, Unavailable

FILE = "client.json"  # in the data directory, written by `hookwright up`, readable by its owner only
AGENT = f"hookwright-cli/{__version__}"  # the audit tells what came by the command line
TIMEOUT = 30.0  # seconds for one answer
CONNECTION = Group("Connection", sort_key=50)


class ClientFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `up` leaves for the other commands."""

    url: str = ""
    token: str = ""
    database_url: str = ""  # of the bundled databases while `up` runs
    redis_url: str = ""
    pid: int = 0


@Parameter(name="*", group=CONNECTION)
@dataclass(frozen=True)
class Connection:
    """Where Hookwright is."""

    url: Annotated[str | None, Parameter(env_var="HOOKWRIGHT_URL", show_env_var=True)] = None
    "Base URL of Hookwright; otherwise that of `hookwright up` on this data directory."
    token: Annotated[str | None, Parameter(env_var="HOOKWRIGHT_TOKEN", show_env_var=True)] = None
    "API token; otherwise that of `hookwright up` on this data directory."
    data_dir: Annotated[Path, Parameter(env_var="HOOKWRIGHT_DATA_DIR", show_env_var=True)] = Path(".hookwright")
    "Where `hookwright up` keeps its data."


class Refused(HookwrightError):
    """Hookwright answered with an error."""

    def __init__(self, message: str, *, status: int, problem: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class Client:
    """One connection to the API. Every method raises Unavailable, ConfigurationError (401) or Refused."""

    def __init__(self, url: str, token: str) -> None:
        import httpx

        self.url = url.rstrip("/")
        local = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"user-agent": AGENT} | ({"authorization": f"Bearer {token}"} if token else {}),
            timeout=TIMEOUT,
            trust_env=not local,  # a proxy in the environment is not the way to this machine
            verify=self.url.startswith("https:"),  # for http, reading the certificates would only cost time
        )

    def get(self, path: str, /, **query: Any) -> Any:
        """The decoded answer of GET /api/v1{path}; query values of None are left out."""
        return self.call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The decoded answer of POST /api/v1{path}."""
        content = b"" if body is None else msgspec.json.encode(body)
        kind = {} if body is None else {"content-type": "application/json"}
        return self.call("POST", path, content=content, headers=kind | (headers or {}))

    def call(self, method: str, path: str, **options: Any) -> Any:
        """One request below /api/v1."""
        answer = self.send(method, "/api/v1" + path, **options)
        if answer.is_success:
            return msgspec.json.decode(answer.content) if answer.content else None
        raise _refusal(answer)

    def send(self, method: str, path: str, **options: Any) -> Any:
        """One request to any path; the httpx.Response, whatever its status."""
        import httpx

        try:
            return self._http.request(method, path, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Unavailable(f"cannot reach {self.url}: is `hookwright up` running?") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.url} did not answer: {error or type(error).__name__}") from None

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()


@contextmanager
def connect(connection: Connection | None) -> Iterator[Client]:
    """A client for these options, the environment, or the running `up`."""
    client = Client(*_where(connection or Connection()))
    try:
        yield client
    finally:
        client.close()


def read_client_file(data_dir: Path) -> ClientFile:
    """What the last `up` on this data directory left; empty fields if there was none."""
    try:
        return msgspec.json.decode((data_dir / FILE).read_bytes(), type=ClientFile)
    except FileNotFoundError:
        return ClientFile()
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{data_dir / FILE}: {error}") from None


def write_client_file(data_dir: Path, content: ClientFile) -> None:
    """Replace the file as a whole; only the owner may read it."""
    new = data_dir / f"{FILE}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    new.replace(data_dir / FILE)


def _where(connection: Connection) -> tuple[str, str]:
    """URL and token; HOOKWRIGHT_URL and HOOKWRIGHT_TOKEN have been read by the command line already."""
    left = read_client_file(connection.data_dir)
    url = connection.url or left.url or "http://127.0.0.1:8000"
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"--url: {url!r} does not begin with http:// or https://")
    token = connection.token or (left.token if url.rstrip("/") == left.url or not connection.url else "")
    return url, token


def _refusal(answer: Any) -> HookwrightError:
    """The exception for an answer that is not 2xx; its text comes from the problem document."""
    try:
        problem = msgspec.json.decode(answer.content)
    except msgspec.MsgspecError:
        problem = None
    if isinstance(problem, dict):
        text = str(problem.get("detail") or problem.get("title") or f"status {answer.status_code}")
        for item in problem.get("errors") or problem.get("extra") or ():
            if isinstance(item, dict):
                name = item.get("name") or item.get("key") or item.get("source") or ""
                text += f"\n  {name}: {item.get('message', '')}"
    else:
        text = f"the answer was {answer.status_code} {answer.reason_phrase}"
    if answer.status_code == 401:
        return ConfigurationError(
            f"{text} ({answer.status_code}): give --token or HOOKWRIGHT_TOKEN; `hookwright token create` makes one"
        )
    if answer.status_code == 404:
        return NotFound(text)
    if answer.status_code in (502, 503, 504):
        return Unavailable(text)
    return Refused(text, status=answer.status_code, problem=problem)
