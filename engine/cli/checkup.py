"""The checks of `hookwright doctor`, each a finding with advice."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cli.client import ClientFile, read_client_file
from engine.cli.development import missing_secrets
from engine.errors import ConfigurationError, HookwrightError
from engine.settings import Settings, load_settings

OLDEST_PYTHON = (3, 11)
SKEW = 2.0  # seconds our clock and the database's may differ
ROOM = 500_000_000  # bytes that should be free for the data
EVICTION = "noeviction"
ALL = ("python", "settings", "postgresql", "redis", "runs", "pipelines", "port")


@dataclass(frozen=True)
class Finding:
    """One check's result. state: ok, warning, wrong or skipped."""

    name: str
    state: str
    detail: str
    advice: str = ""


async def examine(
    data_dir: Path | None, pipelines: Path | None, only: Collection[str] = ALL, *, mend: bool = False
) -> AsyncIterator[Finding]:
    """The wanted checks, in the order in which it makes sense to mend things. Changes nothing but what `mend` mends."""
    if "python" in only:
        yield _python()
        yield _packages()
    try:
        settings = load_settings(data_dir=data_dir, pipelines=pipelines)
        left = read_client_file(settings.data_dir)
    except ConfigurationError as error:
        yield Finding("settings", "wrong", str(error), "mend the environment variable it names")
        return
    if "settings" in only:
        yield Finding("settings", "ok", "read from the environment")
        yield _data_dir(settings)
    if "postgresql" in only:
        for finding in await _postgresql(settings, left):
            yield finding
    if "redis" in only:
        yield _redis(settings, left)
    if "runs" in only:
        from engine.cli.healing import examine_runs

        async for finding in examine_runs(settings, left, mend=mend):
            yield finding
    if "pipelines" in only:
        for finding in _pipelines(settings):
            yield finding
        yield _ai()
    if "port" in only:
        yield _port(settings, left)


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", "wrong", version, "use Python 3.11 or newer")
    return Finding("python", "ok", version)


def _packages() -> Finding:
    """Whether every dependency is installed; versions are pip's business."""
    missing = []
    try:
        required = importlib.metadata.requires("hookwright") or []
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", "wrong", "hookwright itself is not installed", "run `make setup`")
    for text in required:
        if "extra ==" in text or ("sys_platform" in text and sys.platform == "win32"):
            continue
        name = text.partition(";")[0]
        for mark in "[<>=!~ ":
            name = name.partition(mark)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "wrong", f"missing: {', '.join(missing)}", "run `make setup`")
    return Finding(
        "packages", "ok", f"{len(required)} requirements, hookwright {importlib.metadata.version('hookwright')}"
    )


def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir
    if not folder.exists():
        return Finding("data directory", "ok", f"{folder} does not exist yet; `hookwright up` makes it")
    try:
        mode = folder.stat().st_mode & 0o077
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("data directory", "wrong", f"{folder}: {error.strerror}", "make it readable for this user")
    if free < ROOM:
        return Finding("data directory", "wrong", f"{free // 1_000_000} MB free at {folder}", "make room on this disk")
    if mode:
        return Finding("data directory", "warning", f"{folder} is open to other users", f"chmod 700 {folder}")
    return Finding("data directory", "ok", f"{folder}, {free // 1_000_000_000} GB free")


async def _postgresql(settings: Settings, left: ClientFile) -> list[Finding]:
    url, advice = settings.database_url or left.database_url, "start the server, or mend DATABASE_URL"
    if not url:
        return [Finding("postgresql", "skipped", "not set; `hookwright up` brings its own and is not running")]
    if not settings.database_url:
        advice = "start `hookwright up`, which brings it"
    from engine.store.inspection import inspect_database

    try:
        before = time.time()
        seen = await inspect_database(url)
        middle = (before + time.time()) / 2
    except HookwrightError as error:
        return [Finding("postgresql", "wrong", str(error), advice)]
    findings = [
        Finding("postgresql", "ok", f"PostgreSQL {seen.version}")
        if seen.version_number >= seen.oldest
        else Finding("postgresql", "wrong", f"PostgreSQL {seen.version}", "use PostgreSQL 14 or newer")
    ]
    if seen.pending:
        findings.append(Finding("migrations", "wrong", f"{len(seen.pending)} not applied", "run `hookwright migrate`"))
    else:
        findings.append(Finding("migrations", "ok", "tables are up to date"))
    skew = abs(seen.clock - middle)
    if skew > SKEW:
        findings.append(
            Finding("clock", "wrong", f"differs from the database's by {skew:.1f} s", "set both clocks by NTP")
        )
    else:
        findings.append(Finding("clock", "ok", f"differs from the database's by {skew * 1000:.0f} ms"))
    return findings


def _redis(settings: Settings, left: ClientFile) -> Finding:
    url = settings.redis_url or left.redis_url
    if not url:
        return Finding("redis", "skipped", "not set; `hookwright up` brings its own and is not running")
    import redis

    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=2.0, socket_timeout=2.0, decode_responses=True)
        info: Any = client.info("server")
        client.close()
    except (redis.RedisError, ValueError, OSError) as error:
        advice = (
            "start the server, or mend REDIS_URL" if settings.redis_url else "start `hookwright up`, which brings it"
        )
        return Finding("redis", "wrong", f"cannot be reached: {error}", advice)
    name = f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"
    policy = _eviction(url)
    if policy not in (EVICTION, None):
        return Finding(
            "redis", "warning", f"{name}, evicts keys ({policy})",
            f"set maxmemory-policy {EVICTION}: an evicted queue costs time",
        )  # fmt: skip
    return Finding("redis", "ok", name)


def _eviction(url: str) -> str | None:
    """maxmemory-policy, or None where the server does not tell (managed services)."""
    import redis

    client = redis.Redis.from_url(url, socket_connect_timeout=2.0, socket_timeout=2.0, decode_responses=True)
    try:
        answer: Any = client.config_get("maxmemory-policy")
        return str(answer["maxmemory-policy"]) if answer else None
    except redis.RedisError:
        return None
    finally:
        client.close()


def _pipelines(settings: Settings) -> Iterator[Finding]:
    from engine.cli.check import read_files
    from engine.plugin.host import load_catalog
    from engine.runtime import open_secrets

    problems = load_catalog().problems
    if problems:
        yield Finding("plugins", "wrong", problems[0], "`hookwright plugins list` shows all problems")
    else:
        yield Finding("plugins", "ok", "all loaded")
    if not settings.pipelines.is_dir():
        yield Finding("pipelines", "wrong", f"there is no directory {settings.pipelines}", "set HOOKWRIGHT_PIPELINES")
        return
    report = read_files([settings.pipelines])
    errors = [problem for problem in report.problems if problem.severity == "error"]
    if errors:
        first = errors[0]
        yield Finding(
            "pipelines", "wrong", f"{len(errors)} errors, first {first.file}:{first.line}: {first.message}",
            "`hookwright check` shows them all",
        )  # fmt: skip
    else:
        yield Finding("pipelines", "ok", f"{len(report.pipelines)} without errors")
    try:
        secrets = open_secrets(settings)
    except ConfigurationError as error:
        yield Finding("secrets", "wrong", str(error), "write one NAME=value on each line")
        return
    known = secrets.names()
    missing = sorted({name for pipeline in report.pipelines for name in pipeline.secrets if name not in known})
    file = secrets.file or settings.data_dir / "secrets.env"
    _, foreign = missing_secrets(settings.pipelines, dict(os.environ), file)
    if missing and not foreign and settings.database_url is None:
        yield Finding("secrets", "ok", f"`hookwright up` will make development values for {', '.join(missing)}")
    elif missing:
        yield Finding(
            "secrets", "wrong", f"not set: {', '.join(missing)}",
            f"set HOOKWRIGHT_SECRET_{missing[0]}, or write it into {settings.data_dir / 'secrets.env'}",
        )  # fmt: skip
    else:
        yield Finding("secrets", "ok", f"{len(known)} set, none missing")


def _ai() -> Finding:
    from engine.settings import load_options

    options = load_options(os.environ)
    if base := options.get("ai.base_url"):
        return Finding("ai", "ok", f"base URL {base}, {'with' if options.get('ai.api_key') else 'without'} a key")
    if options.get("ai.api_key"):
        return Finding("ai", "ok", "a key is set, no base URL")
    return Finding(
        "ai", "warning", "no provider configured; `hookwright up` uses its stand-in",
        "set HOOKWRIGHT_AI_BASE_URL and HOOKWRIGHT_AI_API_KEY for real answers",
    )  # fmt: skip


def _port(settings: Settings, left: ClientFile) -> Finding:
    place = f"{settings.host}:{settings.port}"
    if left.pid and _serves(left.url):
        return Finding("port", "ok", f"Hookwright serves on {left.url}")
    if _serves(f"http://{place}"):
        return Finding("port", "ok", f"Hookwright serves on http://{place}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return Finding(
                "port", "wrong", f"{place} is not free: {error.strerror}",
                "stop the other program, or set HOOKWRIGHT_PORT",
            )  # fmt: skip
    return Finding("port", "ok", f"{place} is free")


def _serves(url: str) -> bool:
    """Whether a Hookwright answers there."""
    import httpx

    try:
        answer = httpx.get(f"{url}/healthz", timeout=2.0, trust_env=False)
        return answer.is_success and answer.json().get("status") == "ok"
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
