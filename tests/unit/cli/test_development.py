"""What `up` makes up for development, and what it leaves to its owner."""

import stat
from pathlib import Path

import pytest

from engine.cli.development import invent_secrets, missing_secrets, needs_ai_stand_in
from engine.settings import load_secrets

PIPELINE = """
id: x
# secrets.IN_A_COMMENT does not count
triggers:
  - uses: webhook
    with: {path: x, auth: {bearer: {token: "${{ secrets.HOOK_PASSWORD }}"}}}
steps:
  - uses: notify.webhook
    with:
      secret: ${{ secrets.PARTNER_SECRET }}
      headers: {x: "Bearer ${{ secrets.STRIPE_KEY }} ${{ secrets.KNOWN_SECRET }}"}
"""


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    """A directory with one good and one broken file."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "x.yaml").write_text(PIPELINE)
    (folder / "broken.yaml").write_text("id: [\n")
    return folder


def test_only_shared_secrets_are_made_up(pipelines: Path, tmp_path: Path) -> None:
    """What a trigger uses and what is called a secret; a key that somebody else gives out is not."""
    file = tmp_path / "secrets.env"
    file.write_text("KNOWN_SECRET=known\n")
    assert missing_secrets(pipelines, {}, file) == (["HOOK_PASSWORD", "PARTNER_SECRET"], ["STRIPE_KEY"])
    set_elsewhere = {"HOOKWRIGHT_SECRET_HOOK_PASSWORD": "a", "HOOKWRIGHT_SECRET_STRIPE_KEY": "b"}
    assert missing_secrets(pipelines, set_elsewhere, file) == (["PARTNER_SECRET"], [])


def test_made_up_values_are_random_private_and_added(tmp_path: Path) -> None:
    """The file keeps what it has; nobody else may read it; each value is different and fits Standard Webhooks."""
    file = tmp_path / "secrets.env"
    file.write_text("OLD=1\n")
    file.chmod(0o644)
    invent_secrets(["A", "B"], file)
    found = load_secrets({}, file)
    assert found["OLD"] == "1"
    assert found["A"] != found["B"]
    assert all(found[name].startswith("whsec_") for name in "AB")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("environment", "needed"),
    [
        ({}, True),
        ({"OPENAI_API_KEY": "k"}, False),
        ({"HOOKWRIGHT_AI_API_KEY": "k"}, False),
        ({"OPENAI_BASE_URL": "u"}, False),
        ({"HOOKWRIGHT_AI_BASE_URL": ""}, True),
    ],
)
def test_the_stand_in_never_replaces_a_provider(environment: dict[str, str], needed: bool) -> None:
    """A key or a base URL is enough to leave the stand-in out."""
    assert needs_ai_stand_in(environment) is needed
