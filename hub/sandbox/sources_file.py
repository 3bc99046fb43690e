"""Writes the ``sources.toml`` with which ``hub pull`` reads the sandbox (docs/CONTRACTS.md 2.1)."""

from pathlib import Path
from typing import Any


def write_sources(path: Path, sources: dict[str, dict[str, Any]]) -> None:
    """Write one table per source; values are text, whole numbers or switches."""
    lines = ["version = 1"]
    for name, table in sources.items():
        lines += ["", f"[sources.{name}]"]
        lines += [f"{key} = {_literal(value)}" for key, value in table.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else f'"{value}"'
