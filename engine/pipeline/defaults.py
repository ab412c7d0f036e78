"""`defaults:` of the pipeline and of project.yaml, merged under the steps and triggers whose type they name."""

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.pipeline.grammar.pipeline import DEFAULTS
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

CALL = "pipeline:"
ONE_OF = frozenset({"auth"})  # maps that name one way of several: a step's own replaces that of the default


class Entry(msgspec.Struct, frozen=True):
    """What holds for every type that the pattern names. path leads to it in its file."""

    pattern: str
    value: Mapping[str, Any]
    source: Source
    path: Path
    project: bool = False

    @property
    def is_glob(self) -> bool:
        """Whether it names several types."""
        return is_glob(self.pattern)

    def matches(self, uses: str) -> bool:
        """Whether it holds for this type. `*` alone does not mean calls of other pipelines."""
        if uses.startswith(CALL) and not self.pattern.startswith(CALL):
            return False
        return fnmatchcase(uses, self.pattern) if self.is_glob else uses == self.pattern


class Defaults(msgspec.Struct, frozen=True):
    """All entries, the strongest first: exact name beats glob beats project; of two globs the longer one."""

    entries: tuple[Entry, ...] = ()

    def below(self, other: "Defaults") -> "Defaults":
        """These, with the other's on top."""
        return Defaults((*other.entries, *self.entries))

    def matching(self, uses: str) -> Iterator[Entry]:
        """Those for a type, the strongest first."""
        return (entry for entry in self.entries if entry.matches(uses))


def read_entries(source: Source, path: Path, value: Any, *, project: bool = False) -> Defaults:
    """The entries of a `defaults:` map, in the order of their strength. What is no map is left out."""
    entries = [
        Entry(name, item, source, (*path, name), project)
        for name, item in (value.items() if isinstance(value, dict) else ())
        if isinstance(item, dict)
    ]
    entries.reverse()  # of two that are equally strong, the lower one
    entries.sort(key=lambda entry: (entry.is_glob, -len(entry.pattern.strip("*?"))))
    return Defaults(tuple(entries))


def merge(
    entry: Entry, item: dict[str, Any], source: Source, path: Path, *, keys: Collection[str], fields: Collection[str]
) -> dict[str, Any]:
    """The step or trigger at `path` of the source with an entry's values where it has none of its own.

    keys: those that are taken. fields: those of its type; a glob adds no others.
    """
    merged = dict(item)
    for key, value in entry.value.items():
        if key not in keys:
            continue
        if key != "with":
            if key not in merged:
                merged[key] = value
                source.origins[*path, key] = (entry.source, (*entry.path, key))
            continue
        own = merged.get("with")
        if not isinstance(value, dict) or not (own is None or isinstance(own, dict)):
            continue
        wanted = {name: field for name, field in value.items() if not entry.is_glob or name in fields}
        if wanted:
            where = (entry.source, (*entry.path, "with"))
            merged["with"] = _merge_map(own or {}, wanted, source, (*path, "with"), where)
    return merged


def is_glob(pattern: str) -> bool:
    """Whether the name of an entry is a pattern."""
    return any(character in pattern for character in "*?[")


def step_keys() -> Collection[str]:
    """What an entry can give a step."""
    return DEFAULTS.keys.keys()


def _merge_map(
    own: dict[str, Any], extra: Mapping[str, Any], source: Source, path: Path, origin: tuple[Source, Path]
) -> dict[str, Any]:
    merged = dict(own)
    for key, value in extra.items():
        where = (origin[0], (*origin[1], key))
        if key not in merged:
            merged[key] = value
            source.origins[*path, key] = where
        elif isinstance(value, dict) and isinstance(merged[key], dict) and key not in ONE_OF:
            merged[key] = _merge_map(merged[key], value, source, (*path, key), where)
    return merged
