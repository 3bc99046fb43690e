"""Tells the story on standard output, and keeps count of what did not come out as told."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table


class Narrator:
    """Prints headings, sentences and tables; :meth:`expect` checks each claim before it is printed."""

    def __init__(self) -> None:
        plain = Console(highlight=False)
        # Without a terminal rich assumes 80 columns, too few for the tables.
        self.console = plain if plain.is_terminal else Console(highlight=False, width=140)
        self.failures = 0
        self._step = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._step += 1
        self.console.print(f"\n[bold]{self._step}. {title}[/bold]")

    def say(self, sentence: str) -> None:
        """One plain sentence."""
        self.console.print(f"   {sentence}", markup=False)

    def expect(self, holds: bool, sentence: str) -> None:
        """A claim: printed with a mark, and counted as a failure if it does not hold."""
        if holds:
            self.console.print(f"   [green]✓[/green] {sentence}")
        else:
            self.failures += 1
            self.console.print(f"   [red]✗ not as told:[/red] {sentence}")

    def show(self, value: Any) -> None:
        """A value as JSON, one line per member of the outermost object."""
        for name, item in value.items():
            self.console.print(f"     {name}: {json.dumps(item, ensure_ascii=False)}", markup=False)

    def table(self, columns: list[str], rows: list[list[str]]) -> None:
        """A table; numbers to the right."""
        table = Table(box=None, padding=(0, 1, 0, 3))
        for column in columns:
            numeric = bool(rows) and rows[0][columns.index(column)].replace(",", "").isdigit()
            table.add_column(column, justify="right" if numeric else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)
