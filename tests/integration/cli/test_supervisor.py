"""The parent process of `up`, with real children that need no database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from engine.cli.children import FIRST_DELAY, LONGEST_DELAY, Child
from engine.cli.exits import OK, SETUP
from engine.cli.supervisor import Supervisor

PLAIN = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A supervisor whose children are killed at the end."""
    supervisor = Supervisor(20.0)
    yield supervisor
    for child in supervisor.children:
        child.kill()
        if child.process is not None:
            child.process.wait(timeout=10)


def stand_in(name: str = "dev-ai") -> Child:
    """A child that stays: the AI stand-in on any free port."""
    return Child(name, ["dev-ai", "--port", "0"], PLAIN)


def test_a_child_that_is_set_up_wrongly_ends_it_all(supervisor: Supervisor, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 means that another start would not help: `run` returns instead of trying for ever."""
    supervisor.add(Child("worker", ["worker"], PLAIN))
    assert supervisor.run(None) == SETUP
    assert "needs DATABASE_URL and REDIS_URL" in capfd.readouterr().err
    assert supervisor.stop(None) == OK


def test_a_dead_child_is_started_again(supervisor: Supervisor, capfd: pytest.CaptureFixture[str]) -> None:
    """The replacement is another process, and a line says what happened."""
    supervisor.add(stand_in())
    child = supervisor.children[0]
    assert child.process is not None
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    assert supervisor.wait_until(lambda: child.process is not None and child.process.pid != first, patience=20)
    assert "dev-ai ended (killed by SIGKILL); starting it again in 0.5 s" in capfd.readouterr().err
    assert supervisor.stop(None) == OK
    assert child.ended() is not None


def test_workers_stop_before_the_api_before_the_rest(supervisor: Supervisor) -> None:
    """Each kind has ended before the next one is asked; the databases come last."""
    for name in ("dev-ai", "api", "worker 1", "worker 2"):
        supervisor.add(stand_in(name))
    order: list[str] = []

    class Databases:
        def revive(self) -> list[str]:
            return []

        def stop(self) -> None:
            assert all(child.ended() is not None for child in supervisor.children)
            order.append("databases")

    for child in supervisor.children:
        ask = child.ask_to_stop
        child.ask_to_stop = lambda child=child, ask=ask: (order.append(child.name), ask())[1]  # type: ignore[method-assign]
    assert supervisor.stop(Databases()) == OK
    assert order == ["worker 1", "worker 2", "api", "dev-ai", "databases"]


def test_delays_grow_up_to_a_limit() -> None:
    """A child that dies at once is started less and less often; one that lived long starts fresh."""
    child = Child("worker", ["worker"], PLAIN)
    child.started_at = time.monotonic()
    delays = [child.plan_restart() for _ in range(7)]
    assert delays == [FIRST_DELAY, 1.0, 2.0, 4.0, 8.0, LONGEST_DELAY, LONGEST_DELAY]
    child.started_at = time.monotonic() - 60
    assert child.plan_restart() == FIRST_DELAY


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel must tell")
def test_a_child_does_not_outlive_its_parent() -> None:
    """kill -9 of the parent ends the child, though nobody could tell it."""
    program = """
import os, sys
from engine.cli.children import Child
child = Child("dev-ai", ["dev-ai", "--port", "0", "--json"], dict(os.environ))
child.start()
print(child.process.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=PLAIN
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    assert "base_url" in parent.stdout.readline()  # the child is up and has tied its life to the parent's
    parent.kill()
    parent.wait(timeout=10)
    import select

    assert select.select([descriptor], [], [], 10)[0], "the child still runs"
    os.close(descriptor)
    assert parent.stdin is not None
    parent.stdin.close()
    parent.stdout.close()
