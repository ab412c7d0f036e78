"""Exit codes of every command, and the error of a command that was used wrongly."""

from engine.errors import HookwrightError

OK = 0
FAILED = 1  # the run failed, the check found errors, the delivery was refused
USAGE = 2
SETUP = 3  # cannot reach Hookwright or a database, or the configuration is wrong
INTERRUPTED = 130


class WrongUsage(HookwrightError):
    """An argument is not what it should be."""
