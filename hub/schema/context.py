"""What one request carries through its operation."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import strawberry

from hub.core.clock import Clock
from hub.core.disclosure import Asker, UnspentProof
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.schema.messages import Language
from hub.schema.ports import Disclosing, Keys, Proofs, Receipt
from hub.schema.selection import Operation, Selections


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who the verified token speaks for.

    ``is_system``: an organisation's system (a registered client), which names its officer in each operation; otherwise
    a person's account. ``person_id`` is what the database says at this moment, not the token. Role and organisation are
    not here: the statement that judges a request reads them itself.

    ``grant``: the consent that a system's token stands for; with it only that person's profile can be asked for.
    ``proof``: a proof of possession that the operation has to use up; ``None`` if there is none, or it is used up.
    """

    id: str
    token_id: str
    is_system: bool
    person_id: UUID | None = None
    grant: UUID | None = None
    proof: UnspentProof | None = None

    def asker(self, officer: str | None = None) -> Asker:
        """The asker of a flow; ``officer`` is the named person behind a system."""
        return Asker(self.id, self.token_id, officer or self.id, self.grant, self.proof)


@dataclass(slots=True)
class Ports:
    """The flows and tools that resolvers may call."""

    disclosing: Disclosing
    consents: ConsentDesk
    stewards: StewardDesk
    auditor: asyncpg.Pool
    keys: Keys
    proofs: Proofs
    selections: Selections
    clock: Clock


@dataclass(slots=True)
class OperationContext:
    """One request. ``operation`` and ``variables`` are set when the document has been parsed and validated."""

    bearer: Bearer
    language: Language
    method: str
    ports: Ports
    operation: Operation = Operation("", frozenset())  # noqa: RUF009 - a NamedTuple cannot be changed
    variables: dict[str, Any] = field(default_factory=dict)
    receipt: Receipt | None = None
    challenge: str | None = None  # the error of RFC 9449 with which the whole request is refused

    def steward_act(self, reason: str = "", counties: frozenset[str] | None = None) -> StewardAct:
        """The request as a steward's act; his role is checked by whoever does it."""
        return StewardAct(
            steward=self.bearer.id,
            reason=reason,
            document=self.operation.text,
            variables=self.variables,
            client=self.bearer.id,
            token=self.bearer.token_id,
            counties=counties,
        )

    async def own_act(self, reason: str = "") -> StewardAct:
        """The request as an act of a steward for the people and rows of his counties."""
        return self.steward_act(reason, await self.ports.stewards.counties_of(self.bearer.asker()))


Info = strawberry.Info[OperationContext, None]
"""The resolver's second argument."""
