"""value, stop, fail, emit."""

from typing import Any

import msgspec
import pytest

from engine.plugin import Fail, Stop
from engine.testing import run_step


@pytest.mark.parametrize("with_", [{"a": 1, "uses": "x"}, [1, 2], "text", 5, True, None])
async def test_value_returns_its_with(with_: Any) -> None:
    """Whatever `with` is, is the output."""
    assert (await run_step("value", with_)).output == with_


async def test_stop_ends_the_run() -> None:
    """It raises Stop with its words and output."""
    with pytest.raises(Stop) as caught:
        await run_step("stop", {"message": "enough", "output": {"n": 1}})
    assert (caught.value.message, caught.value.output) == ("enough", {"n": 1})


async def test_fail_fails_for_good() -> None:
    """Its type, message and data are the error's."""
    with pytest.raises(Fail) as caught:
        await run_step("fail", {"message": "no items", "type": "order.empty", "data": [1]})
    error = caught.value
    assert (error.message, error.type, error.data, error.retryable) == ("no items", "order.empty", [1], False)


async def test_emit_records_an_event() -> None:
    """The event is handed to the engine, which stores it with the step's result."""
    result = await run_step("emit", {"type": "order.paid", "body": {"id": 1}})
    assert result.emitted == [("order.paid", {"id": 1})]
    assert result.output == {"type": "order.paid"}


@pytest.mark.parametrize("uses", ["emit", "fail"])
@pytest.mark.parametrize("type_", ["", "Order paid", "*"])
async def test_types_are_words(uses: str, type_: str) -> None:
    """A type that could not be named in a trigger or in `retry.errors` is refused."""
    with_ = {"type": type_} | ({"message": "x"} if uses == "fail" else {})
    with pytest.raises(msgspec.ValidationError, match="`type`"):
        await run_step(uses, with_)
