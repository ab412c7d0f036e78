"""The root command: what exists, how errors are told, which exit code they get."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group

from engine.cli import (
    approvals,
    audit,
    check,
    deploy,
    development,
    doctor,
    evaluate,
    events,
    explain,
    fmt,
    graph,
    init,
    lsp,
    pause,
    plugins,
    replay,
    runs,
    schema,
    send,
    serve,
    test,
    tokens,
    up,
    version,
    why,
)
from engine.cli.exits import FAILED, INTERRUPTED, OK, SETUP, USAGE, WrongUsage
from engine.errors import ConfigurationError, HookwrightError, Unavailable

EPILOGUE = """
Exit codes: 0 it worked, 1 it failed (the run, the check, the delivery), 2 wrong usage, 3 cannot reach Hookwright or its
databases, or the configuration is wrong. HOOKWRIGHT_DEBUG=1 shows the traceback of an error.
"""

START = Group("Start", sort_key=1)
WRITE = Group("Write pipelines", sort_key=2)
WATCH = Group("Watch and act", sort_key=3)
KEEP = Group("Look after it", sort_key=4)


def create_app() -> App:
    """The whole command line as one cyclopts App."""
    app = App(
        name="hookwright",
        help="Receive webhooks, record them durably, run YAML pipelines.",
        help_epilogue=EPILOGUE,
        help_format="markdown",
        version_flags=[],
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    app.command(up.up, group=START, sort_key=1)
    app.command(serve.api, group=START, sort_key=2)
    app.command(serve.worker, group=START, sort_key=3)
    app.command(serve.migrate, group=START, sort_key=4)
    app.command(check.check, group=WRITE)
    app.command(explain.explain, group=WRITE)
    app.command(graph.graph, group=WRITE)
    app.command(init.init, group=WRITE)
    app.command(evaluate.evaluate, name="eval", group=WRITE)
    app.command(fmt.fmt, group=WRITE)
    app.command(schema.schema, group=WRITE)
    app.command(lsp.lsp, group=WRITE)
    _add(app, test.create_group(), WRITE)
    _add(app, plugins.create_group(), WRITE)
    app.command(development.dev_ai, name="dev-ai", group=WRITE)
    app.command(send.send, group=WATCH)
    _add(app, runs.create_run_group(), WATCH)
    _add(app, runs.create_group(), WATCH)
    _add(app, events.create_group(), WATCH)
    app.command(pause.pause, group=WATCH)
    app.command(pause.resume, group=WATCH)
    app.command(pause.paused, group=WATCH)
    app.command(replay.replay, group=WATCH)
    app.command(approvals.approvals, group=WATCH)
    app.command(approvals.approve, group=WATCH)
    app.command(approvals.reject, group=WATCH)
    app.command(audit.audit, group=WATCH)
    app.command(deploy.deploy, group=KEEP)
    _add(app, deploy.create_group(), KEEP)
    _add(app, why.create_group(), WATCH)
    _add(app, tokens.create_group(), KEEP)
    app.command(doctor.doctor, group=KEEP)
    app.command(version.version, group=KEEP)
    app.command(send.example, name="_example", show=False)
    app["--help"].group = KEEP
    return app


def _add(app: App, group: App, section: Group) -> None:
    group.group = (section,)
    app.command(group)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    debug = os.environ.get("HOOKWRIGHT_DEBUG", "") not in ("", "0")
    try:
        code = create_app()(list(arguments))
        sys.stdout.flush()
    except CycloptsError as error:
        return _tell(
            str(error).strip(), USAGE, hint="hookwright --help lists the commands; each command has --help too"
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except HookwrightError as error:
        if debug:
            raise
        codes = ((WrongUsage, USAGE), (ConfigurationError, SETUP), (Unavailable, SETUP))
        return _tell(str(error), next((code for kind, code in codes if isinstance(error, kind)), FAILED))
    except Exception as error:
        if debug:
            raise
        return _tell(f"{type(error).__name__}: {error}", FAILED, hint="HOOKWRIGHT_DEBUG=1 shows the traceback")
    return code if isinstance(code, int) else OK


def _tell(message: str, code: int, *, hint: str = "") -> int:
    from engine.cli.output import complain

    complain(message, hint=hint)
    return code
