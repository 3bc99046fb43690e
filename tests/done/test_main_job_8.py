"""Line 8: the README alone is enough. Its commands are run as they stand, its answers compared with the real ones."""

import asyncio
import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.access.compile import Need, compile_rules
from hub.access.rules import POLICY_FOLDER, RuleSet
from hub.core.disclosure import Part
from hub.core.fields import FIELDS
from hub.core.names import Category, Form, Purpose, Role
from hub.store.server import EmbeddedServer
from tests.done.readme import ROOT, DemoRunning, Ran, agrees, as_json, blocks, curl_and_bash, pattern, run_all, shown

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
HOUSEHOLDS = 100


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory) -> Iterator[list[Ran]]:  # type: ignore[no-untyped-def]
    """What came of every block, run beside a demo that serves."""
    if missing := curl_and_bash():
        pytest.skip(f"the README cannot be run: {', '.join(missing)} is missing on this machine")
    folder = tmp_path_factory.mktemp("readme")
    demo = DemoRunning(folder, unused_tcp_port_factory(), HOUSEHOLDS)
    try:
        demo.wait_until_serving(120)
        ran = folder / "ran"
        ran.mkdir()
        found = run_all(BLOCKS, ran, demo.environment, seconds=240)
        assert demo.stop() == 0, "the demo ends cleanly on Ctrl-C"
        yield found
    finally:
        if demo.process.poll() is None:
            demo.stop()
        for place in folder.rglob("postgres"):
            asyncio.run(EmbeddedServer(place.parent).remove())
        shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.timeout(420)
@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=lambda number: f"line_{BLOCKS[number].line}")
def test_commands_of_the_readme_do_what_it_says(results: list[Ran], number: int) -> None:
    block, ran = BLOCKS[number], results[number]
    assert ran.code == 0, f"README line {block.line} failed or was not reached: {ran.out[-1500:]}{ran.err[-1500:]}"
    if block.kind == "json":
        assert agrees(as_json(block.answer), as_json(ran.out)), f"README line {block.line} got: {ran.out[:3000]}"
    elif block.kind == "text":
        assert pattern(block.answer).match(shown(ran.out)), f"README line {block.line} got: {ran.out[:3000]}"
    assert "Traceback" not in ran.err


def test_the_readme_has_commands_for_each_kind_of_user() -> None:
    commands = "\n".join(block.commands for block in BLOCKS)
    for wanted in (
        "hub sandbox token rcb-risk",
        "hub sandbox token borrower",
        "hub sandbox token regulator",
        'ask "$BANK" profile.graphql',
        'ask "$RESIDENT" grant.graphql',
        'ask "$RESIDENT" withdraw.graphql',
        'ask "$RESIDENT" history.graphql',
        'ask "$REGULATOR" events.graphql',
        "hub audit verify",
        "hub pull",
        "hub doctor",
    ):
        assert wanted in commands
    unanswered = [block.line for block in BLOCKS if block.kind is None]
    assert len(unanswered) <= 2, f"the page shows no answer to the commands of lines {unanswered}"


def test_no_place_is_named_that_is_not_there() -> None:
    named = PAGE + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = {
        path
        for path in re.findall(r"`((?:hub|docs|tests|deploy|bench)/[\w./-]+)`", named)
        if not re.search("NAME|000N", path)
    }
    assert {"hub/core", "tests/done", "docs/adr", "hub/core/fields.py"} <= paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_named_field_is_decided_by_the_named_rule() -> None:
    """The worked example: field -> part -> rule -> line of the matrix, and no grade without that very rule."""
    field = FIELDS["TaxSection.grades"]
    assert (field.place, field.part) == ("tax.grades", Part(Category.TAX_GRADE, Form.VALUE))
    assert "`TaxSection.grades` is `tax.grade` as `VALUE`" in PAGE
    with (ROOT / "docs/ACCESS-MATRIX.csv").open(encoding="utf-8", newline="") as file:
        lines = {
            row["purpose"]: row
            for row in csv.DictReader(file)
            if (row["role"], row["category"], row["form"]) == ("BANK_RISK", "tax.grade", "VALUE")
        }
    line = lines["LOAN_APPLICATION"]
    assert (line["decision"], line["permits"]) == ("OPEN", "lender-tax-grade")
    assert line["needs"].split() == ["basis:basis-lender", "area:area", "adult:adult"]
    assert "POST_LOAN_REVIEW" not in lines, "what no line names is closed by the line of all other purposes"
    assert lines["*"]["decision"] == "PURPOSE_MISMATCH"

    texts = {path.name: path.read_text(encoding="utf-8") for path in POLICY_FOLDER.glob("*.cedar")}
    schema = (POLICY_FOLDER / "hub.cedarschema").read_text(encoding="utf-8")
    cell = _cell(RuleSet(schema, texts))
    assert cell.closed is None
    assert cell.needs == {Need.BASIS, Need.AREA, Need.ADULT}
    without_permit = texts | {"lenders.cedar": _without(texts["lenders.cedar"], "lender-tax-grade")}
    assert _cell(RuleSet(schema, without_permit)).closed is not None
    without_limit = texts | {"limits.cedar": _without(texts["limits.cedar"], "basis-lender")}
    assert Need.BASIS not in _cell(RuleSet(schema, without_limit)).needs


def _cell(rules: RuleSet):  # type: ignore[no-untyped-def]
    (found,) = [
        cell
        for cell in compile_rules(rules).cells
        if (cell.role, cell.purpose, cell.part)
        == (Role.BANK_RISK, Purpose.LOAN_APPLICATION, Part(Category.TAX_GRADE, Form.VALUE))
    ]
    return found


def _without(text: str, rule: str) -> str:
    """The policy file without one rule."""
    shorter = re.sub(rf'@id\("{rule}"\).*?;\n', "", text, count=1, flags=re.DOTALL)
    assert shorter != text
    return shorter


def test_the_comparison_finds_differences() -> None:
    assert agrees({"a": "…", "b": [1, "…"]}, {"a": 0, "b": [1, 2, 3], "c": 4})
    assert not agrees({"a": "…"}, {"a": None})
    assert not agrees({"a": None}, {"a": 1})
    assert not agrees([1], [1, 2])
    assert not agrees({"a": 1}, {"a": True})
    assert pattern("a … c\n…\nlast").match(shown("a   b c\nx\ny\nlast\n"))
    assert not pattern("a … c\nlast").match(shown("a b c\nx\nlast\n"))
    assert not pattern("a").match(shown("a\nb\n"))


def test_every_link_of_the_papers_resolves() -> None:
    broken = []
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            file = page if not path else page.parent / path
            if "://" in target or not file.exists() or (anchor and anchor not in _anchors(file)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as repository viewers make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
