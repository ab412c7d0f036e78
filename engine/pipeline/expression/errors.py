"""What goes wrong with expressions, with the place in the text."""

import difflib
from collections.abc import Iterable
from itertools import islice

from engine.errors import HookwrightError

MOST_KNOWN = 5000  # words that are looked at for a suggestion
FEW = 200  # so many are compared letter by letter


class ExpressionError(HookwrightError):
    """An expression cannot be parsed or evaluated.

    `offset` is the range of characters in the text that was handed in; `path` leads from the root of a template to the
    value that holds the expression; `code` is the check code (E2xx, E3xx).
    """

    def __init__(
        self,
        message: str,
        *,
        start: int = 0,
        end: int = 0,
        help: str = "",
        code: str = "E201",
        path: tuple[str | int, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = (start, max(end, start))
        self.help = help
        self.code = code
        self.path = path

    def __str__(self) -> str:
        return f"{self.message} ({self.help})" if self.help else self.message

    def moved(self, by: int, path: tuple[str | int, ...] = ()) -> "ExpressionError":
        """The same error in a longer text that has the expression `by` characters further on."""
        start, end = self.offset
        return ExpressionError(
            self.message, start=start + by, end=end + by, help=self.help, code=self.code, path=path or self.path
        )


class Complaint(Exception):
    """What a filter or function has to say about its arguments; the evaluator adds the place."""

    def __init__(self, message: str, help: str = "", code: str = "E220") -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.code = code


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    words = [name for name in islice(known, MOST_KNOWN) if isinstance(name, str)]
    if len(words) > FEW:
        words = [name for name in words if abs(len(name) - len(word)) <= 2 and name[:1] == word[:1]][:FEW]
    lowered = {name.lower().replace("-", "_"): name for name in words}
    simple = word.lower().replace("-", "_")
    if simple in lowered:
        return lowered[simple]
    close = difflib.get_close_matches(simple, list(lowered), n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """``did you mean `x`?`` for a close word, else the other text."""
    found = suggest(word, known)
    return f"did you mean `{found}`?" if found else otherwise


def listing(names: Iterable[str], most: int = 20) -> str:
    """The names for a message; only the first if there are many."""
    shown = list(islice(names, most + 1))
    return ", ".join([*shown[:most], "..."] if len(shown) > most else shown)
