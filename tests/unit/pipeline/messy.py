"""YAML as people write it: any indentation, any quotes, comments and empty lines everywhere."""

import random
from typing import Any

import msgspec

WORDS = (
    "a", "b c", "yes", "no", "null", "1", "1.5", "0x10", "2026-01-01", "22:22", "it's", 'say "hi"', "#tag", "a # b",
    "x: y", "ends:", "- dash", "${{ event.body.x }}", "Re: ${{ a ?? '' }}", "*/5 * * * *", "ünïcödé ✓", "[x", "{y",
    "a, b", "%", "@me", "", " lead", "trail ", "~", "=", "y", "back\\slash", "long " * 40, "!tag", "&anchor",
    "it is | fine", "a]b", "key: [1, 2]",
)  # fmt: skip
TEXTS = ("one\ntwo\n", "one\n\n  two\nthree\n", "  lead\nrest\n", "# not a comment\nend\n", "no end", "tail\n\n\n")
KEYS = ("id", "name", "steps", "with", "uses", "if", "x y", "on", "1", "a.b", "x-thing", "url", "item", "outputs", "é")


class Messy:
    """Writes data as YAML in a random way that is fixed by its seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.comments = 0
        self.lines: list[str] = []

    def data(self, depth: int = 4) -> dict[str, Any]:
        """A map that is not empty."""
        keys = self.chance.sample(KEYS, self.chance.randint(1, 5))
        return {key: self.value(depth - 1) for key in keys}

    def value(self, depth: int) -> Any:
        kind = self.chance.random()
        if depth > 0 and kind < 0.25:
            return self.data(depth)
        if depth > 0 and kind < 0.5:
            return [self.value(depth - 1) for _ in range(self.chance.randint(0, 4))]
        if kind < 0.6:
            return self.chance.choice((None, True, False, 0, -3, 2.5, 10**12))
        return self.chance.choice(TEXTS) if kind < 0.7 else self.chance.choice(WORDS)

    def file(self, data: dict[str, Any]) -> str:
        self.noise(0)
        self.map(data, 0)
        self.noise(self.chance.choice((0, 2, 4)))
        return "\n".join(self.lines) + "\n"

    def noise(self, indent: int) -> None:
        """Empty lines and comments between two entries."""
        while self.chance.random() < 0.25:
            if self.chance.random() < 0.5:
                self.lines.append(" " * self.chance.choice((0, indent, 7)))
            else:
                shift = self.chance.choice((0, 0, 0, 2, -2, 5))
                self.lines.append(" " * max(indent + shift, 0) + self.comment())

    def comment(self) -> str:
        self.comments += 1
        return f"# comment {self.comments}: 'x' [y"

    def behind(self) -> str:
        """Perhaps a comment at the end of a line."""
        if self.chance.random() > 0.15:
            return ""
        return " " * self.chance.choice((1, 2, 9)) + self.comment()

    def map(self, data: dict[str, Any], indent: int, first: str | None = None) -> None:
        for key, value in data.items():
            if first is None:
                self.noise(indent)
            start, first = (first if first is not None else " " * indent), None
            self.entry(start + self.scalar(key, key=True) + ":", value, indent)

    def seq(self, items: list[Any], indent: int, first: str | None = None) -> None:
        for value in items:
            if first is None:
                self.noise(indent)
            start, first = (first if first is not None else " " * indent), None
            nested = value and isinstance(value, dict | list) and self.chance.random() < 0.7
            if nested:
                gap = self.chance.choice((1, 1, 3))
                head = start + "-" + " " * gap
                write = self.map if isinstance(value, dict) else self.seq
                write(value, indent + 1 + gap, head)
            else:
                self.entry(start + "-", value, indent, item=True)

    def entry(self, head: str, value: Any, indent: int, *, item: bool = False) -> None:
        if isinstance(value, dict | list) and value and self.chance.random() < 0.75:
            self.lines.append(head + self.behind())
            self.noise(indent + 2)
            deeper = indent + self.chance.choice((1, 2, 4))
            if isinstance(value, dict):
                self.map(value, deeper)
            else:
                self.seq(value, deeper if item else self.chance.choice((indent, deeper)))
        elif isinstance(value, dict | list):
            self.flow(head, value, indent)
        elif isinstance(value, str) and "\n" in value and self.chance.random() < 0.8:
            self.block(head, value, indent)
        else:
            text = self.scalar(value)
            if text and self.chance.random() < 0.05:
                self.lines += [head + self.behind(), " " * (indent + 3) + text + self.behind()]
            else:
                self.lines.append(
                    f"{head} {text}".rstrip(" ") + self.behind() if text.strip() else head + self.behind()
                )

    def flow(self, head: str, value: Any, indent: int) -> None:
        text = self.inline(value)
        if value and self.chance.random() < 0.3:
            opening, closing = text[0], text[-1]
            parts = [self.inline(item) for item in value] if isinstance(value, list) else [text[1:-1].strip()]
            self.lines.append(f"{head} {opening}{self.behind()}")
            for part in parts:
                if self.chance.random() < 0.2:
                    self.lines.append(" " * (indent + 3) + self.comment())
                self.lines.append(" " * (indent + 3) + part + ("," if isinstance(value, list) else "") + self.behind())
            self.lines.append(" " * (indent + 1) + closing + self.behind())
        else:
            self.lines.append(f"{head} {text}{self.behind()}")

    def inline(self, value: Any) -> str:
        space = " " * self.chance.choice((0, 0, 1))
        if isinstance(value, dict):
            pairs = [f"{self.scalar(key, flow=True)}: {self.inline(item)}" for key, item in value.items()]
            return "{" + space + ", ".join(pairs) + space + "}"
        if isinstance(value, list):
            return "[" + space + ", ".join(self.inline(item) for item in value) + space + "]"
        return self.scalar(value, flow=True)

    def block(self, head: str, value: str, indent: int) -> None:
        chomp = "-" if not value.endswith("\n") else "+" if value.endswith("\n\n") else ""
        step = self.chance.choice((2, 4))
        digit = str(step) if value.startswith(" ") or self.chance.random() < 0.1 else ""
        self.lines.append(f"{head} |{chomp}{digit}" + self.behind())
        body = value.removesuffix("\n") if chomp != "+" else value[:-1]
        self.lines += [" " * (indent + step) + line if line else "" for line in body.split("\n")]

    def scalar(self, value: Any, *, key: bool = False, flow: bool = False) -> str:
        if not isinstance(value, str):
            return msgspec.json.encode(value).decode() if value is not None else self.chance.choice(("null", "~"))
        double = msgspec.json.encode(value).decode()
        single = "'" + value.replace("'", "''") + "'"
        plain = (
            value.replace(" ", "").replace(".", "").isalnum() and not value.startswith(" ") and value.strip() == value
        )
        plain = plain and value.isascii() and value[:1].isalpha() and value not in ("null", "yes", "no", "y", "on")
        forms = [double] if "\n" in value else [double, single]
        return self.chance.choice([*forms, value, value] if plain else forms)
