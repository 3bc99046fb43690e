"""Who holds an account: read from a file, since other users of a machine can read command lines."""

import json
from datetime import date
from pathlib import Path
from uuid import UUID

from hub.core.errors import InputError, RefusedError
from hub.core.identifiers import check_id_number, clean_id_number
from hub.core.text import normalise_name
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.change_account import Holder

_NAME_MAX = 100


def check_holder(id_number: str, name: str, today: date) -> Holder | None:
    """The person with this number and name; ``None`` for what is no ID number or no name."""
    cleaned = clean_id_number(id_number)
    number = None if cleaned is None else check_id_number(cleaned, today)
    return Holder(number, name.strip()) if isinstance(number, str) and 0 < len(name.strip()) <= _NAME_MAX else None


def read_holder(path: Path, today: date) -> Holder:
    """The person of a file. Raises :class:`InputError` for what is no ID number or no name; no value is told."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        number, name = str(document["id_number"]), str(document["name"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"the file {path} does not say who holds the account.",
            remedy='Write {"id_number": "...", "name": "..."} into it.',
            code="HOLDER_FILE",
        ) from None
    holder = check_holder(number, name, today)
    if holder is None:
        raise InputError(
            f"the file {path} holds no valid ID number or no name.",
            remedy="Copy both from the identity card.",
            code="HOLDER_FILE",
        )
    return holder


async def resident_behind(desk: AccountDesk, holder: Holder) -> UUID:
    """The person of the record with this number and name. Raises :class:`RefusedError` where there is none."""
    numbers = desk.keys.indexes("identity", holder.id_number)
    names = desk.keys.indexes("name", normalise_name(holder.name))
    async with desk.reading() as conn:
        person: UUID | None = await conn.fetchval(
            """SELECT p.person_id FROM record.directory d
               JOIN record.person p ON p.county = d.county AND p.person_id = d.person_id
               WHERE d.blind_index = ANY ($1) AND p.name_index = ANY ($2) AND p.status = 'ACTIVE'""",
            numbers,
            names,
        )
    if person is None:
        raise RefusedError(
            "nobody in the record has this number and name.",
            remedy="Residents are in the record before they get an account; see `hub pull`.",
            code="PERSON_UNKNOWN",
        )
    return person
