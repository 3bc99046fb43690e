"""The command ``hub``: a table of commands, each in a module of its own that is imported only when it is called.

To add a command, write ``hub/cli/NAME.py`` with ``app: typer.Typer`` and add its line to :data:`COMMANDS`. A Typer with
one command and no callback becomes ``hub NAME``; one with several becomes ``hub NAME SUB``. Shared steps (settings, the
database, running a coroutine) are in hub/cli/session.py.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from hub.core.errors import HubError, InputError, SettingsError

COMMANDS = {
    "demo": "hub.cli.demo",
    "serve": "hub.cli.serve",
    "pull": "hub.cli.pull",
    "worker": "hub.cli.worker",
    "source": "hub.cli.source",
    "assessment": "hub.cli.assessment",
    "quarantine": "hub.cli.quarantine",
    "links": "hub.cli.links",
    "adverse": "hub.cli.adverse",
    "challenge": "hub.cli.challenge",
    "household": "hub.cli.household",
    "coverage": "hub.cli.coverage",
    "account": "hub.cli.account",
    "report": "hub.cli.report",
    "breach": "hub.cli.breach",
    "provision": "hub.cli.provision",
    "retention": "hub.cli.retention",
    "client": "hub.cli.client",
    "consent": "hub.cli.consent",
    "device": "hub.cli.device",
    "capture": "hub.cli.capture",
    "basis": "hub.cli.basis",
    "guardian": "hub.cli.guardian",
    "access": "hub.cli.access",
    "programme": "hub.cli.programme",
    "eligibility": "hub.cli.eligibility",
    "keys": "hub.cli.keys",
    "alerts": "hub.cli.alerts",
    "audit": "hub.cli.audit",
    "sandbox": "hub.cli.sandbox",
    "database": "hub.cli.database",
    "doctor": "hub.cli.doctor",
    "generated": "hub.cli.generated",
}
"""Name of the command -> module with its ``app``, in the order of ``hub --help``."""

FAILED = 1
"""Exit code: the work could not be done."""

MISUSED = 2
"""Exit code: the command line or a setting is wrong; nothing was done."""


def build(names: Iterable[str]) -> typer.Typer:
    """The application with the named commands only."""
    root = typer.Typer(
        name="hub",
        help="Credit Hub: household credit records from many agencies, disclosed field by field, provably recorded.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @root.callback()
    def _all() -> None:
        """Keeps a single command a subcommand."""

    for name in names:
        app: typer.Typer = importlib.import_module(COMMANDS[name]).app
        single = app.registered_commands[0].callback if len(app.registered_commands) == 1 else None
        if single is not None and app.registered_callback is None and not app.registered_groups:
            root.command(name)(single)
        else:
            root.add_typer(app, name=name)
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code; an error is one sentence on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = given[0] if given and given[0] in COMMANDS else None
    try:
        build([chosen] if chosen else _present())(given)
    except HubError as error:
        print(f"hub: {error}", file=sys.stderr)
        raise SystemExit(MISUSED if isinstance(error, SettingsError | InputError) else FAILED) from None
    except Exception as error:
        # The text of an unforeseen error may quote data: only its kind and place are told.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        print(f"hub: unforeseen {type(error).__name__} at {place}. Please report this line.", file=sys.stderr)
        raise SystemExit(FAILED) from None


def _present() -> list[str]:
    return [name for name, module in COMMANDS.items() if importlib.util.find_spec(module) is not None]
