"""`defaults:` and `connections:`: checked where they stand, once, whether or not anything uses them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.checking.config import ConfigCheck, is_free
from engine.pipeline.checking.expressions import Desk, compile_value
from engine.pipeline.checking.keys import check_keys, is_section
from engine.pipeline.checking.limits import read_concurrency, read_queue, read_rate_limit
from engine.pipeline.checking.values import (
    PIPELINE_ID,
    STEP_ID,
    describe,
    need_duration,
    need_id,
    need_integer,
    need_list,
    need_map,
    need_text,
)
from engine.pipeline.defaults import CALL, Defaults, Entry, read_entries
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.grammar.pipeline import CONNECTION, DEFAULTS, QUEUE
from engine.pipeline.inference.names import RUN, Names
from engine.pipeline.inference.shapes import Shape
from engine.pipeline.marks import Path
from engine.pipeline.source import Source
from engine.pipeline.spec import Connection, QueueRule

ID_TEXT = "small letters, digits and `-`, a letter first"
Config = type[msgspec.Struct]
# What a step may use depends on where it stands: values for it are checked again in every step that gets them.
WHEREVER: dict[str, Shape] = {"event": None, "events": None, "steps": None, "item": None, "index": None, "run": RUN}
UNKNOWN: dict[str, Shape] = {"inputs": None, "vars": None}


def read_defaults(
    desk: Desk, path: Path, value: Any, names: Names, *, project: bool = False, types: bool = True
) -> Defaults:
    """The entries; what is wrong with them is noted at their own place. names: what `with` may use besides secrets."""
    for name, item in need_map(desk.source, path, value, "`defaults`").items():
        if isinstance(item, dict):
            check_keys(desk.source, (*path, name), item, DEFAULTS)
        else:
            hint = "as in `http.request: {timeout: 10s}`"
            message = f"an entry of `defaults` must be a map, this is {describe(item)}"
            desk.source.error("E103", (*path, name), message, hint)
    defaults = read_entries(desk.source, path, value, project=project)
    for entry in defaults.entries:
        if types:
            _check_types(desk, entry)
        _check_values(desk, entry, names)
    return defaults


def read_connections(desk: Desk, path: Path, value: Any) -> dict[str, Connection]:
    """The named connections of project.yaml."""
    source = desk.source
    names = Names(roots=("secrets", "env"), env=desk.env)
    found: dict[str, Connection] = {}
    for name, item in need_map(source, path, value, "`connections`").items():
        where = (*path, name)
        if not STEP_ID.fullmatch(name):
            source.error("E109", where, f"`{name[:60]}` is not a name: small letters, digits and `_`", key=True)
            continue
        if not isinstance(item, dict):
            hint = "as in `{uses: postgres, with: {dsn: ...}}`"
            source.error("E103", where, f"a connection must be a map, this is {describe(item)}", hint)
            continue
        check_keys(source, where, item, CONNECTION)
        if "uses" not in item:
            source.error("E104", where, "a connection needs `uses`", "as in `uses: postgres`", key=True)
        uses = need_text(source, (*where, "uses"), item["uses"], "`uses`") if "uses" in item else ""
        with_ = need_map(source, (*where, "with"), item.get("with"), "`with`")
        found[name] = Connection(uses=uses, with_=compile_value(desk, (*where, "with"), with_, names))
    return found


def read_queues(desk: Desk, path: Path, value: Any) -> dict[str, QueueRule]:
    """The queues of project.yaml, a list of names or a map with their settings; `default` always among them."""
    source, queues = desk.source, {"default": QueueRule()}
    if isinstance(value, dict):
        for name, item in value.items():
            if not PIPELINE_ID.fullmatch(name):
                source.error("E109", (*path, name), f"`{name[:60]}` is not an id: {ID_TEXT}", key=True)
            else:
                queues[name] = _queue(source, (*path, name), item)
        return queues
    for index, name in enumerate(need_list(source, path, value, "`queues`")):
        if isinstance(name, str) and PIPELINE_ID.fullmatch(name):
            queues[name] = QueueRule()
        else:
            need_id(source, (*path, index), name, "a queue", PIPELINE_ID)
    return queues


def _queue(source: Source, path: Path, item: Any) -> QueueRule:
    if item is None or not is_section(source, path, item, QUEUE, "as in `ai: {priority: 10}`"):
        return QueueRule()
    found: dict[str, Any] = {}
    if "priority" in item:
        where = (*path, "priority")
        found["priority"] = need_integer(source, where, item["priority"], "`priority`", least=-100, most=100) or 0
    if "concurrency" in item:
        where = (*path, "concurrency")
        found["concurrency"] = need_integer(source, where, item["concurrency"], "`concurrency`", least=1, most=10_000)
    return QueueRule(**found)


def read_groups(source: Source, path: Path, value: Any) -> dict[str, frozenset[str]]:
    """The groups of project.yaml: who is in each."""
    found: dict[str, frozenset[str]] = {}
    for name, members in need_map(source, path, value, "`groups`").items():
        where = (*path, name)
        if not need_id(source, where, name, "a group", PIPELINE_ID):
            continue
        people = need_list(source, where, members, f"the group `{name}`")
        texts = [need_text(source, (*where, index), item, "a name") for index, item in enumerate(people)]
        found[name] = frozenset(text for text in texts if text)
    return found


def _check_types(desk: Desk, entry: Entry) -> None:
    source, path, value = entry.source, entry.path, entry.value
    configs = _configs(desk.catalog, entry)
    if not configs and not entry.pattern.startswith(CALL):
        known = [*desk.catalog.steps, *(desk.catalog.triggers if entry.project else ())]
        what = "step or trigger type" if entry.project else "step type"
        if entry.is_glob:
            source.error("E114", path, f"no {what} is called like `{entry.pattern[:80]}`", key=True)
        else:
            hint = did_you_mean(entry.pattern, known, "`hookwright plugins list` shows the installed ones")
            source.error("E114", path, f"there is no {what} `{entry.pattern[:80]}`", hint, key=True)
    elif "with" in value and configs:
        _check_with(desk, entry, configs)


def _check_values(desk: Desk, entry: Entry, names: Names) -> None:
    source, path, value = entry.source, entry.path, entry.value
    trigger = entry.project and entry.pattern in desk.catalog.triggers
    place = msgspec.structs.replace(names, locals={**names.locals, **WHEREVER})
    if "with" in value:
        only = Names(roots=("secrets", "env"), env=desk.env)
        compile_value(desk, (*path, "with"), value["with"], only if trigger else names.adding("secrets"))
    for key in value:
        if trigger and key in DEFAULTS.keys and key != "with":
            source.error("E101", (*path, key), f"a trigger has no `{key}`", "it takes only `with`", key=True)
    if "timeout" in value:
        need_duration(source, (*path, "timeout"), value["timeout"], "`timeout`")
    if "concurrency" in value:
        read_concurrency(desk, (*path, "concurrency"), value["concurrency"], place)
    if "rate_limit" in value:
        read_rate_limit(desk, (*path, "rate_limit"), value["rate_limit"], place)
    if "queue" in value:
        read_queue(desk, (*path, "queue"), value["queue"], place)


def _check_with(desk: Desk, entry: Entry, configs: Mapping[str, Config]) -> None:
    """Each field exists in the type, or for a glob in one of its types, and its value fits there."""
    path: Path = (*entry.path, "with")
    value = entry.value["with"]
    if not isinstance(value, dict):
        message = f"`with` of an entry of `defaults` must be a map, this is {describe(value)}"
        entry.source.error("E107", path, message)
        return
    taking = {name: config for name, config in configs.items() if not is_free(config)}
    if not taking:
        return
    fields = {
        name: {field.encode_name: field.type for field in msgspec.structs.fields(config)}
        for name, config in taking.items()
    }
    everything = {field for known in fields.values() for field in known}
    for name, item in value.items():
        where = (*path, name)
        owners = [uses for uses, known in fields.items() if name in known]
        if not owners:
            hint = did_you_mean(name, everything, f"there are: {', '.join(sorted(everything))}")
            owner = f"nothing called like `{entry.pattern}`" if entry.is_glob else next(iter(taking))
            has = "has an input" if entry.is_glob else "has no input"
            entry.source.error("E105", where, f"{owner} {has} `{name}`", hint, key=True)
        for uses in owners:
            before = entry.source.count
            ConfigCheck(entry.source, uses).value(where, item, fields[uses][name], f"`{name}` of {uses}")
            if entry.source.count > before:
                break


def _configs(catalog: Catalog, entry: Entry) -> dict[str, Config]:
    """The types that the entry means, and what each is configured with."""
    types: dict[str, Config] = {name: type_.config for name, type_ in catalog.steps.items() if entry.matches(name)}
    if entry.project:
        types |= {name: type_.config for name, type_ in catalog.triggers.items() if entry.matches(name)}
    return types
