"""template('x.j2', name=value): Jinja files, rendered by minijinja with the given values and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import minijinja

from engine.pipeline.expression.errors import Complaint, did_you_mean
from engine.pipeline.expression.secret import has_secret
from engine.pipeline.expression.values import Frame, refused_secret

FUEL = 100_000  # minijinja's units of work; also bounds what it produces


def compile_file(path: str, content: str, names: Iterable[str]) -> Callable[..., str]:
    """A function that renders the file. Complaint if its syntax is wrong or it asks for a value that is not given."""
    environment = minijinja.Environment(fuel=FUEL, undefined_behavior="strict", pycompat=False, debug=False)
    try:
        environment.add_template(path, content)
        wanted = environment.undeclared_variables_in_str(content)
    except minijinja.TemplateError as error:
        raise Complaint(f"{path}:{error.line or 1}: {error.detail or error.kind}", code="E213") from None
    given = set(names)
    for name in sorted(wanted - given - set(environment.globals) - BUILT_IN):
        hint = did_you_mean(name, given, f"write `template('{path}', {name}=...)`")
        raise Complaint(f"{path} uses `{name}`, which is not given", hint, "E213")

    def render(frame: Frame, _path: str, **values: Any) -> str:
        if has_secret(values):
            raise refused_secret()
        try:
            return frame.text(environment.render_template(path, **{key: _freeze(item) for key, item in values.items()}))
        except minijinja.TemplateError as error:
            raise Complaint(f"{path}:{error.line or 1}: {error.detail or error.kind}", code="E227") from None
        except Complaint:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a value's own operations raise
            raise Complaint(f"{path}: {error}", code="E227") from None

    return render


BUILT_IN = frozenset({"range", "dict", "namespace", "cycler", "joiner", "debug", "loop", "self", "super"})


def _freeze(value: Any) -> Any:
    """A read-only view: templates could otherwise change the data of the run."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: _freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_freeze(item) for item in value)
    return value
