"""hookwright send: a signed sample delivery to ourselves."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from engine.cli.client import Connection, connect
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import FAINT, Json, clean, note, paint, print_json, say


def send(
    provider: str,
    event: str = "",
    /,
    *,
    file: Annotated[Path | None, Parameter(name=["--file", "-f"])] = None,
    path: str | None = None,
    content_type: str | None = None,
    show: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Post a sample delivery, signed with the configured secret, to a running Hookwright.

    Reads the pipelines and the secrets from here, so use it where `hookwright up` runs. Exit code 1 if it was refused.

    Examples: `hookwright send github issues.opened`, `hookwright send webhook --path inbox --file body.json`

    Parameters
    ----------
    provider
        Who seems to send it: github, stripe, ... or webhook; also a pipeline's id or a trigger's.
    event
        Which event, e.g. issues.opened. Default: the provider's first sample.
    file
        Body to send instead of the sample; `-` reads standard input.
    path
        Path below /hooks/, if several triggers of the provider exist.
    content_type
        Content type of the body. Default: the sample's, else application/json.
    show
        Print an equivalent curl command instead of sending.
    """
    from engine.cli.samples import load_bindings, make_sample
    from engine.settings import load_settings

    settings = load_settings(data_dir=(connection or Connection()).data_dir)
    body = None if file is None else _read(file)
    sample = make_sample(load_bindings(settings), provider, event, path=path, body=body, content_type=content_type)
    with connect(connection) as client:
        if show:
            kept = str(file) if file is not None and str(file) != "-" else str(keep_body(settings.data_dir, sample))
            command = sample.curl(client.url, kept)
            if json:
                print_json({"curl": command, "path": sample.path, "headers": sample.headers, "body_file": kept})
            else:
                say(command)
            return OK
        answer = client.send("POST", f"/hooks/{sample.path}", content=sample.body, headers=sample.headers)
    return _tell(answer, sample.path, client.url, json=json)


def example() -> int:
    """Print what a newcomer may try: a `send` and the same as curl, for the first webhook there is."""
    from engine.cli.samples import first_sample, load_bindings
    from engine.settings import load_settings

    settings = load_settings()
    sample = first_sample(load_bindings(settings))
    if sample is None:
        return FAILED
    say(f"{_program()} send {sample.provider} {sample.event}".rstrip())
    say("or the same with curl:")
    say(sample.curl(settings.url, str(keep_body(settings.data_dir, sample))))
    return OK


def _program() -> str:
    """How to call us from this directory: by name if that finds us, else by the shortest path."""
    import os
    import shutil

    ours = Path(sys.executable).with_name("hookwright")
    found = shutil.which("hookwright")
    if found is not None and (not ours.exists() or Path(found).samefile(ours)):
        return "hookwright"
    near = os.path.relpath(ours)
    return str(ours) if near.startswith("..") else near


def keep_body(data_dir: Path, sample: Any) -> Path:
    """Write a sample's body where curl can read it."""
    folder = data_dir / "samples"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{sample.provider}-{sample.event or 'body'}".replace("/", "-")
    (folder / name).write_bytes(sample.body)
    return folder / name


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"--file {file}: {error.strerror}") from None


def _tell(answer: Any, path: str, url: str, *, json: bool) -> int:
    import msgspec

    try:
        content = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        content = answer.text
    if json:
        print_json({"status": answer.status_code, "answer": content})
        return OK if answer.is_success else FAILED
    say(f"{answer.status_code} {answer.reason_phrase}  {paint(f'POST /hooks/{path}', FAINT)}")
    if not isinstance(content, dict):
        say(clean(content)) if content else None
    elif answer.is_success:
        repeat = "  (a repeat: the first one's answer)" if content.get("duplicate") else ""
        say(f"event {clean(content.get('event_id'))}{repeat}")
        for item in content.get("runs", ()):
            page = f"{url}/runs/{clean(item.get('id'))}"
            say(f"run   {clean(item.get('id'))}  {clean(item.get('pipeline'))}  {paint(page, FAINT)}")
        if not content.get("runs"):
            note("No trigger matched; `hookwright events show` with this event says why.")
    else:
        say(clean(content.get("detail") or content.get("title") or content))
    return OK if answer.is_success else FAILED
