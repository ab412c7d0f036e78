"""What only shows when all files are seen together: ids that are used twice, and triggers that share a path."""

from collections.abc import Sequence
from typing import Any

from engine.core.catalog import Catalog, TriggerKind
from engine.pipeline.deployment import OWN
from engine.pipeline.marks import Path
from engine.pipeline.source import Source


def check_repository(sources: Sequence[Source], catalog: Catalog) -> None:
    """Note problems in the later of two files; the first keeps what it has."""
    ids: dict[str, Source] = {}
    paths: dict[str, tuple[Source, str, Any]] = {}
    for source in sources:
        data = source.data if isinstance(source.data, dict) else {}
        name = data.get("id")
        if isinstance(name, str):
            if name in ids:
                message = f"there is a pipeline `{name}` already, in {ids[name].file}"
                source.error("E118", ("id",), message, "an id is unique in the repository")
            else:
                ids[name] = source
        triggers = data.get("triggers")
        for index, trigger in enumerate(triggers if isinstance(triggers, list) else []):
            if isinstance(trigger, dict):
                _check_path(source, ("triggers", index), trigger, catalog, paths)


def _check_path(
    source: Source, path: Path, trigger: dict[str, Any], catalog: Catalog, paths: dict[str, tuple[Source, str, Any]]
) -> None:
    uses, with_ = trigger.get("uses"), trigger.get("with")
    type_ = catalog.triggers.get(uses) if isinstance(uses, str) else None
    if type_ is None or type_.kind is not TriggerKind.WEBHOOK or not isinstance(with_, dict):
        return
    address = with_.get("path")
    if not isinstance(address, str) or "${{" in address or source.broken:
        return
    address = address.strip("/")
    shared = {key: value for key, value in with_.items() if key not in OWN}
    if address not in paths:
        paths[address] = (source, type_.name, shared)
        return
    first, name, settings = paths[address]
    if name != type_.name:
        message = f"`/hooks/{address}` belongs to `{name}` in {first.file}; this is `{type_.name}`"
        source.error("E117", (*path, "uses"), message, "triggers on one path have one type")
    elif settings != shared:
        differing = sorted(key for key in settings | shared if settings.get(key) != shared.get(key))
        message = f"`/hooks/{address}` has another {', '.join(f'`{key}`' for key in differing)} in {first.file}"
        where = (*path, "with", differing[0]) if differing[0] in with_ else (*path, "with")
        source.error("E117", where, message, "triggers on one path differ only in `events` and `if`")
