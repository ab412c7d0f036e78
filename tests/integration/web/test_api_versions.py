"""History, differences, rollback and deployments through the API and on the pages."""

from typing import Any

import httpx
import msgspec
import pytest

from engine.flow.deploy import deploy_files
from engine.pipeline.check import check_text
from engine.runtime import Runtime
from tests.integration.web.conftest import GREET

NEWER = GREET.replace("Hello,", "Good day,")


@pytest.fixture
async def versions(runtime: Runtime) -> list[str]:
    """Two versions of `greet`, the older one first."""
    found = [runtime.deployments.current.pipelines["greet"].version]
    (runtime.settings.pipelines / "greet.yaml").write_text(NEWER)
    await deploy_files(runtime)
    return [*found, runtime.deployments.current.pipelines["greet"].version]


def source(runtime: Runtime, text: str) -> dict[str, Any]:
    """A pipeline as `hookwright deploy` sends it."""
    report = check_text(text, runtime.catalog, file="pipelines/greet.yaml", callees=[])
    return {"source": msgspec.json.decode(report.pipelines[0].source), "commit": "abc", "author": "Ada"}


async def test_the_history_has_what_was_in_force(api: httpx.AsyncClient, versions: list[str]) -> None:
    """Newest first, with what each has replaced."""
    page = (await api.get("/api/v1/pipelines/greet/history", params={"limit": 1})).json()
    assert [(item["version"], item["previous"], item["in_force"]) for item in page["items"]] == [
        (versions[1], versions[0], True)
    ]
    assert (page["version"], page["rolled_back_from"]) == (versions[1], None)
    rest = (await api.get("/api/v1/pipelines/greet/history", params={"cursor": page["next"]})).json()
    assert [(item["version"], item["in_force"]) for item in rest["items"]] == [(versions[0], False)]
    assert (await api.get("/api/v1/pipelines/nobody/history")).status_code == 404
    one = (await api.get(f"/api/v1/pipelines/greet/versions/{versions[0][:10]}")).json()
    assert (one["version"], one["source"]) == (versions[0], GREET)
    assert (await api.get(f"/api/v1/pipelines/strict/versions/{versions[0][:10]}")).status_code == 404


async def test_two_versions_are_compared(api: httpx.AsyncClient, versions: list[str]) -> None:
    """As a unified diff; by default what is in force with what it has replaced."""
    found = (await api.get("/api/v1/pipelines/greet/diff")).json()
    assert (found["before"], found["after"]) == tuple(versions)
    lines = found["diff"].splitlines()
    assert lines[0] == f"--- pipeline ({versions[0][:12]})"
    assert '-    with: {value: "Hello, ${{ inputs.name }}"}' in lines
    assert '+    with: {value: "Good day, ${{ inputs.name }}"}' in lines
    query = {"before": versions[1][:8], "after": versions[0][:8]}
    back = (await api.get("/api/v1/pipelines/greet/diff", params=query)).json()
    assert '+    with: {value: "Hello, ${{ inputs.name }}"}' in back["diff"].splitlines()
    same = (await api.get("/api/v1/pipelines/greet/diff", params={"before": versions[1]})).json()
    assert same["diff"] == ""
    assert (await api.get("/api/v1/pipelines/strict/diff")).status_code == 404
    assert (await api.get("/api/v1/pipelines/greet/diff", params={"before": "x"})).status_code == 400


async def test_a_rollback_is_kept_and_told(api: httpx.AsyncClient, versions: list[str]) -> None:
    """In the history, in the audit, in the answer."""
    answer = await api.post("/api/v1/pipelines/greet/rollback")
    assert answer.status_code == 200
    assert answer.json() == {
        "pipeline": "greet", "version": versions[0], "previous": versions[1], "rolled_back_from": versions[1],
    }  # fmt: skip
    page = (await api.get("/api/v1/pipelines/greet/history")).json()
    assert [(item["kind"], item["by"]) for item in page["items"]] == [
        ("rollback", "test"),
        ("files", "files"),
        ("files", "files"),
    ]
    assert page["rolled_back_from"] == versions[1]
    trail = (await api.get("/api/v1/audit", params={"action": "pipeline.rollback"})).json()["items"]
    assert [(item["by"], item["target"]) for item in trail] == [("test", "greet")]
    again = await api.post("/api/v1/pipelines/greet/rollback", json={"to": versions[0][:12]})
    assert again.status_code == 409


async def test_a_deployment_is_all_or_nothing(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """400 names every error with its place; a dry run only says what would change."""
    good = source(runtime, NEWER)
    bad = {"source": {"file": "pipelines/bad.yaml", "yaml": "id: bad\nstep: []\n", "files": {}, "env": []}}
    answer = await api.post("/api/v1/deployments", json={"pipelines": [good, bad]})
    assert answer.status_code == 400
    assert {item["name"] for item in answer.json()["errors"]} >= {"pipelines/bad.yaml:2:1"}
    before = (await api.get("/api/v1/pipelines/greet")).json()["version"]
    dry = (await api.post("/api/v1/deployments", json={"pipelines": [good], "dry_run": True})).json()
    assert [(item["pipeline"], item["previous"] == before) for item in dry["changes"]] == [
        ("greet", True),
        ("strict", False),
    ]
    assert (await api.get("/api/v1/pipelines/greet")).json()["version"] == before
    done = (await api.post("/api/v1/deployments", json={"pipelines": [good], "only": True})).json()
    assert [item["pipeline"] for item in done["changes"]] == ["greet"]
    assert done["folder"] == str(runtime.settings.pipelines)
    page = (await api.get("/api/v1/pipelines/greet/history")).json()
    assert (page["items"][0]["commit"], page["items"][0]["author"], page["items"][0]["by"]) == ("abc", "Ada", "test")
