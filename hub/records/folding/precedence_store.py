"""The rules of precedence in the database: signed, insert-only, the same as the repository's.

Sections name a rule by attribute and version; here stands, for as long as the record does, what that meant.
"""

import asyncpg
from cryptography.exceptions import InvalidSignature

from hub.core.errors import SettingsError
from hub.records.folding.precedence import Rule, precedence
from hub.store.keys import KeyService

SIGNING_KEY = "rules"
_CONTEXT = b"hub/precedence-rule/v1\0"


async def publish_precedence(connection: asyncpg.Connection, keys: KeyService) -> list[str]:
    """Put the rules that are not there yet into the database; gives their names, such as ``income@1``.

    ``connection`` is one as owner, in a transaction. Raises :class:`SettingsError` if a rule that is there already
    differs: it must stay, and the change get a version of its own.
    """
    held = await _held(connection)
    published = []
    for rule in precedence().versions.values():
        if _key(rule) not in held:
            await connection.execute(
                """INSERT INTO record.precedence_rule (attribute, version, digest, body, signature)
                   VALUES ($1, $2, $3, $4, $5)""",
                rule.attribute.value,
                rule.version,
                rule.digest,
                rule.body,
                keys.signing_key(SIGNING_KEY).sign(_CONTEXT + rule.digest),
            )
            published.append(_name(rule))
        elif held[_key(rule)]["digest"] != rule.digest:
            raise _unequal(f"`{_name(rule)}` was published with other words")
    return published


async def check_precedence(connection: asyncpg.Connection, keys: KeyService) -> None:
    """Compare the published rules with the program's, one by one, and check the signatures.

    A rule that is not there yet is published by the next `hub serve`. Raises :class:`SettingsError` naming the first
    rule that means something else than it did.
    """
    held = await _held(connection)
    for rule in precedence().versions.values():
        record = held.get(_key(rule))
        if record is None:
            continue
        if (record["digest"], record["body"]) != (rule.digest, rule.body):
            raise _unequal(f"`{_name(rule)}` was published with other words")
        try:
            keys.signing_key(SIGNING_KEY).public_key().verify(record["signature"], _CONTEXT + rule.digest)
        except InvalidSignature:
            raise _unequal(f"`{_name(rule)}` is not signed by this hub") from None


async def _held(connection: asyncpg.Connection) -> dict[tuple[str, int], asyncpg.Record]:
    records = await connection.fetch("SELECT attribute, version, digest, body, signature FROM record.precedence_rule")
    return {(record["attribute"], record["version"]): record for record in records}


def _key(rule: Rule) -> tuple[str, int]:
    return rule.attribute.value, rule.version


def _name(rule: Rule) -> str:
    return f"{rule.attribute}@{rule.version}"


def _unequal(what: str) -> SettingsError:
    return SettingsError(
        f"The rules of precedence in the database are not those of this program: {what}.",
        remedy="A published rule stays as it is: give a changed one the next version in "
        "hub/records/folding/precedence.toml;"
        " `hub serve` publishes new versions.",
        code="PRECEDENCE_DIFFERS",
    )
