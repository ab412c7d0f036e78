"""A stranger's package, installed the way pip does it, comes through the entry point."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

SAMPLE = Path(__file__).parent / "sample_plugin"
PROGRAM = """
import asyncio, sys
import msgspec
from engine.plugin import StepError
from engine.plugin.host import load_catalog
from engine.testing import check_step_type, run_step

host = load_catalog()
import hookwright_sample

async def main():
    good = await run_step("sample.greet", {"name": "Ann", "pause": "2m"})
    try:
        await run_step("sample.greet", {"name": " "})
    except StepError as error:
        failure = error.type
    await host.observers.tell("run_finished", run={"id": "r1"})
    step = host.catalog.steps["sample.greet"]
    return {
        "output": good.output, "emitted": good.emitted, "failure": failure, "seen": hookwright_sample.finished,
        "filter": host.catalog.filters["sample.shout"]("hi", 2), "problems": host.problems,
        "plugin": [step.plugin, step.version, step.summary], "broken": check_step_type(step),
        "ours": host.catalog.steps["http.request"].plugin,
        "secret": repr(msgspec.convert({"name": "Ann", "token": "t0ken"}, step.config)),
    }

sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(main())))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sample plugin installed in it, offline."""
    target = tmp_path_factory.mktemp("site")
    source = shutil.copytree(SAMPLE, tmp_path_factory.mktemp("source") / "sample")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True, text=True)
    return target


def test_an_installed_plugin_is_found_and_works(installed: Path) -> None:
    """Its step runs, its filter is there, its observer hears, and a name of ours stays ours."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    found = msgspec.json.decode(done.stdout[done.stdout.index(b'{"output"') :])
    assert found["output"] == {"text": "Hello Ann", "pause": 120.0}
    assert found["emitted"] == [["sample.greeted", {"name": "Ann"}]]
    assert found["failure"] == "sample.nobody"
    assert found["seen"] == ["r1"]
    assert found["filter"] == "HI!!"
    assert found["plugin"] == ["hookwright-sample", "2.1.0", "Greet somebody."]
    assert found["broken"] == []
    assert found["ours"] == "hookwright"
    assert found["problems"] == [
        "plugin `sample` (hookwright-sample 2.1.0): `http.request` is not registered: "
        "plugin `http` (hookwright 0.1.0) has registered a step of this name already"
    ]
    assert "t0ken" not in found["secret"]


def test_a_plugin_that_cannot_be_imported_stops_nobody(tmp_path: Path) -> None:
    """An entry point to a module that is broken or missing is reported; everything else is there."""
    (tmp_path / "broken_sample.py").write_text("raise RuntimeError('not today')\n")
    for name, module in (("broken", "broken_sample"), ("missing", "no_such_module")):
        metadata = tmp_path / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[hookwright]\n{name} = {module}\n")
    program = (
        "import msgspec, sys; from engine.plugin.host import load_catalog; host = load_catalog(); "
        "sys.stdout.buffer.write(msgspec.json.encode([sorted(host.catalog.steps), host.problems]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, timeout=60)
    steps, problems = msgspec.json.decode(done.stdout[done.stdout.index(b'[["') :])
    assert "http.request" in steps
    assert problems == [
        "plugin `broken` (broken 1.0) is left out: RuntimeError: not today",
        "plugin `missing` (missing 1.0) is left out: ModuleNotFoundError: No module named 'no_such_module'",
    ]
