"""What events look like, known before any has come: declared by the trigger, published by the sender, or recorded."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.core.catalog import Catalog, TriggerKind, TriggerType
from engine.pipeline.inference.names import ERROR, EVENT, OUTCOMES, RUN
from engine.pipeline.inference.shapes import of_payload, of_schema, of_values
from engine.pipeline.inference.types import STRING, Shape, any_of, nullable, object_of, word_of

PARAMETER = re.compile(r"\{([A-Za-z_]\w*)\}")
FINISHED_RUN = {
    **{name: shape for name, shape in RUN.items() if name != "compensated"},
    "outcome": word_of(*OUTCOMES),
    "event_id": nullable(STRING),
    "message": nullable(STRING),
    "created_at": STRING,
    "started_at": nullable(STRING),  # null: it was cancelled before it began
    "finished_at": STRING,
}
RUN_FINISHED = object_of({"run": object_of(FINISHED_RUN), "error": nullable(object_of(ERROR)), "outputs": None})


class Recorded(msgspec.Struct, frozen=True):
    """An event that has been seen. Without source, type or path it stands for any."""

    body: Any
    source: str = ""
    type: str = ""
    path: str = ""  # below /hooks/


def shape_of_event(type_: TriggerType | None, with_: Any, recorded: Sequence[Recorded] = ()) -> Shape:
    """The event of a trigger with these settings. None: nothing is known but what every event has."""
    if type_ is None:
        return None
    with_ = with_ if isinstance(with_, dict) else {}
    fields = dict(EVENT)
    path = with_.get("path")
    if type_.kind is TriggerKind.WEBHOOK and isinstance(path, str) and "${{" not in path:
        fields["path_params"] = object_of(dict.fromkeys(PARAMETER.findall(path), STRING))
    fields["body"] = _body(type_, with_, recorded)
    return object_of(fields)


def shape_of_incoming(source: Any, type_: Any, catalog: Catalog, recorded: Sequence[Recorded] = ()) -> Shape:
    """The event that a `wait` is for."""
    body: Shape = None
    types = [item for item in catalog.triggers.values() if item.source == source and item.webhook is not None]
    if types and isinstance(type_, str):
        body = _published(types[0], [type_])
    if body is None and recorded:
        body = _seen(
            item
            for item in recorded
            if _is_like(item.source, [source] if isinstance(source, str) else [])
            and _is_like(item.type, [type_] if isinstance(type_, str) else [])
        )
    return object_of({**EVENT, "body": body})


def _body(type_: TriggerType, with_: Mapping[str, Any], recorded: Sequence[Recorded]) -> Shape:
    if isinstance(with_.get("body_schema"), dict):
        return of_schema(with_["body_schema"])
    if type_.name == "run.finished":
        return RUN_FINISHED
    wanted = _wanted(type_, with_)
    return _published(type_, wanted) or _seen(item for item in recorded if _delivers(type_, with_, wanted, item))


def _wanted(type_: TriggerType, with_: Mapping[str, Any]) -> list[str]:
    """The event types that the trigger lists; none: all."""
    listed = with_.get("type") if type_.kind is TriggerKind.EVENT else with_.get("events")
    items = listed if isinstance(listed, list) else [listed]
    known = [item for item in items if isinstance(item, str) and "${{" not in item]
    return known if len(known) == len(items) else []


def _published(type_: TriggerType, wanted: Sequence[str]) -> Shape:
    """By the payloads that the sender has published; None if one of them is not known."""
    publish = type_.webhook.payload if type_.webhook is not None else None
    if publish is None:
        return None
    return any_of(of_payload(publish, name.removesuffix("*").rstrip("./")) for name in wanted or [""])


def _seen(recorded: Iterable[Recorded]) -> Shape:
    bodies = [item.body for item in recorded]
    return of_values(bodies) if bodies else None


def _delivers(type_: TriggerType, with_: Mapping[str, Any], wanted: Sequence[str], item: Recorded) -> bool:
    """Whether the trigger would get an event like this one."""
    path = with_.get("path")
    if (
        item.path
        and isinstance(path, str)
        and not fnmatchcase(item.path.strip("/"), PARAMETER.sub("*", path.strip("/")))
    ):
        return False
    return _is_like(item.source, [type_.source] if type_.source else []) and _is_like(item.type, wanted)


def _is_like(word: str, wanted: Sequence[str]) -> bool:
    """Whether it is among the globs, or below one of them (`issues.opened` is below `issues`)."""
    if not word or not wanted:
        return True
    return any(fnmatchcase(word, item) or word.startswith(f"{item}.") for item in wanted)
