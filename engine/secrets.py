"""Secrets by name, read again when their file changes, and the filter that keeps their values out of what is kept."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from engine.settings import load_secrets

SHORTEST = 6  # characters; shorter values would mask ordinary text
MASK = "***"


class Secrets:
    """Looks secrets up. Sources: the secrets file, then HOOKWRIGHT_SECRET_<NAME> in the environment, which wins."""

    def __init__(self, file: Path | None, environment: Mapping[str, str] = os.environ) -> None:
        self._file = file
        self._environment = environment
        self._stamp: tuple[int, int] | None = None
        self._values: dict[str, str] = {}
        self._pattern: re.Pattern[bytes] | None = None
        self._load()

    def get(self, name: str) -> str | None:
        """The value, or None if there is no such secret."""
        return self._values.get(name)

    @property
    def file(self) -> Path | None:
        """Where secrets are read from besides the environment."""
        return self._file

    def names(self) -> list[str]:
        """Every known name."""
        return sorted(self._values)

    def refresh(self) -> bool:
        """Read the file again if it changed; whether it did."""
        if self._file is None or self._seen() == self._stamp:
            return False
        self._load()
        return True

    def redact(self, data: bytes) -> bytes:
        """The same bytes with every secret value replaced, plain or as JSON text writes it."""
        return self._pattern.sub(MASK.encode(), data) if self._pattern else data

    def redact_text(self, text: str) -> str:
        """The same for text."""
        return self.redact(text.encode(errors="replace")).decode() if self._pattern else text

    def _seen(self) -> tuple[int, int] | None:
        try:
            state = self._file.stat() if self._file else None
        except OSError:
            return None
        return (state.st_mtime_ns, state.st_size) if state else None

    def _load(self) -> None:
        self._stamp = self._seen()
        self._values = load_secrets(self._environment, self._file)
        forms: set[str] = set()
        for value in self._values.values():
            if len(value) >= SHORTEST:
                forms |= {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        patterns = [re.escape(form.encode(errors="replace")) for form in sorted(forms, key=len, reverse=True)]
        self._pattern = re.compile(b"|".join(patterns)) if patterns else None
