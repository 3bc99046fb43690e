"""Rules of the code base that no linter checks."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_MAX_FILE = 500
_MAX_FUNCTION = 70
_DRAWERS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "misc",
    "common",
    "manager",
    "managers",
    "base",
    "core_utils",
    "tools",
}
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_NAMED = re.compile(r"https?://|(?:^|\s)(?:--index-url|--extra-index-url|--find-links|-i|-f)\b|file:")


def _tracked() -> list[Path]:
    """Every file of the repository that is not ignored."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for line in done.stdout.splitlines() if (path := ROOT / line).is_file()]


def _python(*folders: str) -> list[Path]:
    return [path for path in _tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def test_no_file_is_too_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in _python("hub", "tests", "bench")}
    assert lengths
    assert {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > _MAX_FILE} == {}


def test_no_function_is_too_long() -> None:
    long: list[str] = []
    for path in _python("hub", "tests", "bench"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > _MAX_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({length})")
    assert long == []


def test_no_file_is_named_like_a_drawer() -> None:
    assert [str(path) for path in _python("hub") if path.stem in _DRAWERS or path.parent.name in _DRAWERS] == []


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in _python("hub", "bench")
        if (match := _UNFINISHED.search(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize("name", ["build", "hub", "dev"])
def test_lock_file_is_hashed_complete_and_names_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert _NAMED.search(text) is None
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert all("==" in entry.split("\n")[0] and "--hash=sha256:" in entry for entry in entries)
    locked = {re.split(r"[\[=]", entry)[0].lower().replace("_", "-") for entry in entries}
    wanted = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    names = {re.split(r"[\[=<>]", line)[0].strip().lower() for line in wanted if line and line[0] not in "-#"}
    assert names <= locked


def test_only_flows_and_above_join_capabilities() -> None:
    """The floors contract must stay exhaustive, so that no undeclared package can appear."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "exhaustive = true" in text
    assert "exhaustive_ignores" not in text
    assert "ignore_imports" not in text
