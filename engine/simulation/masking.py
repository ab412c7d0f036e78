"""Take addresses, tokens and secrets out of recorded values, the same value always by the same word."""

import re
from typing import Any

EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abposr]-[A-Za-z0-9-]{10,}"
    r"|[spr]k_(?:live|test)_\w{10,}|whsec_[\w+/=]{10,}|sk-[\w-]{16,}|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)"
)
NAME = re.compile(
    r"(^|[_-])(passw(or)?d|secret|token|api_?key|authorization|cookie|credential)s?($|[_-])", re.IGNORECASE
)
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
COUNTS = frozenset(
    {"total_tokens", "input_tokens", "output_tokens", "max_tokens", "prompt_tokens", "completion_tokens"}
)


class Masks:
    """What was masked so far, so that equal values stay equal."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def mask(self, value: Any, name: str = "") -> Any:
        """The value without what should not be in a repository. name: the key it stands under."""
        if isinstance(value, dict):
            return {self._text(key): self.mask(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.mask(item, name) for item in value]
        if not isinstance(value, str) or not value:
            return value
        if name not in COUNTS and NAME.search(CAMEL.sub("_", name)) and not value.startswith("***"):
            return self._word(value, "masked-{}")
        return self._text(value)

    def _text(self, text: str) -> str:
        text = TOKEN.sub(lambda found: self._word(found[0], "masked-{}"), text)
        return EMAIL.sub(lambda found: self._word(found[0].lower(), "person{}@example.com"), text)

    def _word(self, value: str, pattern: str) -> str:
        if value not in self._words:
            number = sum(word.startswith(pattern[:4]) for word in self._words.values()) + 1
            self._words[value] = pattern.format(number)
        return self._words[value]
