"""The register of law: article, rule, code, test. Data in ``law.toml``, printed as docs/LAW.md.

A rule counts as kept only while its code and its test exist: a test that is renamed or deleted makes ``make check``
fail, and so does a row without one. What is not kept yet is listed with what is missing, and counted, so that nothing
moves there
unnoticed.
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_REGISTER = Path(__file__).parent / "law.toml"
_REPOSITORY = Path(__file__).parents[2]

_HEAD = """# Register of law

Written by `make generated` from `hub/access/law.toml`; change it there. For every article that asks something of the
hub: the rule in our own words, the code that keeps it, and the test that fails when it does not. Nothing here is legal
advice; which article applies to an operator is for counsel to say (`HUB_LEGAL_MODE`, [LEGAL-MODES.md](LEGAL-MODES.md)).
"""


def as_markdown() -> str:
    """The text of docs/LAW.md. Raises :class:`LookupError` for a row that is not borne out by the repository."""
    register = tomllib.loads(_REGISTER.read_text(encoding="utf-8"))
    check(register, _REPOSITORY)
    kept, waiting, outside = register["kept"], register["not_yet"], register["outside"]
    lines = [
        _HEAD,
        f"{len(kept)} rules are kept, {len(waiting)} are not yet, {len(outside)} ask nothing of a program.",
        "",
    ]
    lines += ["## Kept", "", "| law | article | rule | code | test |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['law']} | {row['article']} | {row['rule']} | {_paths(row['code'])} | {_paths(row['tests'])} |"
        for row in kept
    ]
    lines += ["", "## Not yet", "", "| law | article | rule | missing |", "|---|---|---|---|"]
    lines += [f"| {row['law']} | {row['article']} | {row['rule']} | {row['missing']} |" for row in waiting]
    lines += ["", "## No behaviour of the hub", "", "| law | article | rule | why |", "|---|---|---|---|"]
    lines += [f"| {row['law']} | {row['article']} | {row['rule']} | {row['why']} |" for row in outside]
    return "\n".join(lines) + "\n"


def check(register: dict[str, Any], repository: Path) -> None:
    """Raise :class:`LookupError` naming the first row without code or test, or with one that does not exist."""
    for row in register["kept"]:
        name = f"{row['law']} {row['article']}"
        if not row["code"] or not row["tests"]:
            raise LookupError(f"{name} names no code or no test")
        for path in row["code"]:
            if not (repository / path).is_file():
                raise LookupError(f"{name} names {path}, which does not exist")
        for test in row["tests"]:
            path, _, function = test.partition("::")
            if not _has_test(repository / path, function):
                raise LookupError(f"{name} names {test}, which does not exist")
    waiting = register["not_yet"]
    if len(waiting) != register["open_rows"]:
        raise LookupError(f"{len(waiting)} rules are not kept yet, but open_rows says {register['open_rows']}")
    for row in waiting:
        if not row["missing"]:
            raise LookupError(f"{row['law']} {row['article']} does not say what is missing")


def _has_test(path: Path, function: str) -> bool:
    if not path.is_file() or not function:
        return False
    return (
        re.search(rf"^(async )?def {re.escape(function)}\(", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    )


def _paths(names: Iterable[str]) -> str:
    return "<br>".join(f"`{name}`" for name in names)
