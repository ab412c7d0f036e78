"""The OpenAPI schema: valid, complete, and a promise that random requests cannot break."""

import json
import random
from typing import Any
from urllib.parse import quote

import httpx
from litestar import Litestar
from openapi_spec_validator import validate

from tests.integration.web.seed import Seed


async def load(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/schema/openapi.json")
    assert answer.status_code == 200
    return dict(json.loads(answer.content))


async def test_the_schema_is_valid(anonymous: httpx.AsyncClient) -> None:
    """By the rules of OpenAPI 3.1."""
    validate(await load(anonymous))


async def test_every_operation_is_described(anonymous: httpx.AsyncClient) -> None:
    """Summary, description, tag; the pages are not in it."""
    schema = await load(anonymous)
    for path, item in schema["paths"].items():
        assert path.startswith(("/api/v1/", "/healthz", "/readyz", "/metrics"))
        for method, operation in item.items():
            assert operation["summary"], (path, method)
            assert operation["description"], (path, method)
            assert operation["tags"], (path, method)
            if path.startswith("/api/"):
                assert {"400", "401"} <= set(operation["responses"]), (path, method)


async def test_the_interactive_page_needs_no_other_server(anonymous: httpx.AsyncClient) -> None:
    """Scripts and styles are our own."""
    page = (await anonymous.get("/schema")).text
    assert "swagger-ui-bundle.js" in page
    assert "http" not in page.replace("http-equiv", "")


ODD = (
    "", "\x00", "%", "..", "null", "true", "1e999", "-1", "0", "1", "' or 1=1 --", "{{ 7 * 7 }}", "٣", "9" * 400, "🧨",
    "a:b", "a:\x00", "failed", "queued", "greet", "strict", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "\ud7ff", "<script>", "\r\n",
)  # fmt: skip
LEAVES = (None, True, 0, -1, 10**30, 1.5, "", "\x00", "\ud800", "greet", "x" * 1000)


async def test_no_request_makes_a_5xx(app: Litestar, api: httpx.AsyncClient, seed: Seed) -> None:
    """Random parameters and bodies on every operation of the schema are answered below 500, errors as problems."""
    await seed.succeeded()
    schema = await load(api)
    operations = [
        (method.upper(), path, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if path.startswith("/api/")
    ]
    chance = random.Random(7)  # a fixed seed, so that a failure can be repeated
    for _ in range(30):
        for method, path, operation in operations:
            await _ask(api, method, path, operation, chance)


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any], chance: random.Random
) -> None:
    query: list[tuple[str, str]] = []
    url = path
    for parameter in operation.get("parameters", []):
        value = chance.choice(ODD)
        if parameter["in"] == "path":
            url = url.replace("{" + parameter["name"] + "}", quote(value, safe="").replace(".", "%2E") or "x")
        elif parameter["in"] == "query" and chance.random() < 0.5:
            query.append((parameter["name"], value))
    content = json.dumps(_body(chance)).encode() if method == "POST" and chance.random() < 0.8 else None
    answer = await client.request(
        method, url, params=query, content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code < 500, (method, url, query, content, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", (method, url, answer.text)


def _body(chance: random.Random, depth: int = 3) -> Any:
    """Random JSON, often with the names that the API knows."""
    kind = chance.random()
    if depth == 0 or kind < 0.3:
        return chance.choice(LEAVES)
    if kind < 0.45:
        return [_body(chance, depth - 1) for _ in range(chance.randrange(3))]
    names = chance.sample(["inputs", "pipeline", "amount", "name", "\x00", "extra", ""], chance.randrange(4))
    return {name: _body(chance, depth - 1) for name in names}
