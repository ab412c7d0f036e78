"""The retry policy: how long until the next attempt, and which errors deserve one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.outcome import EndRun, Failed, GiveUp, Proceed, RetryAfter, Stopped, Succeeded, decide
from engine.core.retry import RetryPolicy
from engine.core.run import ErrorInfo

EVEN = RetryPolicy(attempts=5, delay=2, factor=3, max_delay=60, jitter=False)


@pytest.mark.parametrize(
    ("attempt", "after", "expected"),
    [
        (1, None, 2),  # the delay
        (2, None, 6),  # times the factor
        (3, None, 18),
        (4, None, 54),
        (5, None, 60),  # never more than max_delay
        (64, None, 60),
        (1, 1.0, 2),  # Retry-After is shorter than what we would wait
        (1, 30.0, 30),  # longer: it counts
        (5, 600.0, 600),  # also beyond max_delay: the server knows
    ],
)
def test_delays(attempt: int, after: float | None, expected: float) -> None:
    """delay, factor, max_delay, Retry-After."""
    assert EVEN.seconds(attempt, after=after) == expected


@given(attempt=st.integers(1, 100), drawn=st.floats(0, 1), after=st.none() | st.floats(0, 1000))
def test_jitter_is_full_and_never_below_what_the_server_asks(attempt: int, drawn: float, after: float | None) -> None:
    """Between nothing and the computed delay."""
    policy = RetryPolicy(delay=2, factor=3, max_delay=60)
    seconds = policy.seconds(attempt, after=after, draw=lambda: drawn)
    computed = EVEN.seconds(attempt) * drawn
    assert seconds == max(computed, after or 0)


@pytest.mark.parametrize(
    ("errors", "type_", "retryable", "expected"),
    [
        (None, "network", True, True),  # without a list the plugin says
        (None, "network", False, False),
        (("network",), "network", False, True),  # with one the author says
        (("network",), "timeout", True, False),
        (("http.5*",), "http.503", False, True),
        (("http.5*",), "http.404", False, False),
        (("*",), "anything", False, True),
        ((), "network", True, False),
        (("HTTP.*",), "http.503", True, False),  # types are lower case
    ],
)
def test_which_errors(errors: tuple[str, ...] | None, type_: str, retryable: bool, expected: bool) -> None:
    """Globs over the error's type."""
    assert RetryPolicy(errors=errors).covers(type_, retryable) is expected


def failed(type_: str = "network", *, retryable: bool = True, after: float | None = None) -> Failed:
    return Failed(ErrorInfo(type_, "no"), retryable=retryable, after=after)


@pytest.mark.parametrize(
    ("outcome", "attempt", "elapsed", "allowed", "expected"),
    [
        (Succeeded(1), 1, 0.0, True, Proceed()),
        (Stopped(), 1, 0.0, True, EndRun()),
        (failed(), 1, 0.0, True, RetryAfter(2)),
        (failed(after=30), 1, 0.0, True, RetryAfter(30)),
        (failed(), 5, 0.0, True, GiveUp()),  # that was the last attempt
        (failed(), 1, 0.0, False, GiveUp()),  # `when` was false
        (failed(retryable=False), 1, 0.0, True, GiveUp()),
        (failed(), 1, 98.0, True, RetryAfter(2)),  # just within max_elapsed
        (failed(), 1, 98.1, True, GiveUp()),  # the next attempt would begin too late
        (failed(after=200), 1, 0.0, True, GiveUp()),  # so it would after what the server asks for
    ],
)
def test_what_follows(outcome: object, attempt: int, elapsed: float, allowed: bool, expected: object) -> None:
    """attempts, errors, when, max_elapsed, Retry-After together."""
    policy = RetryPolicy(attempts=5, delay=2, factor=3, jitter=False, max_elapsed=100)
    assert decide(outcome, attempt=attempt, policy=policy, elapsed=elapsed, allowed=allowed) == expected
