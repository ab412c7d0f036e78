"""notify.webhook, verified by the reference implementation of Standard Webhooks."""

import base64
from typing import Any

import msgspec
import pytest
import standardwebhooks

from engine.plugin import Fail, Retry
from engine.testing import run_step
from tests.plugins.service import Downstream

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four byt").decode()
OTHER = "whsec_" + base64.b64encode(b"another key, new one, 24").decode()


async def test_the_reference_implementation_accepts_the_signature(downstream: Downstream) -> None:
    """Body, id and time are signed; the id is the step's idempotency key."""
    payload = {"type": "order.paid", "data": {"n": 1, "t": "ü"}}
    with_ = {"url": downstream.url + "/hook", "payload": payload, "secret": SECRET, "headers": {"X-A": "1"}}
    result = await run_step("notify.webhook", with_, idempotency_key="0192/notify")
    assert result.output == {"id": "0192/notify", "status": 200}
    asked = downstream.asked[0]
    assert standardwebhooks.Webhook(SECRET).verify(asked.body, asked.headers) == payload
    assert (asked.headers["webhook-id"], asked.headers["content-type"]) == ("0192/notify", "application/json")
    assert asked.headers["x-a"] == "1"


async def test_several_keys_sign_while_one_is_being_changed(downstream: Downstream) -> None:
    """A receiver with the old key and one with the new key both accept it."""
    await run_step("notify.webhook", {"url": downstream.url, "payload": [1], "secret": [SECRET, OTHER]})
    asked = downstream.asked[0]
    for secret in (SECRET, OTHER):
        assert standardwebhooks.Webhook(secret).verify(asked.body, asked.headers) == [1]


async def test_an_id_with_dots_or_line_breaks_is_replaced(downstream: Downstream) -> None:
    """An author's own idempotency key cannot confuse what is signed; the same key still gives the same id."""
    ids = set()
    for _ in range(2):
        with_ = {"url": downstream.url, "payload": {}, "secret": SECRET}
        ids.add((await run_step("notify.webhook", with_, idempotency_key="a.b\r\nX-Evil: 1")).output["id"])
    assert len(ids) == 1
    assert standardwebhooks.Webhook(SECRET).verify(downstream.asked[1].body, downstream.asked[1].headers) == {}


async def test_the_receivers_errors(downstream: Downstream) -> None:
    """Gone is gone; busy is tried again after the time it asked for."""
    with_ = {"url": downstream.url, "payload": {}, "secret": SECRET}
    downstream.answer(410)
    with pytest.raises(Fail) as gone:
        await run_step("notify.webhook", with_)
    assert gone.value.type == "http.410"
    downstream.answer(503, headers={"retry-after": "8"})
    with pytest.raises(Retry) as busy:
        await run_step("notify.webhook", with_)
    assert (busy.value.type, busy.value.after) == ("server_error", 8.0)


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        ({"secret": "s3cr3t!"}, "not a Standard Webhooks key"),
        ({"secret": "whsec_"}, "not a Standard Webhooks key"),
        ({"secret": []}, "at least one key"),
        ({"secret": SECRET, "headers": {"Webhook-Id": "x"}}, "webhook-id is set by the step itself"),
    ],
)
async def test_wrong_config_is_named(with_: dict[str, Any], message: str) -> None:
    """What is wrong is said, and a wrong secret is not repeated."""
    with pytest.raises(msgspec.ValidationError, match=message) as caught:
        await run_step("notify.webhook", {"url": "http://x", "payload": {}, **with_})
    assert "s3cr3t" not in str(caught.value)
