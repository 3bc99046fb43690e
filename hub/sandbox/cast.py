"""The sandbox's banks and people: registered like real ones, with keys and accounts that anybody may try.

Banks act through systems that prove themselves with a key of their own (client_credentials with private_key_jwt); the
private keys lie in ``HUB_HOME/sandbox/clients``. People have accounts whose names begin with ``sandbox-``.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from joserfc.jwk import ECKey

from hub.access.clients import Client, Organisation
from hub.audit.receipts import Receipts
from hub.core.areas import COUNTIES
from hub.core.errors import InputError, SettingsError
from hub.core.names import Purpose, Role
from hub.flows.people.issue_token import SANDBOX_PREFIX
from hub.flows.people.open_account import Account, open_account
from hub.flows.people.register_client import register_client
from hub.store.keys import KeyService

LENDER_PURPOSES = (
    Purpose.LOAN_APPLICATION,
    Purpose.CARD_APPLICATION,
    Purpose.GUARANTOR_REVIEW,
    Purpose.POST_LOAN_REVIEW,
)
"""What the sandbox's banks are registered for."""

_SUBJECTS_PER_DAY = 5000
_OPERATOR = "sandbox-operator"

RURAL_BANK = Organisation("402739000011", "德宏农村商业银行（沙箱）", "Sandbox Rural Commercial Bank", "BANK")
VILLAGE_BANK = Organisation("402739000022", "德宏村镇银行（沙箱）", "Sandbox Village Bank", "BANK")


@dataclass(frozen=True, slots=True)
class System:
    """A bank's system in the sandbox."""

    client_id: str
    bank: Organisation
    role: Role


SYSTEMS = {
    system.client_id: system
    for system in (
        System("rcb-risk", RURAL_BANK, Role.BANK_RISK),
        System("rcb-loans", RURAL_BANK, Role.LOAN_OFFICER),
        System("vb-risk", VILLAGE_BANK, Role.BANK_RISK),
        System("vb-loans", VILLAGE_BANK, Role.LOAN_OFFICER),
    )
}
"""Every bank system of the sandbox by its client id."""

RESIDENTS = ("borrower", "spouse")
"""Members of the story household who have accounts."""

STAFF = {
    "steward": Role.STEWARD,
    "regulator": Role.REGULATOR,
    "auditor": Role.AUDITOR,
    "collector": Role.COLLECTOR,
}
"""People who are nobody's resident here."""


def account_id(name: str) -> str:
    """The account of one of the sandbox's people."""
    return SANDBOX_PREFIX + name


class Cast:
    """The sandbox's banks and people of one HUB_HOME."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "sandbox"
        self._clients = self.folder / "clients"

    def is_set_up(self) -> bool:
        """Whether the banks of a sandbox were registered from this home."""
        return all((self._clients / f"{name}.jwk").exists() for name in SYSTEMS)

    def private_key(self, client_id: str) -> ECKey:
        """The private key of a bank's system. Raises :class:`SettingsError` if this home has no sandbox."""
        path = self._clients / f"{client_id}.jwk"
        if not path.exists():
            raise SettingsError(
                f"this HUB_HOME has no sandbox system `{client_id}`.",
                remedy="Run `make demo` first, with the same HUB_HOME.",
            )
        return ECKey.import_key(json.loads(path.read_text("ascii")))

    async def register(
        self, connection: asyncpg.Connection, keys: KeyService, receipts: Receipts, story: dict[str, Any]
    ) -> None:
        """Register the banks' systems and open the people's accounts. Needs the owner's connection."""
        self._clients.mkdir(parents=True, exist_ok=True, mode=0o700)
        for system in SYSTEMS.values():
            public = self._make_key(system.client_id).as_dict(private=False)
            client = Client(
                system.client_id,
                system.bank.organisation_id,
                system.role,
                tuple(sorted(COUNTIES)),
                LENDER_PURPOSES,
                {"keys": [public]},
                _SUBJECTS_PER_DAY,
                is_dpop_required=False,  # so that the pages of README can be followed with curl alone
            )
            await register_client(connection, receipts, client, operator=_OPERATOR, organisation=system.bank)
        for name in RESIDENTS:
            person = await person_behind(connection, keys, story["people"][name]["id_number"])
            account = Account(account_id(name), Role.RESIDENT, person_id=person)
            await open_account(connection, receipts, account, operator=_OPERATOR)
        village = [story["village_code"]]
        for name, role in STAFF.items():
            villages = village if role is Role.COLLECTOR else []
            account = Account(account_id(name), role, county_codes=sorted(COUNTIES), village_codes=villages)
            await open_account(connection, receipts, account, operator=_OPERATOR)

    def _make_key(self, client_id: str) -> ECKey:
        path = self._clients / f"{client_id}.jwk"
        if not path.exists():
            text = json.dumps(ECKey.generate_key("P-256").as_dict(private=True))
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
        return self.private_key(client_id)


async def person_behind(connection: asyncpg.Connection, keys: KeyService, id_number: str) -> UUID:
    """The person with this ID number. Raises :class:`InputError` if no agency has delivered him yet."""
    person: UUID | None = await connection.fetchval(
        "SELECT person_id FROM record.directory WHERE blind_index = ANY ($1)", keys.indexes("identity", id_number)
    )
    if person is None:
        raise InputError(
            "a person of the sandbox's story is not in the record yet.", remedy="Pull the sandbox's agencies first."
        )
    return person
