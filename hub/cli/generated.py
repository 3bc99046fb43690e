"""``hub generated``: the files of the repository that are written by the code, and the check of them."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from hub.core.errors import SettingsError

FILES = {
    "docs/SETTINGS.md": "hub.settings:as_markdown",
    "docs/FIELDS.md": "hub.core.fields:as_markdown",
    "docs/PRECEDENCE.md": "hub.records.folding.precedence:as_markdown",
    "docs/ADVERSE-REGIMES.md": "hub.records.adverse_items.adverse:as_markdown",
    "docs/AUDIT-EVENTS.md": "hub.audit.events:as_markdown",
    "docs/ACCESS-MATRIX.csv": "hub.access.matrix:current",
    "docs/consent-batch.schema.json": "hub.consent.batch:json_schema",
    "docs/LEGAL-MODES.md": "hub.access.mode_differences:as_markdown",
    "docs/LAW.md": "hub.access.law:as_markdown",
    "hub/schema/schema.graphql": "hub.schema.schema:sdl",
}
"""Path in the repository -> ``module:function`` that returns its whole text."""

app = typer.Typer(help="Files written by the code.")


@app.command()
def generated(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if a file is out of date.")
    ] = False,
) -> None:
    """Write every generated file anew, from the root of the repository."""
    stale = [path for path, source in FILES.items() if _differs(Path(path), source, write=not check)]
    for path in stale:
        print(f"{path} is out of date: run `make generated`." if check else f"{path} was written.")
    if check and stale:
        raise typer.Exit(1)


def _differs(path: Path, source: str, *, write: bool) -> bool:
    module, function = source.split(":")
    try:
        text: str = getattr(importlib.import_module(module), function)()
    except LookupError as error:
        if type(error) is not LookupError:
            raise
        # Our own sentence on what is missing from one of the tables.
        raise SettingsError(f"{path} cannot be written: {error.args[0]}.") from error
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return True
