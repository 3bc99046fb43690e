"""Consent about minors: who has to agree at which age, and what a single yes is as a signed statement.

Under 14 a guardian decides (个人信息保护法 art. 31), from 14 to 18 a guardian and the minor together, from 18 on the
person alone (民法典 art. 17). Whether the agreements that were given are enough at a moment is decided by the database
(``consent.capacity_of``); this only knows what is still missing, so that the person can be told.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from hub.core.clock import iso


class Party(StrEnum):
    """As what somebody decides about a consent."""

    SELF = "SELF"
    MINOR = "MINOR"
    GUARDIAN = "GUARDIAN"


@dataclass(frozen=True, slots=True)
class Agreement:
    """A yes that was given and still counts. ``by``: the person who gave it."""

    party: Party
    by: UUID
    parts: tuple[str, ...]
    heightened: bool


@dataclass(frozen=True, slots=True)
class MinorSide:
    """What a request about a minor is for the one who looks at it.

    ``party``, ``by_person``: who looks. ``guardianship_id``, ``ground``: his right, if he is a guardian. ``is_child``:
    the minor is under 14. ``of_age``: when he completes 18 years.
    """

    party: Party
    by_person: UUID
    guardianship_id: UUID | None
    ground: str | None
    is_child: bool
    of_age: datetime
    agreed: tuple[Agreement, ...] = ()

    @property
    def needs(self) -> frozenset[Party]:
        """Who has to agree at this age."""
        return frozenset({Party.GUARDIAN}) if self.is_child else frozenset({Party.GUARDIAN, Party.MINOR})

    def awaits(self, *further: Party) -> tuple[Party, ...]:
        """Who has to agree and has not yet; ``further``: who does just now."""
        given = {agreement.party for agreement in self.agreed} | set(further)
        return tuple(sorted(self.needs - given))


def side_of(row: dict[str, Any], now: datetime) -> MinorSide | None:
    """What the database says of who looks at a request, taken out of ``row``; ``None`` for an adult about himself."""
    names = ("party", "by_person", "guardianship_id", "ground", "of_fourteen", "of_age", "agreed")
    found = {name: row.pop(name) for name in names}
    if found["party"] == Party.SELF:
        return None
    agreed = tuple(
        Agreement(Party(one["party"]), UUID(one["by"]), tuple(one["parts"]), one["heightened"])
        for one in json.loads(found.pop("agreed"))
    )
    is_child = now < found.pop("of_fourteen")
    return MinorSide(**found | {"party": Party(found["party"])}, is_child=is_child, agreed=agreed)


def make_statement(
    request_id: UUID,
    subject: UUID,
    side: MinorSide,
    *,
    parts: tuple[str, ...],
    heightened: bool,
    child_notice: bool,
    account: str,
    token: str,
    notice_hash: str,
    now: datetime,
) -> dict[str, Any]:
    """What somebody who agrees about a minor says; signed by the hub like a record."""
    return {
        "statementVersion": 1,
        "requestId": str(request_id),
        "subject": str(subject),
        "agreedBy": str(side.by_person),
        "party": side.party.value,
        "guardianship": None if side.guardianship_id is None else str(side.guardianship_id),
        "ground": side.ground,
        "parts": list(parts),
        "heightenedNotice": heightened,
        "childNotice": child_notice,
        "noticeHash": notice_hash,
        "agreedAt": iso(now),
        "evidence": {"account": account, "token": token},
    }


def indicated_by(side: MinorSide) -> dict[str, str]:
    """Who said yes for a minor, as the record has it: the guardian, and with whom together."""
    own = (Agreement(side.party, side.by_person, (), heightened=False),)
    guardian = next(one.by for one in (*own, *side.agreed) if one.party is Party.GUARDIAN)
    told = {"kind": Party.GUARDIAN.value, "guardian": str(guardian)}
    if side.guardianship_id is not None and side.ground is not None:
        told |= {"guardianship": str(side.guardianship_id), "ground": side.ground}
    if any(one.party is Party.MINOR for one in (*own, *side.agreed)):
        told["agreedWith"] = "MINOR"
    return told
