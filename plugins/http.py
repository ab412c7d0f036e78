"""The step `http.request`."""

import base64
import time
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import httpx
import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from engine.plugin import (
    Duration,
    Fail,
    SecretText,
    StepConfig,
    StepContext,
    hookimpl,
    parse_duration,
    raise_for_status,
    send_request,
)

Scalar = str | int | float | bool | None
KEYED = ("POST", "PATCH")  # methods that are not idempotent by themselves


class Basic(StepConfig, frozen=True):
    """User name and password (RFC 7617)."""

    username: Annotated[str, Meta(description="User name.")]
    password: Annotated[SecretText, Meta(description="Password.")] = ""


class Header(StepConfig, frozen=True):
    """A header that carries a key."""

    name: Annotated[str, Meta(description="Name of the header.", examples=["X-Api-Key"])]
    value: Annotated[SecretText, Meta(description="Its value.")]


class Auth(StepConfig, frozen=True):
    """How to prove who is asking; one of the three."""

    bearer: Annotated[SecretText, Meta(description="Token for `Authorization: Bearer`.")] | None = None
    basic: Annotated[Basic | None, Meta(description="User name and password.")] = None
    header: Annotated[Header | None, Meta(description="A header of any name.")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(given is not None for given in (self.bearer, self.basic, self.header)) != 1:
            raise ValueError("`auth` takes exactly one of `bearer`, `basic`, `header`")


class RequestConfig(StepConfig, frozen=True):
    """Send one HTTP request and return the answer.

    POST and PATCH carry an `Idempotency-Key` header that is the same for every attempt, so a service that knows it
    does the work once. Addresses inside private networks are refused unless HOOKWRIGHT_ALLOW_HOSTS names them.

    Example:

        id: order
        uses: http.request
        with:
          method: POST
          url: https://api.example.com/v1/orders
          auth:
            bearer: ${{ secrets.ORDERS_TOKEN }}
          json:
            customer: ${{ event.body.customer.id }}
    """

    url: Annotated[str, Meta(description="Where to.", examples=["https://api.example.com/v1/orders"])]
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], Meta(description="HTTP method.")
    ] = "GET"
    headers: Annotated[
        dict[str, str],
        Meta(
            description="Request headers; masked in logs.",
            examples=[{"accept": "application/json"}],
            extra={"secret": True},
        ),
    ] = field(default_factory=dict)
    query: Annotated[
        dict[str, Scalar | list[Scalar]],
        Meta(
            description="Query parameters, added to those in `url`; a list repeats the name, null leaves it out.",
            examples=[{"page": 2, "tag": ["a", "b"]}],
        ),
    ] = field(default_factory=dict)
    json: Annotated[Any, Meta(description="Body, sent as JSON.", examples=[{"title": "hello"}])] = UNSET
    form: Annotated[
        dict[str, Scalar | list[Scalar]] | UnsetType, Meta(description="Body, sent as form fields (urlencoded).")
    ] = UNSET
    body: Annotated[
        str | UnsetType, Meta(description="Body, sent as this text in UTF-8; set `content-type` in `headers`.")
    ] = UNSET
    auth: Annotated[Auth | None, Meta(description="Credentials.", examples=[{"bearer": "${{ secrets.TOKEN }}"}])] = None
    timeout: Annotated[Duration, Meta(description="How long to wait for the whole answer.")] = "30s"
    follow_redirects: Annotated[
        bool, Meta(description="Go where a 3xx points to; every hop is checked like the first.")
    ] = False
    expect: Annotated[
        list[Annotated[int, Meta(ge=100, le=599)]] | None,
        Meta(description="Statuses that are a success. Default: 200 to 299.", examples=[[200, 404]]),
    ] = None
    response: Annotated[
        Literal["auto", "json", "text", "base64"],
        Meta(description="How to read the answer's body. auto: JSON if it says so, text if it is text, else base64."),
    ] = "auto"
    idempotency_header: Annotated[
        bool, Meta(description="Send `Idempotency-Key` with POST and PATCH; the same for every attempt.")
    ] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(body is not UNSET for body in (self.json, self.form, self.body)) > 1:
            raise ValueError("one body at a time: `json`, `form` or `body`")


class Response(msgspec.Struct, frozen=True):
    """What came back."""

    status: Annotated[int, Meta(description="HTTP status.")]
    headers: Annotated[dict[str, str], Meta(description="Headers, names in lower case; repeated ones joined by comma.")]
    body: Annotated[Any, Meta(description="Body, read as `response` says; null if there is none.")]
    url: Annotated[str, Meta(description="Where the answer came from: the last one, if redirects were followed.")]
    elapsed_ms: Annotated[int, Meta(description="Milliseconds until the answer was read.")]


async def request(config: RequestConfig, context: StepContext) -> Response:
    """Send it. Anything but an expected status is an error.

    Errors: `rate_limited` (429), `server_error` (5xx) and `timeout`, `network` are tried again; `http.404` and the
    like, `blocked_address`, `invalid_response`, `response_too_large`, `redirects` and `invalid_input` are not.
    """
    url, headers, content = prepare(config, context.idempotency_key)
    started = time.perf_counter()
    response = await send_request(
        context.http,
        config.method,
        url,
        content=content,
        headers=headers,
        timeout=min(parse_duration(config.timeout), context.timeout),
        follow_redirects=config.follow_redirects,
    )
    elapsed = round((time.perf_counter() - started) * 1000)
    expected = response.is_success if config.expect is None else response.status_code in config.expect
    if not expected:
        hint = ""
        if response.has_redirect_location:
            hint = f"; it points to {response.headers['location']}: set `follow_redirects: true` to go there"
        raise_for_status(response, hint=hint)
    return Response(
        status=response.status_code,
        headers=dict(response.headers),
        body=_body(response, config.response),
        url=str(response.url),
        elapsed_ms=elapsed,
    )


def prepare(config: RequestConfig, idempotency_key: str) -> tuple[httpx.URL | str, dict[str, str], bytes | None]:
    """URL, headers and body as they are sent."""
    url: httpx.URL | str = config.url
    if config.query:
        try:
            url = httpx.URL(config.url)
            url = url.copy_merge_params(_listed(config.query))
        except httpx.InvalidURL as error:
            raise Fail(f"{config.url!r} is not a URL: {error}", type="invalid_input") from None
    headers: dict[str, str] = {}
    content: bytes | None = None
    if config.json is not UNSET:
        headers["content-type"], content = "application/json", msgspec.json.encode(config.json)
    elif not isinstance(config.form, UnsetType):
        headers["content-type"] = "application/x-www-form-urlencoded"
        content = urlencode(_listed(config.form), doseq=True).encode()
    elif not isinstance(config.body, UnsetType):
        headers["content-type"], content = "text/plain; charset=utf-8", config.body.encode()
    if config.idempotency_header and config.method in KEYED:
        headers["idempotency-key"] = idempotency_key
    if config.auth is not None:
        name, value = _authorization(config.auth)
        headers[name.lower()] = value
    headers.update({name.lower(): value for name, value in config.headers.items()})
    return url, headers, content


def _authorization(auth: Auth) -> tuple[str, str]:
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.password}".encode()
        return "authorization", "Basic " + base64.b64encode(pair).decode()
    if auth.header is not None:
        return auth.header.name, auth.header.value
    return "authorization", f"Bearer {auth.bearer}"


def _listed(fields: dict[str, Scalar | list[Scalar]]) -> dict[str, list[str]]:
    """Every value as a list of texts; booleans as JSON writes them, null left out."""
    listed = {}
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        listed[name] = [_text(item) for item in values if item is not None]
    return listed


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _body(response: httpx.Response, wanted: str) -> Any:
    content = response.content
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if wanted == "base64":
        return base64.b64encode(content).decode()
    if wanted == "text":
        return response.text
    if wanted == "json" or kind == "application/json" or kind.endswith("+json"):
        if wanted == "auto" and not content.strip():
            return None
        try:
            return msgspec.json.decode(content)
        except (ValueError, RecursionError) as error:
            if wanted == "json":
                start = response.text[:200]
                raise Fail(
                    f"{response.request.method} {response.url} did not answer JSON ({error}); it begins: {start!r}",
                    type="invalid_response",
                    data={"status": response.status_code, "body": response.text[:2000]},
                ) from None
            return response.text
    if not content:
        return None
    if kind.startswith("text/") or "charset=" in response.headers.get("content-type", ""):
        return response.text
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()


@hookimpl
def register_steps(register: Any) -> None:
    register("http.request", request, config=RequestConfig, effect="idempotent", result=Response)
