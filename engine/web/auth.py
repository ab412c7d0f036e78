"""Who is asking: API tokens for machines, a session cookie for people, and the check against other sites' pages."""

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler

from engine.settings import Settings
from engine.store import Store
from engine.store.rows import ApiKeyRow
from engine.web.problems import CrossSite, Unauthenticated

API, SESSION, LOGIN = "token", "session", "login"  # kinds of api_key
COOKIE = "hookwright_session"
SESSION_LIFE = timedelta(days=7)
CACHED_FOR = 5.0  # seconds a key is trusted without asking PostgreSQL again; a revoked token works that much longer
CACHED_KEYS = 1000
WHO = "who"  # in the state of a request: the name of the key that let it in
PERSON = "person"  # there too: the name of the token, also if it was traded for a session
OF = "session of "  # a session is called after the token that was traded for it
LONGEST_TOKEN = 200  # characters; longer ones are not ours
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = ASGIConnection[Any, Any, Any, Any]


class Keys:
    """API keys by token, remembered for a few seconds under the token's SHA-256."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[bytes, tuple[float, ApiKeyRow | None]] = {}

    async def find(self, token: str, kind: str) -> ApiKeyRow | None:
        """The key this token stands for, or None if it is unknown, expired or of another kind.

        PostgreSQL and this cache are asked by the token's hash, so timing tells nothing about a token.
        """
        if not token or len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            return None
        digest = hashlib.sha256(token.encode()).digest()
        until, key = self._known.get(digest, (0.0, None))
        if until < time.monotonic():
            key = await self._store.find_api_key(token)
            if len(self._known) >= CACHED_KEYS:
                self._known.clear()
            self._known[digest] = (time.monotonic() + CACHED_FOR, key)
        if key is None or key.kind != kind or (key.expires_at is not None and key.expires_at <= datetime.now(UTC)):
            return None
        return key

    async def open_session(self, name: str) -> str:
        """A new session's token."""
        return await self._store.create_api_key(name, SESSION, datetime.now(UTC) + SESSION_LIFE)

    async def revoke(self, token: str) -> None:
        """Forget this token here and in PostgreSQL."""
        self._known.pop(hashlib.sha256(token.encode()).digest(), None)
        await self._store.revoke_api_key(token)

    async def redeem(self, code: str) -> bool:
        """Whether this was a valid one-time sign-in code; it is used up."""
        if not code or len(code) > LONGEST_TOKEN or not code.isascii() or not code.isprintable():
            return False
        return await self._store.redeem_api_key(code, LOGIN)


async def require_key(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard of the API: a bearer token, or a signed-in browser on our own pages."""
    keys: Keys = connection.app.state.api_keys
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme:
        key = await keys.find(token.strip(), API) if scheme.lower() == "bearer" else None
        if key is None:
            raise Unauthenticated("This API token is unknown or has expired.")
        _remember(connection, key)
        return
    if not await signed_in(connection):
        raise Unauthenticated
    refuse_cross_site(connection)


async def require_session(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard of the pages: a signed-in browser, and no form posted from another site."""
    if not await signed_in(connection):
        raise Unauthenticated
    refuse_cross_site(connection)


async def signed_in(connection: Connection) -> bool:
    """Whether the session cookie is valid."""
    keys: Keys = connection.app.state.api_keys
    key = await keys.find(connection.cookies.get(COOKIE, ""), SESSION)
    if key is None:
        return False
    _remember(connection, key)
    return True


def who(connection: Connection) -> str:
    """The name of the token or session that asks, for the audit; only behind a guard."""
    return str(connection.scope["state"].get(WHO, "somebody"))


def person(connection: Connection) -> str:
    """The name of the token that asks, or that its session was opened with; only behind a guard, or if signed_in."""
    return str(connection.scope["state"].get(PERSON, "somebody"))


def _remember(connection: Connection, key: ApiKeyRow) -> None:
    connection.scope["state"][WHO] = key.name
    connection.scope["state"][PERSON] = key.name.removeprefix(OF) if key.kind == SESSION else key.name


def refuse_cross_site(connection: Connection) -> None:
    """Raise CrossSite for an unsafe request that our own pages did not send.

    Sec-Fetch-Site decides where the browser sends it; on plain http other than localhost it does not, and Origin does.
    """
    if connection.scope.get("method", "GET") in SAFE_METHODS:
        return
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise CrossSite
        return
    settings: Settings = connection.app.state.settings
    host = urlsplit(connection.headers.get("origin", "")).netloc
    if not host or host not in (connection.headers.get("host", ""), urlsplit(settings.url).netloc):
        raise CrossSite


def session_cookie(settings: Settings, token: str) -> Cookie:
    """The cookie that signs a browser in, or out with an empty token."""
    return Cookie(
        key=COOKIE,
        value=token,
        max_age=int(SESSION_LIFE.total_seconds()) if token else 0,
        path="/",
        httponly=True,
        samesite="strict",
        secure=settings.url.startswith("https:"),
    )
