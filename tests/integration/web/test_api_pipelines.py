"""Pipelines in the API, and starting them."""

from pathlib import Path

import httpx
import pytest

from engine.flow.deploy import deploy_files
from engine.runtime import Runtime

RUNS = "/api/v1/pipelines/strict/runs"


async def test_pipelines_are_listed_with_their_hooks(api: httpx.AsyncClient) -> None:
    """By id; a webhook trigger says where to post."""
    listed = (await api.get("/api/v1/pipelines")).json()
    assert [item["id"] for item in listed["items"]] == ["greet", "strict"]
    assert listed["items"][0]["triggers"][0]["url"] == "http://127.0.0.1:8000/hooks/greet"
    assert [item["severity"] for item in listed["problems"]] == ["warning"]  # `auth: none`


async def test_a_broken_file_is_reported_with_its_place(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """The other pipelines stay."""
    Path(runtime.settings.pipelines, "broken.yaml").write_text("id: broken\nsteps:\n  - uses: no.such.step\n")
    await deploy_files(runtime)
    listed = (await api.get("/api/v1/pipelines")).json()
    assert [item["id"] for item in listed["items"]] == ["greet", "strict"]
    errors = [item for item in listed["problems"] if item["severity"] == "error"]
    assert [(item["file"], item["line"]) for item in errors] == [("pipelines/broken.yaml", 3)]


async def test_a_pipeline_shows_its_definition(api: httpx.AsyncClient) -> None:
    """Source, schema of the inputs, steps."""
    shown = (await api.get("/api/v1/pipelines/greet")).json()
    assert shown["source"].startswith("id: greet\n")
    assert shown["definition"] == [{"key": "greet", "name": "greet", "uses": "value", "condition": None}]
    assert shown["inputs_schema"]["required"] == []
    assert shown["inputs_schema"]["properties"]["times"] == {"type": "integer", "minimum": 1, "default": 1}
    assert (await api.get("/api/v1/pipelines/nothing")).status_code == 404


async def test_starting_a_run_answers_with_its_address(api: httpx.AsyncClient) -> None:
    """202, Location, and the run is queued."""
    answer = await api.post(RUNS, json={"inputs": {"amount": 3}})
    assert answer.status_code == 202, answer.text
    run = (await api.get(answer.headers["location"])).json()
    assert (run["id"], run["status"], run["inputs"]) == (answer.json()["id"], "queued", {"amount": 3})


async def test_an_idempotency_key_starts_one_run(api: httpx.AsyncClient) -> None:
    """The second call is told the first run with 200."""
    first = await api.post(RUNS, json={"inputs": {"amount": 3}}, headers={"Idempotency-Key": "k 1"})
    second = await api.post(RUNS, json={"inputs": {"amount": 4}}, headers={"Idempotency-Key": "k 1"})
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json() == second.json() | {"duplicate": False}
    assert second.json()["duplicate"] is True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"inputs": {"amount": "three"}}', 400),
        ('{"inputs": {}}', 400),
        ('{"inputs": {"amount": 1, "other": 2}}', 400),
        ('{"inputs": {"amount": 1e400}}', 400),
        ('{"inputs": {"\\u0000": "\\u0000"}}', 400),
        ('{"inputs": []}', 400),
        ('{"input": {}}', 400),
        ('{"inputs": {"amount": ', 400),
        ("[" * 100_000, 400),
        ('{"inputs": {"amount": ' + "[" * 50_000 + "]" * 50_000 + "}}", 400),
        ("\xff\xfe", 400),
        ("null", 400),
        ("", 400),  # no inputs, but one is required
    ],
)
async def test_bad_bodies_are_400(api: httpx.AsyncClient, body: str, status: int) -> None:
    """Never a 5xx, always a problem."""
    content = body.encode("latin-1")
    answer = await api.post(RUNS, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_refused_inputs_are_named(api: httpx.AsyncClient) -> None:
    """The problem says which input is wrong."""
    answer = await api.post(RUNS, json={"inputs": {"amount": "three"}})
    assert [item["name"] for item in answer.json()["errors"]] == ["amount"]


async def test_strange_numbers_and_texts_are_kept(api: httpx.AsyncClient) -> None:
    """NUL, lone surrogates and integers wider than 64 bit do not break anything."""
    for content in (
        b'{"inputs": {"name": "a\\u0000b"}}',
        b'{"inputs": {"extra": {"big": 123456789012345678901234567890}}}',
    ):
        answer = await api.post(
            "/api/v1/pipelines/greet/runs", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (202, 400), answer.text


async def test_a_body_of_another_type_is_415(api: httpx.AsyncClient) -> None:
    """A form cannot start runs."""
    answer = await api.post(RUNS, content=b"inputs=1", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")


async def test_a_body_that_is_too_large_is_413(api: httpx.AsyncClient) -> None:
    """More than a megabyte is not read."""
    answer = await api.post(RUNS, json={"inputs": {"amount": 1, "pad": "x" * 1_100_000}})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
