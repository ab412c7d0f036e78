"""`hookwright up` with real processes: one command starts all of it, and nothing of it is left behind."""

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
READY = 60.0  # seconds; a first start takes about 3
GONE = 20.0  # seconds for every process to be gone after the parent was killed
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
    pytest.mark.timeout(180),
]


class Up:
    """One `hookwright up --json`, in a directory of its own with the example pipelines."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.lines: queue.Queue[str] = queue.Queue()
        self.told: list[str] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOOKWRIGHT_", "OPENAI_"))}
        self.environment = {
            name: value for name, value in kept.items() if name not in ("DATABASE_URL", "REDIS_URL", "NOTIFY_URL")
        }
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "engine",
                "up",
                "--json",
                *(options if "--port" in options else ("--port", "0", *options)),
            ],
            cwd=folder,
            env=self.environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        self.ready: dict[str, Any] = {}

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.lines.put(line.rstrip("\n"))

    def close(self) -> None:
        """Kill whatever still runs and close the pipes."""
        if self.process.poll() is None:
            pids = self.family()
            self.process.kill()
            self.process.wait()
            await_gone(pids)
        self.reader.join(timeout=10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def await_ready(self) -> dict[str, Any]:
        """What it prints once it is ready."""
        assert self.process.stdout is not None
        waiting, _, _ = select.select([self.process.stdout], [], [], READY)
        line = self.process.stdout.readline() if waiting else ""
        assert line, "not ready:\n" + "\n".join(self.collect())
        self.ready = json.loads(line)
        return self.ready

    def await_line(self, text: str, seconds: float = 30.0) -> str:
        """The next line on standard error with this text."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                pytest.fail(f"no line with {text!r}:\n" + "\n".join(self.told))
            self.told.append(line)
            if text in line:
                return line

    def collect(self) -> list[str]:
        """Every line so far."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.told.append(self.lines.get_nowait())
        return self.told

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command in the same directory, as a user types it in a second terminal."""
        return subprocess.run(
            [sys.executable, "-m", "engine", *arguments],
            cwd=self.folder,
            env=self.environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def result(self, *arguments: str) -> Any:
        """The JSON that a command prints."""
        answer = self.command(*arguments, "--json")
        assert answer.returncode == 0, answer.stderr + answer.stdout
        return json.loads(answer.stdout)

    def family(self) -> dict[int, str]:
        """Process ids of everything below, with their command lines."""
        return family(self.process.pid)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


def family(parent: int) -> dict[int, str]:
    """All descendants of a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, todo = {}, [parent]
    while todo:
        at = todo.pop()
        for child, its_parent in parents.items():
            if its_parent == at and child not in found:
                with contextlib.suppress(OSError):
                    found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    todo.append(child)
    return found


def await_gone(pids: dict[int, str]) -> None:
    """Return when none of these processes exists any more."""
    end = time.monotonic() + GONE
    for pid, command in pids.items():
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        gone = poll.poll(max(end - time.monotonic(), 0.0) * 1000)
        os.close(descriptor)
        assert gone, f"still there after {GONE} s: {pid} {command}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with the example pipelines."""
    for name in ("pipelines", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "project.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def started(folder: Path) -> Iterator[Any]:
    """Starts `up` as often as wanted; whatever still runs at the end is killed."""
    all_of_them: list[Up] = []

    def start(*options: str) -> Up:
        all_of_them.append(Up(folder, *options))
        return all_of_them[-1]

    yield start
    for up in all_of_them:
        up.close()


def await_run(up: Up, pipeline: str) -> dict[str, Any]:
    """The newest run of a pipeline, once it has ended."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        items = up.result("runs", "list", "--pipeline", pipeline)["items"]
        if items:
            answer = up.command("runs", "watch", items[0]["id"])
            assert answer.returncode in (0, 1), answer.stderr
            return dict(up.result("runs", "show", items[0]["id"]))
    pytest.fail(f"no run of {pipeline}")


def test_the_main_job(started: Any) -> None:
    """A signed GitHub event is classified, kept and told to a signed webhook; Ctrl-C then stops everything cleanly."""
    up = started()
    ready = up.await_ready()
    assert ready["ai_stand_in"]
    told = "\n".join(up.collect())
    assert "Development values made for GITHUB_WEBHOOK_SECRET, INBOX_SECRET" in told
    assert "AI stand-in (for development, not a model)" in told

    sent = up.result("send", "github", "issues.opened")
    assert sent["status"] == 202, sent
    triage = await_run(up, "github-triage")
    assert triage["status"] == "succeeded", triage
    assert [attempt["status"] for attempt in triage["attempts"]] == ["succeeded"] * 3
    assert triage["outputs"]["recovered"] is False
    assert await_run(up, "inbox")["status"] == "succeeded"

    pids = up.family()
    assert any("postgres" in command for command in pids.values())
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0, "\n".join(up.collect())
    await_gone(pids)
    assert "hookwright: stopped" in up.collect()


def test_kill_leaves_nothing_running_and_loses_nothing(started: Any) -> None:
    """After kill -9 of the parent no process is left; the next start has the event, the token and the secrets."""
    up = started()
    ready = up.await_ready()
    event = up.result("send", "github", "issues.opened")["answer"]["event_id"]
    pids = up.family()
    up.process.kill()
    up.process.wait()
    await_gone(pids)

    again = started("--port", ready["url"].rpartition(":")[2])  # a stored input may name the first one's address
    assert again.await_ready()["token"] == ready["token"]
    assert "Development values" not in "\n".join(again.collect())
    assert again.result("events", "show", event)["id"] == event
    assert await_run(again, "github-triage")["status"] == "succeeded"
    assert again.stop() == 0


def test_a_second_one_on_the_same_data_says_so(started: Any) -> None:
    """One line names the one that runs; exit code 3."""
    first = started()
    url = first.await_ready()["url"]
    second = started()
    assert second.process.wait(timeout=30) == 3
    line = second.await_line("error:")
    assert f"already runs on .hookwright at {url} (process {first.process.pid})" in line
    assert first.process.poll() is None
    assert first.stop() == 0


def test_a_taken_port_is_told_before_anything_starts(folder: Path) -> None:
    """One line names the port and how to choose another; no database has been started; exit code 3."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = subprocess.run(
            [sys.executable, "-m", "engine", "up", "--port", str(port)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert answer.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in answer.stderr
    assert not (folder / ".hookwright" / "postgres").exists()


def test_what_dies_is_started_again(started: Any) -> None:
    """A killed worker, API or database is replaced, with a line that says so."""
    up = started()
    ready = up.await_ready()
    for word, name in ((" worker ", "worker"), (" api ", "api")):
        pid = next(pid for pid, command in up.family().items() if word in command)
        os.kill(pid, signal.SIGKILL)
        up.await_line(f"{name} ended (killed by SIGKILL); starting it again")
    postgres = next(pid for pid, command in up.family().items() if "bin/postgres " in command)
    os.kill(postgres, signal.SIGKILL)
    up.await_line("PostgreSQL had died and was started again")
    # connections made while the API starts wait in the listening socket, which the parent holds
    with httpx.Client(base_url=ready["url"], timeout=30.0, trust_env=False) as client:
        end = time.monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < end
    assert up.result("send", "github", "issues.opened")["status"] == 202
    assert await_run(up, "github-triage")["status"] == "succeeded"
    assert up.stop() == 0


def test_the_sign_in_link_works_once(started: Any) -> None:
    """The printed link opens the dashboard; a second visitor with it does not get in."""
    up = started()
    ready = up.await_ready()
    with httpx.Client(follow_redirects=True, trust_env=False) as first, httpx.Client(trust_env=False) as second:
        assert first.get(ready["sign_in"]).status_code == 200
        assert first.get(f"{ready['url']}/").url.path == "/"
        assert second.get(ready["sign_in"]).status_code == 403
    assert up.command("doctor").returncode == 0, up.command("doctor").stdout
    assert up.stop() == 0
