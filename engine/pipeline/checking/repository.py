"""What only shows when all files are seen together: calls, ids that are used twice, triggers that share a path."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.core.catalog import Catalog, TriggerKind, TriggerType
from engine.pipeline.checking.callees import called_ids, find_calls, find_circle, sort_calls, started_ids
from engine.pipeline.checking.events import Recorded
from engine.pipeline.checking.expressions import CalleeView, Desk
from engine.pipeline.checking.inputs import read_inputs
from engine.pipeline.checking.pipeline import read_pipeline
from engine.pipeline.defaults import CALL, Defaults, merge
from engine.pipeline.deployment import OWN
from engine.pipeline.marks import Path
from engine.pipeline.source import Files, Source
from engine.pipeline.spec import Pipeline

CIRCLES = 3  # told of one file; the others show when these are gone
LONGEST_CIRCLE = 12  # ids in a message


class Unit(msgspec.Struct):
    """One file of the repository, and what became of it. hidden: it is only read because another one calls it."""

    source: Source
    text: str
    files: Files
    env: frozenset[str] = frozenset()
    queues: frozenset[str] | None = None
    defaults: Defaults = Defaults()
    hidden: bool = False
    pipeline: Pipeline | None = None

    @property
    def id(self) -> str | None:
        """As it is written."""
        name = self.source.data.get("id") if isinstance(self.source.data, dict) else None
        return name if isinstance(name, str) else None


def read_units(
    units: Sequence[Unit],
    catalog: Catalog,
    *,
    known: Iterable[Pipeline] | None = None,
    closed: bool = True,
    others: Iterable[str] = (),
    recorded: Sequence[Recorded] = (),
) -> None:
    """Read every file, those first that others call.

    known: more pipelines that can be called. closed: there are none besides. others: ids that nobody calls, for hints.
    recorded: events that have been seen.
    """
    by_id: dict[str, Unit] = {}
    for unit in units:
        if unit.id is not None:
            by_id.setdefault(unit.id, unit)
    called = {pipeline.id: pipeline for pipeline in known or ()}
    views = dict.fromkeys(others, CalleeView()) | {name: _view(pipeline) for name, pipeline in called.items()}
    views |= dict.fromkeys(by_id, CalleeView())
    order = sort_calls({name: called_ids(unit.source.data) for name, unit in by_id.items()})
    first = [by_id[name] for name in order]
    done: set[str] = set()
    for unit in [*first, *(unit for unit in units if unit.id is None or by_id[unit.id] is not unit)]:
        named = called_ids(unit.source.data) | started_ids(unit.source.data)
        for name in named & by_id.keys() - done:  # in a circle, or started
            views[name] = _raw_view(by_id[name].source)
        desk = Desk(
            source=unit.source,
            catalog=catalog,
            files=unit.files,
            env=unit.env,
            queues=unit.queues,
            defaults=unit.defaults,
            callees=views if closed else None,
            called=called,
            recorded=recorded,
        )
        try:
            unit.pipeline = read_pipeline(desk, unit.text)
        except RecursionError:
            unit.source.error("E003", (), "nested too deeply")
        if unit.id is None or by_id[unit.id] is not unit:
            continue
        done.add(unit.id)
        views[unit.id] = _raw_view(unit.source)
        if unit.pipeline is not None:
            views[unit.id] = CalleeView(unit.pipeline.inputs, desk.outputs)
            called[unit.id] = unit.pipeline


def check_repository(units: Sequence[Unit], catalog: Catalog) -> None:
    """Note problems in the later of two files; the first keeps what it has."""
    by_id: dict[str, Unit] = {}
    paths: dict[str, tuple[Source, str, dict[str, Any]]] = {}
    for unit in units:
        if unit.id is not None and unit.id in by_id:
            message = f"there is a pipeline `{unit.id}` already, in {by_id[unit.id].source.file}"
            unit.source.error("E402", ("id",), message, "an id is unique in the repository")
        elif unit.id is not None:
            by_id[unit.id] = unit
        if not unit.hidden:
            _check_paths(unit, catalog, paths)
    _check_calls(by_id)


def _check_calls(by_id: Mapping[str, Unit]) -> None:
    """No circles; and who calls a broken pipeline is broken as well."""
    calls = {name: called_ids(unit.source.data) for name, unit in by_id.items()}
    for name, unit in by_id.items():
        told = 0
        for path, callee in find_calls(unit.source.data):
            circle = find_circle(calls, name, callee) if told < CIRCLES else None
            if circle is not None:
                told += 1
                hint = "`pipeline.start` starts a pipeline and does not wait for it"
                shown = circle if len(circle) <= LONGEST_CIRCLE else [*circle[: LONGEST_CIRCLE - 2], "...", circle[-1]]
                message = f"the calls go in a circle: {' -> '.join(shown)}"
                unit.source.error("E401", path, message, hint, offset=_named(callee))
    for name in sort_calls(calls):
        unit = by_id[name]
        for path, callee in find_calls(unit.source.data):
            if not unit.source.broken and callee in by_id and by_id[callee].source.broken:
                file = by_id[callee].source.file
                unit.source.error(
                    "E404", path, f"pipeline `{callee}` has errors", f"they are in {file}", offset=_named(callee)
                )


def _named(callee: str) -> tuple[int, int]:
    """Where the id stands in `pipeline:ID`."""
    return len(CALL), len(CALL) + len(callee)


def _check_paths(unit: Unit, catalog: Catalog, paths: dict[str, tuple[Source, str, dict[str, Any]]]) -> None:
    data = unit.source.data if isinstance(unit.source.data, dict) else {}
    triggers = data.get("triggers")
    for index, trigger in enumerate(triggers if isinstance(triggers, list) else []):
        uses = trigger.get("uses") if isinstance(trigger, dict) else None
        type_ = catalog.triggers.get(uses) if isinstance(uses, str) else None
        if type_ is None or type_.kind is not TriggerKind.WEBHOOK:
            continue
        path: Path = ("triggers", index)
        scratch = Source(unit.source.file, None, unit.source.marks)  # where defaults come from is known by now
        for entry in unit.defaults.matching(type_.name):
            fields = [field.encode_name for field in msgspec.structs.fields(type_.config)]
            trigger = merge(entry, trigger, scratch, path, keys=("with",), fields=fields)
        with_ = trigger.get("with")
        if isinstance(with_, dict) and not unit.source.broken:
            _check_path(unit.source, path, type_, with_, paths)


def _check_path(
    source: Source,
    path: Path,
    type_: TriggerType,
    with_: dict[str, Any],
    paths: dict[str, tuple[Source, str, dict[str, Any]]],
) -> None:
    defaults = _field_defaults(type_)
    address = with_.get("path", defaults.get("path"))
    if not isinstance(address, str) or "${{" in address:
        return
    address = address.strip("/")
    shared = {key: value for key, value in (defaults | with_).items() if key not in OWN}
    if isinstance(methods := shared.get("methods"), list | tuple):
        shared["methods"] = sorted(str(method).upper() for method in methods)
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


def _field_defaults(type_: TriggerType) -> dict[str, Any]:
    """What the fields are that nobody has written, as plain data."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(type_.config):
        if field.default is not msgspec.NODEFAULT:
            found[field.encode_name] = msgspec.to_builtins(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.encode_name] = msgspec.to_builtins(field.default_factory())
    return found


def _view(pipeline: Pipeline) -> CalleeView:
    return CalleeView(pipeline.inputs, dict.fromkeys(pipeline.outputs))


def _raw_view(source: Source) -> CalleeView:
    """A pipeline that has not been read, or could not be: its inputs, and the names of its outputs."""
    data = source.data if isinstance(source.data, dict) else {}
    outputs = data.get("outputs")
    aside = Source(source.file, source.data, source.marks)  # its problems are noted when it is read
    return CalleeView(
        read_inputs(aside, data.get("inputs")), dict.fromkeys(outputs) if isinstance(outputs, dict) else {}
    )
