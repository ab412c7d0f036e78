"""The clock of a process: PostgreSQL's time, carried on by a clock that never jumps."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.core.clock import Clock

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.wall = NOW.timestamp()
        self.monotonic = 5000.0
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def test_before_anybody_tells_it_is_the_machines_own() -> None:
    """There is nothing better."""
    assert Machine().clock.now() == NOW


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_jump_of_the_machines_clock_changes_nothing(jump: float) -> None:
    """A day back, a day forward."""
    machine = Machine()
    machine.clock.set(NOW, machine.clock.mark())
    machine.pass_(10)
    machine.wall += jump
    machine.pass_(10)
    assert machine.clock.now() == NOW + timedelta(seconds=20)
    moved = machine.clock.set(NOW + timedelta(seconds=20), machine.clock.mark())
    assert abs(moved) < 0.001


def test_a_wrong_clock_is_corrected_and_told() -> None:
    """By how much it was wrong."""
    machine = Machine()
    machine.wall += 3600
    assert machine.clock.set(NOW, machine.clock.mark()) == pytest.approx(-3600)
    assert machine.clock.now() == NOW


def test_an_answer_that_took_its_time_is_taken_from_its_middle() -> None:
    """And small differences are not followed, so that time does not tremble."""
    machine = Machine()
    asked = machine.clock.mark()
    machine.pass_(2)
    machine.clock.set(NOW + timedelta(seconds=1), asked)
    assert machine.clock.now() == NOW + timedelta(seconds=2)
    asked = machine.clock.mark()
    machine.clock.set(NOW + timedelta(seconds=2.05), asked)
    assert machine.clock.now() == NOW + timedelta(seconds=2)


def test_postgresqls_clock_is_followed() -> None:
    """If it jumps, what is due jumps with it."""
    machine = Machine()
    machine.clock.set(NOW, machine.clock.mark())
    machine.clock.set(NOW + timedelta(days=1), machine.clock.mark())
    assert machine.clock.now() == NOW + timedelta(days=1)
