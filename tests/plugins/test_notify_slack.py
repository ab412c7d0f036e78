"""notify.slack against a service that answers like Slack."""

from typing import Any

import msgspec
import pytest

from engine.plugin import Fail, Retry, StepError
from engine.testing import run_step
from tests.plugins.service import Downstream

PATH = "/services/T000/B000/secretpart"


async def post(downstream: Downstream, **with_: Any) -> Any:
    """The output with a bot token."""
    with_ = {"token": "xoxb-1", "channel": "#ops", "base_url": f"{downstream.url}/api/", **with_}
    return (await run_step("notify.slack", with_)).output


async def test_a_bot_posts_to_a_channel(downstream: Downstream) -> None:
    """The token goes into the header, channel and text into the body; the message's place comes back."""
    downstream.answer(200, {"ok": True, "channel": "C1", "ts": "1.2"})
    assert await post(downstream, text="hi", thread_ts="1.1") == {"channel": "C1", "ts": "1.2"}
    asked = downstream.asked[0]
    assert (asked.path, asked.headers["authorization"]) == ("/api/chat.postMessage", "Bearer xoxb-1")
    assert asked.json == {"channel": "#ops", "text": "hi", "thread_ts": "1.1"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "type_", "error"),
    [
        (200, {"ok": False, "error": "channel_not_found"}, {}, "slack.channel_not_found", Fail),
        (200, {"ok": False, "error": "invalid_auth"}, {}, "auth", Fail),
        (200, {"ok": False, "error": "ratelimited"}, {"retry-after": "4"}, "rate_limited", Retry),
        (429, {"ok": False, "error": "ratelimited"}, {"retry-after": "4"}, "rate_limited", Retry),
        (429, "", {"retry-after": "4"}, "rate_limited", Retry),
        (200, {"ok": False, "error": "internal_error"}, {}, "server_error", Retry),
        (503, {"ok": False, "error": "service_unavailable"}, {}, "server_error", Retry),
        (200, "<html>", {}, "server_error", Retry),
        (200, {"ok": False}, {}, "slack.unknown_error", Fail),
        (404, "not here", {}, "http.404", Fail),
    ],
)
async def test_slacks_errors(
    downstream: Downstream, status: int, body: Any, headers: dict[str, str], type_: str, error: type[StepError]
) -> None:
    """`ok: false` is an error although the status is 200; passing trouble may be tried again."""
    downstream.answer(status, body, headers=headers)
    with pytest.raises(error) as caught:
        await post(downstream, text="hi")
    assert caught.value.type == type_
    assert caught.value.after == (4.0 if headers else None)


async def test_an_incoming_webhook_takes_blocks(downstream: Downstream) -> None:
    """The body goes to the webhook's own URL."""
    downstream.answer(200, "ok")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*hi*"}}]
    result = await run_step("notify.slack", {"webhook_url": downstream.url + PATH, "text": "hi", "blocks": blocks})
    assert result.output == {"channel": "", "ts": ""}
    assert (downstream.asked[0].path, downstream.asked[0].json) == (PATH, {"text": "hi", "blocks": blocks})


@pytest.mark.parametrize(
    ("status", "body", "type_", "error"),
    [
        (400, "invalid_payload", "slack.invalid_payload", Fail),
        (404, "no_service", "slack.no_service", Fail),
        (410, "", "slack.410", Fail),
        (429, "", "rate_limited", Retry),
        (500, "rollup_error", "server_error", Retry),
    ],
)
async def test_a_webhooks_errors_do_not_show_its_url(
    downstream: Downstream, status: int, body: str, type_: str, error: type[StepError]
) -> None:
    """The URL of an incoming webhook is a password."""
    downstream.answer(status, body)
    with pytest.raises(error) as caught:
        await run_step("notify.slack", {"webhook_url": downstream.url + PATH, "text": "hi"})
    assert caught.value.type == type_
    assert "secretpart" not in caught.value.message + str(caught.value.data)


async def test_a_webhook_out_of_reach_does_not_show_its_url(unused_tcp_port: int) -> None:
    """Neither does a failed connection."""
    with pytest.raises(Retry) as caught:
        await run_step("notify.slack", {"webhook_url": f"http://127.0.0.1:{unused_tcp_port}{PATH}", "text": "hi"})
    assert "secretpart" not in caught.value.message


async def test_the_options_are_used_where_the_step_says_nothing(downstream: Downstream) -> None:
    """The operator's webhook is the default; without any way the settings are named."""
    await run_step("notify.slack", {"text": "hi"}, options={"slack.webhook_url": downstream.url + PATH})
    assert downstream.asked[0].path == PATH
    with pytest.raises(Fail, match="HOOKWRIGHT_SLACK_WEBHOOK_URL") as caught:
        await run_step("notify.slack", {"text": "hi"})
    assert caught.value.type == "configuration"


async def test_the_configured_token_goes_to_slack_only(downstream: Downstream) -> None:
    """A pipeline that names another server does not get the operator's token sent there."""
    with pytest.raises(Fail) as caught:
        await run_step(
            "notify.slack",
            {"text": "hi", "channel": "#ops", "base_url": downstream.url},
            options={"slack.token": "xoxb-operator"},
        )
    assert caught.value.type == "configuration"
    assert downstream.asked == []


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        ({}, "nothing to post"),
        ({"text": "a", "token": "x"}, "needs a `channel`"),
        ({"text": "a", "token": "x", "channel": "c", "webhook_url": "u"}, "one way at a time"),
    ],
)
async def test_wrong_config_is_named(with_: dict[str, Any], message: str) -> None:
    """What is wrong in `with` is said."""
    with pytest.raises(msgspec.ValidationError, match=message):
        await run_step("notify.slack", with_)
