"""Child processes of `hookwright up`: started so that none outlives its parent, started again when one dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0  # seconds before a dead child is started again
STABLE = 30.0  # seconds of life after which the delay starts small again
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def follow_parent(parent: int | None, signal_number: int = signal.SIGKILL) -> None:
    """Ask the kernel (Linux) to signal this process when its parent ends; exit at once if it has ended already.

    parent: the process id that must still be the parent; None: whoever it is now. Elsewhere than on Linux: nothing.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        sys.exit(1)


@dataclass
class Child:
    """One process that should be there until it is told to stop."""

    name: str
    command: Sequence[str]  # arguments after `python -m engine`
    environment: Mapping[str, str]
    sockets: Sequence[int] = ()  # file descriptors it inherits
    once: Sequence[str] = ()  # further arguments of the first start; a restart does without them
    process: subprocess.Popen[bytes] | None = None
    stopping: bool = False
    deaths: int = 0
    delay: float = FIRST_DELAY
    started_at: float = field(default=0.0)  # monotonic
    due_at: float | None = None  # monotonic; when it is started again

    def start(self) -> None:
        """Start the process; it gets no terminal, so that Ctrl-C reaches the parent alone."""
        self.due_at = None
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "engine", *self.command, *self.once, "--parent", str(os.getpid())],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            pass_fds=tuple(self.sockets),
            start_new_session=True,
        )

    def ended(self) -> int | None:
        """The exit code if the process has ended, else None."""
        return None if self.process is None else self.process.poll()

    def plan_restart(self) -> float:
        """Note when it is to be started again; the delay in seconds, doubled each time unless it lived long enough."""
        now = time.monotonic()
        self.deaths += 1
        if now - self.started_at >= STABLE:
            self.delay = FIRST_DELAY
        delay, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY)
        self.process = None
        self.due_at = now + delay
        return delay

    def ask_to_stop(self) -> None:
        """SIGTERM: finish what is under way, then end."""
        self.stopping = True
        self.due_at = None
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.stopping = True
        self.due_at = None
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def describe_exit(code: int) -> str:
    """An exit code in words: `exit code 3`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
