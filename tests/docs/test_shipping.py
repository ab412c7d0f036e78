"""What is needed to install and ship: pins, image, compose file, CI script."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_every_package_is_pinned_with_hashes_and_no_address() -> None:
    """constraints.txt holds each requirement in one exact version with hashes, and names no index."""
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = re.findall(r"^([a-z0-9-]+)==[^\s]+", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    names = {re.split(r"[\[<>=!~; ]", item)[0].lower().replace("_", "-") for item in wanted}
    assert names <= set(pins), names - set(pins)


def test_make_lists_its_targets() -> None:
    """`make` alone says what there is."""
    answer = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    for target in ("setup", "up", "test", "check", "bench", "clean"):
        assert f"make {target} " in answer.stdout


def test_a_missing_python_is_told(tmp_path: Path) -> None:
    """Without Python 3.11 `make setup` says what to install."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    answer = subprocess.run(
        ["make", "setup", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert answer.returncode != 0
    assert "needs Python 3.11 or newer" in answer.stderr


def test_the_ci_script_is_sound() -> None:
    """.ci/run is executable, parses, forbids skipped browser tests and calls `make test`."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=30)
    text = script.read_text()
    assert "HOOKWRIGHT_REQUIRE_BROWSER=1" in text
    assert "make test" in text


def test_the_image_runs_as_nobody_special_and_has_what_it_copies() -> None:
    """The Dockerfile ends with a user that is not root; everything it copies exists and is not ignored."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[-1] == "hookwright"
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in [word for word in line.split()[1:-1] if not word.startswith("--")]:
                assert (ROOT / source).exists(), source
                assert source in let_in, f"{source} is ignored"


@pytest.fixture
def compose() -> Any:
    """docker-compose.yml, anchors resolved."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_the_compose_file_has_every_part_with_its_check(compose: Any) -> None:
    """Databases, migration, API and worker; each long-running one has a health check and waits for what it needs."""
    services = compose["services"]
    assert set(services) == {"postgres", "redis", "migrate", "api", "worker"}
    for name in ("postgres", "redis", "worker"):
        assert services[name]["healthcheck"]["test"]
    for name in ("api", "worker"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])
    assert "noeviction" in services["redis"]["command"]


def test_docker_accepts_the_compose_file() -> None:
    """`docker compose config` where there is one."""
    docker = shutil.which("docker")
    version = [docker, "compose", "version"] if docker else ["false"]
    if subprocess.run(version, capture_output=True, check=False, timeout=30).returncode != 0:
        pytest.skip("no docker compose here")
    answer = subprocess.run(
        ["docker", "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
