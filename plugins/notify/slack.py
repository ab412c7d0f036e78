"""The step `notify.slack`, by incoming webhook or by token."""

from typing import Annotated, Any

import httpx
import msgspec
from msgspec import Meta

from engine.plugin import (
    Duration,
    Fail,
    Retry,
    SecretText,
    StepConfig,
    StepContext,
    StepError,
    parse_duration,
    raise_for_status,
    retry_after,
    send_request,
)

API = "https://slack.com/api"
# https://docs.slack.dev/reference/methods/chat.postMessage lists the errors.
AUTH = frozenset(
    (
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_authed",
        "token_expired",
        "token_revoked",
    )
)
PASSING = frozenset(["fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"])
LIMITED = frozenset(("ratelimited", "rate_limited", "message_limit_exceeded"))
HINTS = {
    "not_in_channel": "invite the app to the channel",
    "channel_not_found": "give the channel's id, and invite the app if it is private",
    "missing_scope": "the app needs the scope chat:write",
    "no_service": "the webhook was removed or its app uninstalled",
}


class SlackConfig(StepConfig, frozen=True):
    """Post a message to Slack.

    Either by an incoming webhook (`webhook_url`), or by a bot's `token` to a `channel`. Defaults:
    HOOKWRIGHT_SLACK_WEBHOOK_URL, HOOKWRIGHT_SLACK_TOKEN.

    Example:

        uses: notify.slack
        with:
          token: ${{ secrets.SLACK_TOKEN }}
          channel: "#ops"
          text: "New order: ${{ event.body.order.id }}"
    """

    text: Annotated[
        str | None,
        Meta(description="The message; with `blocks`, what notifications show.", examples=["Deployed :tada:"]),
    ] = None
    blocks: Annotated[
        list[dict[str, Any]] | None,
        Meta(
            description="Block Kit blocks.",
            examples=[[{"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}}]],
        ),
    ] = None
    webhook_url: Annotated[SecretText, Meta(description="Incoming webhook; it is a secret.")] | None = None
    token: Annotated[SecretText, Meta(description="Bot token, xoxb-...")] | None = None
    channel: Annotated[
        str | None, Meta(description="Channel id or name; needed with a token.", examples=["C0123456789", "#ops"])
    ] = None
    thread_ts: Annotated[str | None, Meta(description="Answer in this message's thread (its `ts`).")] = None
    base_url: Annotated[str, Meta(description="Where Slack's API is, for tests and gateways.")] = API
    timeout: Annotated[Duration, Meta(description="How long to wait for Slack.")] = "30s"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text and not self.blocks:
            raise ValueError("there is nothing to post: `text` or `blocks` is needed")
        if self.webhook_url is not None and self.token is not None:
            raise ValueError("one way at a time: `webhook_url` or `token`")
        if self.token is not None and self.channel is None:
            raise ValueError("`token` needs a `channel`")


class Posted(msgspec.Struct, frozen=True):
    """Where the message is."""

    channel: Annotated[str, Meta(description="Channel id; empty for an incoming webhook, which does not say.")] = ""
    ts: Annotated[str, Meta(description="The message's id in its channel, for `thread_ts`.")] = ""


async def post_to_slack(config: SlackConfig, context: StepContext) -> Posted:
    """Post it once.

    Errors: `rate_limited`, `server_error`, `timeout`, `network` may be tried again; `auth`, `configuration`,
    `slack.channel_not_found` and the like are final.
    """
    webhook_url, token = config.webhook_url, config.token
    if webhook_url is None and token is None:
        token = context.options.get("slack.token") if config.channel is not None else None
        webhook_url = context.options.get("slack.webhook_url") if token is None else None
        if token is not None and config.base_url != API:
            token = None  # the configured token goes to Slack and nowhere else
    body = {"text": config.text, "blocks": config.blocks, "thread_ts": config.thread_ts}
    wait = min(parse_duration(config.timeout), context.timeout)
    if webhook_url is not None:
        return _webhook_reply(await _post(context, webhook_url, body, {}, wait))
    if token is None:
        raise Fail(
            "no way to Slack is configured: set `webhook_url`, or `token` and `channel`, or "
            "HOOKWRIGHT_SLACK_WEBHOOK_URL, or HOOKWRIGHT_SLACK_TOKEN with `channel`",
            type="configuration",
        )
    url = f"{config.base_url.rstrip('/')}/chat.postMessage"
    headers = {"authorization": f"Bearer {token}"}
    return _api_reply(await _post(context, url, {"channel": config.channel, **body}, headers, wait))


async def _post(
    context: StepContext, url: str, body: dict[str, Any], headers: dict[str, str], wait: float
) -> httpx.Response:
    content = msgspec.json.encode({name: value for name, value in body.items() if value is not None})
    headers = {"content-type": "application/json; charset=utf-8", **headers}
    return await send_request(context.http, "POST", url, content=content, headers=headers, timeout=wait, label="Slack")


def _webhook_reply(response: httpx.Response) -> Posted:
    """An incoming webhook answers `ok`, or an error word with a 4xx. Its URL must not get into messages."""
    if response.is_success:
        return Posted()
    word = response.text.strip()[:100]
    if response.status_code == 429 or response.status_code >= 500:
        raise _error(word or "service_unavailable", response)
    raise Fail(f"Slack refused the message: {_explained(word)}", type=f"slack.{word or response.status_code}")


def _api_reply(response: httpx.Response) -> Posted:
    """The API answers 200 with `ok: false` for most errors."""
    if not response.is_success and response.status_code != 429 and response.status_code < 500:
        raise_for_status(response)
    try:
        reply = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        reply = None
    if response.is_success and isinstance(reply, dict) and reply.get("ok") is True:
        return Posted(channel=str(reply.get("channel", "")), ts=str(reply.get("ts", "")))
    if response.is_success and not isinstance(reply, dict):
        raise Retry("Slack's answer is not JSON", type="server_error")
    word = str(reply.get("error", "unknown_error")) if isinstance(reply, dict) else ""
    raise _error(word or f"status {response.status_code}", response)


def _error(word: str, response: httpx.Response) -> StepError:
    message = f"Slack refused the message: {_explained(word)}"
    if response.status_code == 429 or word in LIMITED:
        return Retry(message, type="rate_limited", after=retry_after(response.headers))
    if response.status_code >= 500 or word in PASSING:
        return Retry(message, type="server_error", after=retry_after(response.headers))
    return Fail(message, type="auth" if word in AUTH else f"slack.{word}")


def _explained(word: str) -> str:
    return f"{word} ({HINTS[word]})" if word in HINTS else word
