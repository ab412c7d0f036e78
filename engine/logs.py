"""Log lines: structlog set up once per process, standard library included, secrets masked at the last moment."""

import asyncio
import atexit
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO, cast

import msgspec
import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "saq", "asyncio", "httpx", "httpcore", "aiohttp", "litestar")
TOGETHER = 0.02  # seconds
Redact = Callable[[str], str]


def configure_logs(
    *,
    level: str = "info",
    format: str = "auto",
    redact: Redact | None = None,
    stream: TextIO | None = None,
    process: str | None = None,
) -> None:
    """Send every log line of this process to the stream (standard error).

    level: debug, info, warning, error; an unknown word counts as info. format: json, text, or auto: text on a terminal.
    redact: applied to each finished line. process: `api`, `worker`, ... is added to each line.
    """
    stream = stream or sys.stderr
    threshold = LEVELS.get(level.lower(), logging.INFO)
    as_json = format == "json" or (format == "auto" and not stream.isatty())
    render: Any = _json if as_json else _text(stream)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    if process is not None:
        shared.append(_adder("process", process))
    structlog.configure(
        processors=[*shared, render if redact is None else _masked(render, redact)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=partial(Lines, stream) if as_json else structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    last = render if redact is None else _masked(render, redact)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=cast(Any, [*shared, _named]),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO) if threshold > logging.DEBUG else logging.DEBUG)
    for name in QUIET:  # their news is in our own lines; only trouble is worth one of theirs
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(threshold, logging.WARNING))
    _quiet_stamina()


class Lines:
    """Writes finished lines. News of the same moment share a write; warnings and what comes before them go out at once.

    One write for each line cost a tenth of the time of an acknowledgement. A killed process loses TOGETHER seconds.
    """

    def __init__(self, stream: TextIO, *_: Any) -> None:
        self._stream = stream
        self._waiting: list[str] = []
        atexit.register(self.flush)

    def info(self, line: str) -> None:
        """Write it soon; at once where no event loop runs."""
        self._waiting.append(line)
        if len(self._waiting) > 1:
            return
        try:
            asyncio.get_running_loop().call_later(TOGETHER, self.flush)
        except RuntimeError:
            self.flush()

    debug = msg = info

    def error(self, line: str) -> None:
        """Write it now."""
        self._waiting.append(line)
        self.flush()

    warning = critical = exception = fatal = failure = err = error

    def flush(self) -> None:
        """Write what is waiting."""
        lines, self._waiting = self._waiting, []
        if lines and not self._stream.closed:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()


def _text(stream: TextIO) -> Any:
    """For people: local time, aligned, in colours on a terminal."""
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=28,
        timestamp_key="timestamp",
    )


def _json(_logger: Any, _method: str, event: dict[str, Any]) -> str:
    event = structlog.processors.format_exc_info(_logger, _method, event)  # type: ignore[assignment]
    ordered = {"time": event.pop("timestamp", None), "level": event.pop("level", None), "event": event.pop("event", "")}
    return msgspec.json.encode(ordered | event, enc_hook=repr).decode()


def _masked(render: Any, redact: Redact) -> Any:
    def mask(logger: Any, method: str, event: dict[str, Any]) -> str:
        return redact(str(render(logger, method, event)))

    return mask


def _adder(key: str, value: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault(key, value)
        return event

    return add


def _named(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Say which standard library logger a foreign line comes from."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
    return event


def _quiet_stamina() -> None:
    """Replace stamina's own hook, which logs the arguments of the retried call: they may hold a secret."""
    from stamina.instrumentation import RetryDetails, set_on_retry_hooks

    log = structlog.get_logger("retry")

    def on_retry(details: RetryDetails) -> None:
        log.info(
            "call.retried",
            call=details.name,
            number=details.retry_num,
            wait_ms=round(details.wait_for * 1000),
            error=type(details.caused_by).__name__,
        )

    set_on_retry_hooks([on_retry])
