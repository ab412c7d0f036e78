"""A progress bar on a terminal; nothing anywhere else."""

import sys

WIDTH = 30  # characters


class Bar:
    """How far something of a known length is, on standard error."""

    def __init__(self, total: int, *, shown: bool = True) -> None:
        self.total = total
        self._shown = shown and sys.stderr.isatty()

    def show(self, done: int, text: str = "") -> None:
        """Draw it anew."""
        if not self._shown:
            return
        total = max(self.total, done, 1)
        full = WIDTH * done // total
        sys.stderr.write(f"\r\x1b[K[{'#' * full}{'.' * (WIDTH - full)}] {done:,}/{total:,}  {text}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
