"""hookwright plugins list, show."""

from typing import Any

from cyclopts import App

from engine.cli.exits import FAILED, OK
from engine.cli.output import BOLD, FAINT, Json, complain, paint, print_json, say, table
from engine.errors import NotFound


def list_plugins(*, json: Json = False) -> int:
    """List the installed step types, trigger types, signature schemes and filters.

    Exit code 1 if a plugin could not be loaded.

    Example: `hookwright plugins list --json`
    """
    from engine.plugin.host import load_catalog

    host = load_catalog()
    catalog = host.catalog
    steps = [
        {"name": item.name, "effect": str(item.effect), "plugin": item.plugin, "summary": item.summary}
        for item in _sorted(catalog.steps)
    ]
    triggers = [
        {"name": item.name, "kind": str(item.kind), "plugin": item.plugin, "summary": item.summary}
        for item in _sorted(catalog.triggers)
    ]
    schemes = [{"name": item.name, "summary": item.summary} for item in _sorted(catalog.schemes)]
    if json:
        print_json(
            {
                "steps": steps, "triggers": triggers, "schemes": schemes, "filters": sorted(catalog.filters),
                "problems": list(host.problems),
            }
        )  # fmt: skip
        return FAILED if host.problems else OK
    for title, rows, second in (("STEP TYPE", steps, "effect"), ("TRIGGER TYPE", triggers, "kind")):
        table([[row["name"], row[second], row["summary"]] for row in rows], [title, second.upper(), "WHAT IT DOES"])
        say()
    table([[row["name"], row["summary"]] for row in schemes], ["SIGNATURE SCHEME", "WHAT IT DOES"])
    if catalog.filters:
        say(f"\n{paint('FILTERS', FAINT)}  {' '.join(sorted(catalog.filters))}")
    for problem in host.problems:
        complain(problem)
    return FAILED if host.problems else OK


def show(name: str, /, *, json: Json = False) -> int:
    """Show the fields of a step type, trigger type or signature scheme.

    Example: `hookwright plugins show http.request`
    """
    import msgspec

    from engine.plugin.host import load_catalog

    catalog = load_catalog().catalog
    found: Any = catalog.steps.get(name) or catalog.triggers.get(name) or catalog.schemes.get(name)
    if found is None:
        raise NotFound(f"there is no step type, trigger type or scheme `{name}`{_near(name, catalog)}")
    schema = msgspec.json.schema(found.config, schema_hook=lambda _type: {})
    if json:
        print_json({"name": found.name, "summary": found.summary, "config": schema})
        return OK
    say(f"{paint(found.name, BOLD)}  {found.summary}")
    for key in ("effect", "kind", "plugin", "version"):
        if value := getattr(found, key, ""):
            say(f"  {key}: {value}")
    definitions = schema.get("$defs", {})
    fields = definitions.get(schema.get("$ref", "").rpartition("/")[2], schema)
    required = fields.get("required", [])
    rows = [
        [field, _kind(detail, definitions), _default(field, detail, required), detail.get("description", "")]
        for field, detail in fields.get("properties", {}).items()
    ]
    if rows:
        say()
        table(rows, ["WITH", "TYPE", "DEFAULT", "MEANING"])
    return OK


def create_group() -> App:
    """`hookwright plugins ...`"""
    group = App(name="plugins", help="What pipelines can use: step types, trigger types, signature schemes.")
    group.command(list_plugins, name="list")
    group.default(list_plugins)
    group.command(show)
    return group


def _sorted(items: dict[str, Any]) -> list[Any]:
    return [items[name] for name in sorted(items)]


def _near(name: str, catalog: Any) -> str:
    import difflib

    near = difflib.get_close_matches(name, [*catalog.steps, *catalog.triggers, *catalog.schemes], 1)
    return f"; did you mean `{near[0]}`?" if near else "; `hookwright plugins list` shows what there is"


def _kind(detail: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON Schema's type in a word or two."""
    if "$ref" in detail:
        name = detail["$ref"].rpartition("/")[2]
        return _kind(definitions.get(name, {}), {}) or name
    if "enum" in detail:
        return " | ".join(map(str, detail["enum"]))
    if "anyOf" in detail:
        return " | ".join(dict.fromkeys(_kind(item, definitions) for item in detail["anyOf"]))
    if detail.get("type") == "array":
        return f"{_kind(detail.get('items', {}), definitions) or 'any'}[]"
    return str(detail.get("type", "any"))


def _default(field: str, detail: dict[str, Any], required: list[str]) -> str:
    from engine.cli.output import compact

    if field in required:
        return "required"
    return compact(detail["default"], 40) if "default" in detail else ""
