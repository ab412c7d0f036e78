"""hookwright schema: JSON Schemas for editors."""

from pathlib import Path
from typing import Literal

from engine.cli.exits import OK
from engine.cli.output import Json, note, print_json, say


def schema(
    kind: Literal["pipeline", "test", "project"] | None = None, /, *, out: Path | None = None, json: Json = False
) -> int:
    """Write the JSON Schema of pipelines, tests or project.yaml, with the fields of every installed plugin.

    Editors complete, explain and check with it; run it again after installing a plugin. `docs/editors.md` says how to
    set them up.

    Examples: `hookwright schema --out .hookwright`, `hookwright schema pipeline > pipeline.schema.json`

    Parameters
    ----------
    kind
        pipeline, test or project. Default: pipeline, and all of them with --out.
    out
        Folder to write to, as KIND.schema.json; without it the schema is printed.
    """
    from engine.editor.schema import KINDS, encode_schema, make_schema, write_schemas
    from engine.plugin.host import load_catalog

    catalog = load_catalog().catalog
    if out is None:
        say(encode_schema(make_schema(kind or "pipeline", catalog)).rstrip())
        return OK
    paths = write_schemas(out, catalog, [kind] if kind else KINDS)
    if json:
        print_json({"files": [str(path) for path in paths]})
    else:
        note(f"written: {', '.join(map(str, paths))}")
    return OK
