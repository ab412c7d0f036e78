"""Log lines: their shape, their level, and what must never stand in one."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import stamina
import structlog

from engine.logs import configure_logs

SECRET = "hunter2-token"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Put the process' logging back."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)
    stamina.instrumentation.set_on_retry_hooks(None)


def configured(**options: object) -> io.StringIO:
    """Logs into a buffer, with one known secret."""
    stream = io.StringIO()
    configure_logs(stream=stream, redact=lambda line: line.replace(SECRET, "***"), **options)  # type: ignore[arg-type]
    return stream


def test_one_json_object_a_line() -> None:
    """Away from a terminal a line is JSON: time, level, event, then the rest, and the process."""
    stream = configured(process="worker")
    structlog.get_logger("x").bind(run_id=7).info("run.finished", seconds=0.5)
    line = json.loads(stream.getvalue())
    assert list(line)[:3] == ["time", "level", "event"]
    assert line | {"time": ""} == {
        "time": "", "level": "info", "event": "run.finished", "run_id": 7, "seconds": 0.5, "process": "worker",
    }  # fmt: skip


@pytest.mark.parametrize("format", ["json", "text"])
def test_secrets_are_masked_everywhere(format: str) -> None:
    """In values, in nested values, in tracebacks, in lines of other libraries."""
    stream = configured(format=format)
    log = structlog.get_logger("y")
    log.info("called", url=f"https://x/{SECRET}", headers={"authorization": f"Bearer {SECRET}"})
    logging.getLogger("somebody").warning("sent %s", SECRET)
    try:
        int(SECRET)
    except ValueError:
        log.exception("broke")
        logging.getLogger("somebody").exception("broke too")
    text = stream.getvalue()
    assert SECRET not in text
    assert text.count("***") >= 4
    assert text.count("ValueError") >= 2


def test_values_that_are_not_json_are_shown_by_name() -> None:
    """An odd value does not lose the line."""
    stream = configured()
    structlog.get_logger("z").info("odd", value=object())
    assert "<object object" in json.loads(stream.getvalue())["value"]


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("warning", 1), ("nonsense", 2)])
def test_the_level_decides(level: str, seen: int) -> None:
    """Lines below the level are not written; an unknown level counts as info."""
    stream = configured(level=level)
    log = structlog.get_logger("w")
    log.debug("one")
    log.info("two")
    log.warning("three")
    assert len(stream.getvalue().splitlines()) == seen


def test_chatty_libraries_are_quiet() -> None:
    """What uvicorn and httpx say of every request is not repeated; their warnings are."""
    stream = configured()
    for name in ("uvicorn.error", "uvicorn.access", "httpx", "saq"):
        logging.getLogger(name).info("chat")
        logging.getLogger(name).warning("trouble in %s", name)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "trouble in uvicorn.error", "trouble in uvicorn.access", "trouble in httpx", "trouble in saq"
    ]  # fmt: skip
    assert lines[0]["logger"] == "uvicorn.error"


def test_a_retried_call_is_logged_without_its_arguments() -> None:
    """stamina would log what the call was given, which may be a secret that nobody knows of."""
    stream = configured()
    calls = []

    @stamina.retry(on=OSError, attempts=2, wait_initial=0.0, wait_jitter=0.0)
    def connect(password: str) -> None:
        calls.append(password)
        if len(calls) == 1:
            raise OSError("away")

    connect("unknown-secret")
    assert "unknown-secret" not in stream.getvalue()
    assert json.loads(stream.getvalue())["event"] == "call.retried"
