"""docs/reference.md says what the tables say, and every example in it is a working piece of a pipeline."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.pipeline.check import check_files, format_problem
from engine.pipeline.grammar.examples import EXAMPLES
from engine.pipeline.grammar.steps import SECTIONS
from engine.pipeline.reference import language_reference
from engine.plugin.host import load_catalog

PAGE = Path(__file__).parents[3] / "docs" / "reference.md"
WEBHOOK = {"uses": "webhook", "with": {"path": "examples", "auth": "none"}}
REQUEST = {"uses": "http.request", "with": {"url": "https://shop.example.com"}}
BODIES = {"steps", "parallel", "switch", "wait"}
COMPANIONS: dict[tuple[str, str], dict[str, Any]] = {  # what an example cannot stand without
    ("pipeline", "inputs"): {"triggers": []},
    ("debounce", "key"): {"period": "1m"},
    ("debounce", "max_wait"): {"period": "1m"},
    ("batch", "key"): {"max_size": 10},
    ("rate_limit", "*"): {"limit": 10, "period": "1m"},
    ("case", "if"): {"steps": [{"uses": "value", "with": 1}]},
    ("case", "steps"): {"if": "inputs.title == 'a'"},
    ("for_each", "*"): {"items": "${{ [1, 2] }}"},
    ("repeat", "*"): {"until": "result.status == 200"},
    ("cache", "key"): {"ttl": "1h"},
    ("approval", "*"): {"prompt": "Sure?"},
    ("wait", "timeout"): {"events": [{"source": "stripe"}]},
    ("wait", "on_timeout"): {"events": [{"source": "stripe"}], "timeout": "1h"},
    ("wait", "on_reject"): {"approval": {"prompt": "Sure?"}, "timeout": "1h"},
    ("wait", "since"): {"events": [{"source": "stripe"}], "timeout": "1h"},
    ("respond", "*"): {"mode": "sync"},
    ("step", "uses"): {"with": {"url": "https://shop.example.com"}},
    ("step", "on_unknown"): {"uses": "notify.slack", "with": {"webhook_url": "https://hooks.slack.com/x", "text": "a"}},
    ("connection", "with"): {"uses": "postgres"},
}


def pipeline(**keys: Any) -> dict[str, Any]:
    """A pipeline around a piece."""
    made = {"id": "made", "uses": "value", "with": {"greeting": "hello"}}
    base = {"id": "example", "triggers": [WEBHOOK], "inputs": {"title": {"type": "string", "default": "a"}}}
    return {**base, "steps": [made], **keys}


def around(section: str, piece: dict[str, Any]) -> dict[str, Any]:
    """The piece where it belongs."""
    step = {**REQUEST, section: piece}
    places: dict[str, Any] = {
        "pipeline": pipeline(**piece),
        "trigger": pipeline(triggers=[{**WEBHOOK, **piece}], inputs={"title": {"type": "string", "default": "a"}}),
        "dedup": pipeline(triggers=[{**WEBHOOK, "dedup": piece}]),
        "debounce": pipeline(triggers=[{**WEBHOOK, "debounce": piece}]),
        "batch": pipeline(triggers=[{**WEBHOOK, "batch": piece}]),
        "respond": pipeline(triggers=[{**WEBHOOK, "respond": piece}]),
        "defaults": pipeline(defaults={"http.request": piece}, steps=[REQUEST]),
        "step": pipeline(steps=[{**({} if BODIES & piece.keys() else REQUEST), **piece}]),
        "case": pipeline(steps=[{"switch": [{"if": "inputs.title == 'x'", "steps": [REQUEST]}, piece]}]),
        "wait": pipeline(steps=[{"wait": piece}]),
        "wait_event": pipeline(steps=[{"wait": {"timeout": "1h", "events": [piece]}}]),
        "approval": pipeline(steps=[{"wait": {"timeout": "1h", "approval": piece}}]),
    }
    return places.get(section) or pipeline(steps=[step])


@pytest.mark.parametrize(("section", "key"), [(section, key) for section in SECTIONS for key in SECTIONS[section].keys])
def test_every_key_has_an_example_that_works(section: str, key: str, tmp_path: Path) -> None:
    """Checked within a whole pipeline, or as project.yaml."""
    piece = yaml.safe_load(EXAMPLES[section][key])
    assert list(piece) == [key]
    extra = COMPANIONS.get((section, key), COMPANIONS.get((section, "*"), {}))
    piece = {**{name: value for name, value in extra.items() if name != key}, **piece}
    (tmp_path / "pipelines").mkdir()
    data = around(section, piece)
    within = {"project": piece, "connection": {"connections": {"warehouse": piece}}, "queue": {"queues": {"ai": piece}}}
    if section in within:
        whole = within[section]
        (tmp_path / "project.yaml").write_text(yaml.safe_dump(whole))
        data = pipeline()
    path = tmp_path / "pipelines" / "example.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    report = check_files([path], load_catalog().catalog, root=tmp_path)
    errors = [problem for problem in report.problems if problem.severity == "error"]
    assert not errors, "\n".join(map(format_problem, errors)) + path.read_text()


def test_the_page_is_up_to_date() -> None:
    """Generated, not written."""
    assert PAGE.read_text() == language_reference(), "run: python -m engine.pipeline.reference > docs/reference.md"
