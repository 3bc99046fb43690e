"""Line 5: docs/LAW.md is generated; every rule that counts as kept names code and a test that exist and are run."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hub.access.law import as_markdown, check

ROOT = Path(__file__).parents[2]
REGISTER: dict[str, Any] = tomllib.loads((ROOT / "hub/access/law.toml").read_text(encoding="utf-8"))


def test_the_committed_register_is_the_generated_one() -> None:
    assert (ROOT / "docs/LAW.md").read_text(encoding="utf-8") == as_markdown(), "run: make generated"


def test_no_kept_rule_rests_on_a_test_that_is_skipped() -> None:
    for row in REGISTER["kept"]:
        for test in row["tests"]:
            path, _, name = test.partition("::")
            text = (ROOT / path).read_text(encoding="utf-8").replace("# fmt: skip", "")
            assert "pytestmark" not in text or "skip" not in text, test
            above = text[: text.index(f"def {name}(")].rsplit("\n\n\n", 1)[-1]
            assert not re.search(r"mark\.(skip|xfail)", above), test


def test_a_test_that_is_renamed_away_fails_the_check(tmp_path: Path) -> None:
    """The check is of this repository: with one file of tests gone, it names the row."""
    row = REGISTER["kept"][0]
    for path in (*row["code"], *(test.partition("::")[0] for test in row["tests"])):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
    small = {"kept": [row], "not_yet": [], "outside": [], "open_rows": 0}
    check(small, tmp_path)
    path, _, name = row["tests"][0].partition("::")
    text = (tmp_path / path).read_text(encoding="utf-8")
    (tmp_path / path).write_text(text.replace(f"def {name}(", f"def {name}_renamed("), encoding="utf-8")
    with pytest.raises(LookupError, match=re.escape(row["article"])):
        check(small, tmp_path)


def test_what_is_not_kept_yet_is_listed_with_what_is_missing() -> None:
    text = as_markdown()
    for row in REGISTER["not_yet"]:
        assert row["missing"] in text
    assert len(REGISTER["not_yet"]) == REGISTER["open_rows"]
    assert len(REGISTER["kept"]) > 60
