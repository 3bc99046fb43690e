"""The rules of precedence as data: read, refused where they are not in order, and fixed once they were in force."""

from pathlib import Path

import asyncpg
import pytest

from hub.core.errors import SettingsError
from hub.core.names import Attribute, ChallengeCause
from hub.flows.rules.load_precedence import load_precedence
from hub.records.folding.fold import FOLD_VERSION
from hub.records.folding.precedence import FILE, precedence, read_precedence
from hub.records.folding.precedence_store import check_precedence
from hub.records.folding.statements import CARRIED
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

TEXT = FILE.read_text(encoding="utf-8")

IN_FORCE = {
    2: {
        "membership@1": "5b6835ed2759",
        "name@1": "1ef645464326",
        "employment@1": "763c34fec6a8",
        "income@1": "0b82c43a41d1",
        "arrears@1": "1300142280e2",
        "life@1": "ca4284d49724",
    }
}
"""Version of the fold -> first twelve digits of the digests of the rules by which it and later ones write."""


def test_a_change_of_the_rules_is_a_new_version_of_the_rule_and_of_the_fold() -> None:
    newest = {f"{rule.attribute}@{rule.version}": rule.digest.hex()[:12] for rule in precedence().newest.values()}
    assert max(IN_FORCE) <= FOLD_VERSION
    assert newest == IN_FORCE[max(IN_FORCE)], "add a version to precedence.toml, and raise FOLD_VERSION"
    held = {f"{attribute}@{version}" for attribute, version in precedence().versions}
    assert held >= {name for names in IN_FORCE.values() for name in names}, "a rule that was in force is never removed"


def test_every_attribute_is_stated_by_some_section_or_only_shown_as_a_conflict() -> None:
    carried = frozenset[Attribute]().union(*CARRIED.values())
    assert carried == set(Attribute) - {Attribute.LIFE}


def test_relief_and_what_tax_says_of_income_are_never_challenged() -> None:
    assert precedence().newest[Attribute.INCOME].challenge == frozenset()
    assert ChallengeCause.LOST not in precedence().newest[Attribute.ARREARS].challenge


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("answer_days = 20", "answer_days = 0", "answer_days"),
        ("answer_days = 20", "answer_days = 20\nfurther = 1", "nothing else"),
        ("answer_days = 20", "answer_days = = 20", "cannot be read"),
        ('attribute = "name"', 'attribute = "nick"', "not known"),
        ('attribute = "name"\nversion = 1', 'attribute = "name"\nversion = 2', "versions 1, 2, 3"),
        ('attribute = "name"', 'attribute = "income"', "versions 1, 2, 3"),
        ('order = ["LEGAL"]', 'order = ["LEGAL", "LEGAL"]', "order of criteria"),
        ('order = ["LEGAL"]', "order = []", "order of criteria"),
        ('order = ["LEGAL"]', 'order = ["TASTE"]', "not known"),
        ('law = "户口登记条例 art. 8"', 'law = ""', "lacks its version"),
        ('law = "户口登记条例 art. 8"', "", "differs in the keys law"),
        ('kind = "operator"', 'kind = "employee"', "each kind once"),
        ('["employee", "resident"]', '["employee", "resident", "operator"]', "pairs of its kinds"),
        ('["employee", "resident"]', '["employee", "nobody"]', "pairs of its kinds"),
        ("stale_after = 400", "stale_after = 0", "number of days"),
        ("rank = 4", "rank = 0", "a rank from 1"),
        ('dated = "VALID_FROM"', 'dated = "TODAY"', "a date of"),
        ('verification = "STATED"', 'verification = "GUESSED"', "not known"),
        ("rank = 4", "rank = 4\nweight = 2", "other keys"),
    ],
)
def test_rules_that_are_not_in_order_are_refused(old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(SettingsError, match=says) as refused:
        read_precedence(TEXT.replace(old, new, 1))
    assert refused.value.code == "PRECEDENCE"


async def test_rules_are_published_once_signed_and_recorded(database: Database, keys: FileKeys, tmp_path: Path) -> None:
    names = [f"{attribute}@{version}" for attribute, version in precedence().versions]
    assert await load_precedence(database, keys, tmp_path) == names
    assert await load_precedence(database, keys, tmp_path) == []
    owner = await database.connect(DbRole.OWNER)
    try:
        assert await owner.fetchval("SELECT count(*) FROM record.precedence_rule") == len(names)
        recorded = "SELECT (SELECT count(*) FROM audit.pending) + (SELECT count(*) FROM audit.entry)"
        assert await owner.fetchval(recorded) == 1
        await check_precedence(owner, keys)
        for change in ("UPDATE record.precedence_rule SET body = ''", "DELETE FROM record.precedence_rule"):
            with pytest.raises(asyncpg.PostgresError, match="never changed"):
                await owner.execute(change)
    finally:
        await owner.close()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE record.precedence_rule SET signature = decode(repeat('00', 64), 'hex') WHERE attribute = 'name'",
        "UPDATE record.precedence_rule SET body = replace(body, 'rank', 'tier'),"
        " digest = sha256(convert_to(replace(body, 'rank', 'tier'), 'UTF8')) WHERE attribute = 'name'",
    ],
)
async def test_a_rule_that_means_something_else_is_noticed(
    database: Database, keys: FileKeys, tmp_path: Path, tampering: str
) -> None:
    await load_precedence(database, keys, tmp_path)
    owner = await database.connect(DbRole.OWNER)
    try:
        await owner.execute("ALTER TABLE record.precedence_rule DISABLE TRIGGER ALL")
        await owner.execute(tampering)
        with pytest.raises(SettingsError, match="name@1") as refused:
            await check_precedence(owner, keys)
        assert refused.value.code == "PRECEDENCE_DIFFERS"
    finally:
        await owner.close()
