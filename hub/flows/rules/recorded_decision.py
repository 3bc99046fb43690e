"""A past decision out of the audit log, ready to be explained: what was asked and decided, and in which circumstances.

What an entry says of a decision is enough to put it before the rules again: role, purpose, the parts asked and
withheld, the cause if it ended before the rules, the circumstances of the person named, and the basis by its id. The
words of the
rules of its time are kept with their digest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from hub.access.compile import Need
from hub.access.explain import BasisFacts, Decided
from hub.access.rules import RuleSet
from hub.audit.leaf import Leaf
from hub.core.errors import RefusedError
from hub.core.names import Purpose, Role

ANSWERS = frozenset(
    {
        "profile:client:queried",
        "eligibility:client:asked",
        "household:resident:queried",
        "household:guardian:queried",
        "household:steward:shown",
    }
)
"""Events of decisions about parts of a record, or about an answer out of them."""

IN_FORCE = "IN_FORCE"


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision with the rules that made it; ``rules`` is ``None`` where their words were not kept."""

    decided: Decided
    digest: bytes
    rules: RuleSet | None
    basis_id: UUID | None


async def recorded_decision(
    auditor: asyncpg.Connection, leaf: Leaf, shared: Mapping[str, Any], named: Mapping[str, Any]
) -> RecordedDecision:
    """Read the facts of an entry: those shared by all, and those of the person named. ``auditor`` is as hub_auditor.

    Raises :class:`RefusedError` for an entry that is no decision about a record, or was made before circumstances were
    recorded.
    """
    if leaf.what not in ANSWERS or "role" not in shared or "asked" not in shared:
        raise RefusedError(
            "the entry is not of a decision about a record.", remedy="Name a query's entry.", code="NOT_A_DECISION"
        )
    if named and "circumstances" not in named:
        raise RefusedError(
            "the entry is older than the recording of circumstances.",
            remedy="`hub audit replay` can still make its answer again.",
            code="CIRCUMSTANCES_NOT_RECORDED",
        )
    basis_id = UUID(named["basis"]) if "basis" in named else None
    digest = bytes.fromhex(leaf.policy)
    decided = Decided(
        role=Role(shared["role"]),
        purpose=Purpose(leaf.purpose or ""),
        at=datetime.fromisoformat(shared["asOf"]),
        cause=shared.get("reason"),
        asked=tuple("/".join(part) for part in shared["asked"]),
        withheld={f"{category}/{form}": reason for category, form, reason in shared.get("withheld", ())},
        is_shown="household" in named,
        circumstances=frozenset(Need(name) for name in named.get("circumstances", ())),
        basis=None if basis_id is None else await _basis(auditor, basis_id, shared.get("narrowedTo")),
    )
    return RecordedDecision(decided, digest, await rules_of(auditor, digest), basis_id)


async def rules_of(auditor: asyncpg.Connection, digest: bytes) -> RuleSet | None:
    """The rules of a digest in their own words, ``None`` where they were not kept or never in force."""
    row = await auditor.fetchrow("SELECT source FROM access.rule_source($1)", digest)
    return None if row is None or row["source"] is None else _rules(row["source"])


@lru_cache(maxsize=4)
def _rules(source: str) -> RuleSet:
    return RuleSet.of_source(source)


async def rules_in_force(auditor: asyncpg.Connection) -> tuple[bytes, RuleSet | None]:
    """The digest of the rules in force, and the rules. Raises :class:`RefusedError` while there are none."""
    digest = await auditor.fetchval("SELECT access.rules_in_force()")
    if digest is None:
        raise RefusedError("no access rules are in force.", remedy="Start the hub.", code="RULES_MISSING")
    return digest, await rules_of(auditor, digest)


async def _basis(auditor: asyncpg.Connection, basis_id: UUID, narrowed_to: list[list[str]] | None) -> BasisFacts | None:
    """What the basis covered for that request; a token can be narrowed to fewer parts."""
    row = await auditor.fetchrow(
        """SELECT b.parts, b.heightened, b.effective_from, b.expires_at, n.status
           FROM consent.recorded_basis($1) b CROSS JOIN access.basis_now($1) n""",
        basis_id,
    )
    if row is None:
        return None
    parts = frozenset(row["parts"])
    if narrowed_to is not None:
        parts &= {"/".join(part) for part in narrowed_to}
    return BasisFacts(parts, row["heightened"], row["effective_from"], row["expires_at"], row["status"] == IN_FORCE)
