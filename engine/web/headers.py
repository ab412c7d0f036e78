"""The headers every answer carries."""

from litestar.types import HTTPResponseStartEvent, Message, Scope

from engine import metrics

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
NO_STORE = (b"cache-control", b"no-store")
TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
OWN_CACHING = ("/static/", "/favicon.ico")


async def secure_response(message: Message, scope: Scope) -> None:
    """before_send hook: add the security headers and count the answer. Deliveries are counted by their receiver."""
    if message["type"] != "http.response.start" or scope["path"].startswith("/hooks/"):
        return
    start: HTTPResponseStartEvent = message
    present = {name.lower() for name, _ in start["headers"]}
    added = [(name, value) for name, value in HEADERS.items() if name not in present]
    if b"cache-control" not in present and not scope["path"].startswith(OWN_CACHING):
        added.append(NO_STORE)
    if scope.get("scheme") == "https":
        added.append(TRANSPORT)
    start["headers"] = [*start["headers"], *added]
    route = str(scope.get("path_template") or "other")  # unknown paths share one label: a scanner must not fill memory
    metrics.REQUESTS.labels(str(scope.get("method", "")), route, str(start["status"])).inc()
