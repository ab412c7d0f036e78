"""hookwright version"""

from engine import __version__
from engine.cli.output import Json, print_json, say


def version(*, json: Json = False) -> None:
    """Print the version.

    Example: `hookwright version --json`
    """
    import platform

    if json:
        print_json({"hookwright": __version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        say(f"hookwright {__version__} (Python {platform.python_version()})")
