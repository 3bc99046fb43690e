"""The five agencies of a test of the whole way: real servers on loopback that serve exactly the rows a test gives."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from hub.connectors.formats.clinic_files import COLUMNS
from hub.connectors.sources import Source
from hub.core.identifiers import id_check_character
from hub.store.server import EmbeddedServer
from tests.connectors import civil_agency, clinic_agency
from tests.connectors.bank_agency import BANK, Bank, bank_service
from tests.connectors.clinic_agency import CLINIC
from tests.connectors.social_agency import Bureau, bureau
from tests.connectors.tax_agency import TaxBureau, envelope, tax_bureau
from tests.connectors.tls_parties import Authority

ADULT = "533103198503124417"
MINOR_BORN = "20150601"
_UNKNOWN_ID_CHECK = "X0123456789"


def citizen(born: str = "19700203", serial: int = 441, area: str = "533103") -> str:
    """A sound ID number of somebody born on ``YYYYMMDD`` (the day itself is not looked at)."""
    first17 = f"{area}{born}{serial:03}"
    return first17 + id_check_character(first17)


def damaged_check_digit(number: str = ADULT) -> str:
    """The number with the next check character."""
    return number[:17] + _UNKNOWN_ID_CHECK[(_UNKNOWN_ID_CHECK.index(number[17]) + 1) % 11]


DAMAGED_NUMBERS = {
    "ID_MISSING": ("", "无", "0"),
    "ID_PRECISION_LOST": ("5.33103E+17", "533103198503124000"),
    "ID_FORMAT": ("53310319850312441", "533103500101996", "53310319850312A417"),
    "ID_CHECK_DIGIT": (damaged_check_digit(),),
    "ID_BIRTH_DATE": (citizen("19850230"), citizen("18991231"), citizen("20991231")),
}
"""What agencies have in ID fields, by the reason it is held back for."""


@dataclass
class Agencies:
    """The running servers. Rows of tax are a list, civil rows are XML texts; the others have functions."""

    folder: Path
    tax: TaxBureau
    social: Bureau
    clinic: clinic_agency.Agency
    civil: civil_agency.Agency
    bank: Bank
    tax_records: list[Any] = field(default_factory=list)

    def sources(self, *names: str) -> list[Source]:
        """The settings of these agencies, of all by default."""
        every = ("tax", "social", "clinic", "civil", "bank")
        return [getattr(self, name).source() for name in names or every]

    def put_clinic_list(self, day: str, lines: list[dict[str, str]], number: str = "01", **more: Any) -> str:
        """A complete list of one clinic; ``more`` goes to :meth:`clinic_agency.Agency.put`."""
        columns = (*COLUMNS, *dict.fromkeys(name for line in lines for name in line if name not in COLUMNS))
        full = [dict.fromkeys(columns, "") | line for line in lines]
        total = sum((_number(line["欠费余额"]) for line in lines), Decimal(0))
        name = f"ARR_{CLINIC}_{day}_{number}.csv"
        data = clinic_agency.csv_bytes(*full, columns=columns)
        self.clinic.put(name, data, **({"RECORDS": str(len(lines)), "AMOUNT_TOTAL": f"{total:.2f}"} | more))
        return name

    def put_bank_file(self, seq: int, day: str, lines: list[Any]) -> str:
        """A signed file of one business date; a line that is ``bytes`` is sent as it is."""
        name = f"CREDIT_{BANK}_{day.replace('-', '')}_{seq}.jsonl.gz"
        text = b"".join((line if isinstance(line, bytes) else orjson.dumps(line)) + b"\n" for line in lines)
        published = self.bank.publish(seq, text, name=name, business_date=day)
        data = self.bank.files.pop(published)
        del self.bank.files[f"{published}.jws"]
        self.bank.files[name] = data
        self.bank.files[f"{name}.jws"] = self.bank.signer.sign(data, self.bank.signer.header(name, day))
        return name

    def put_roster(self, *members: dict[str, str], household: dict[str, str] | None = None) -> None:
        """A household (sound by default) and members of it at civil affairs."""
        self.civil.rows["households"].append(civil_agency.element("household", **(household or {})))
        self.civil.rows["members"] += [civil_agency.element("member", **member) for member in members]


def _number(text: str) -> Decimal:
    try:
        return Decimal(text.replace(",", ""))
    except ArithmeticError:
        return Decimal(0)


@asynccontextmanager
async def five_agencies(folder: Path, server: EmbeddedServer) -> AsyncIterator[Agencies]:
    """All five, each over TLS or SSH with a trust anchor of its own."""
    folder.mkdir(exist_ok=True)
    for name in ("tax", "social", "clinic", "civil", "bank"):
        (folder / name).mkdir()
    records: list[Any] = []
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        tax_authority = Authority(folder / "tax", "authority")
        tax = await enter(tax_bureau(folder / "tax", lambda _: envelope(records, None), authority=tax_authority))
        social_authority = Authority(folder / "social", "authority")
        social = await enter(bureau(server, folder / "social", authority=social_authority))
        clinic = await enter(clinic_agency.serve(folder / "clinic"))
        civil = await enter(civil_agency.serve(folder / "civil"))
        bank = await enter(bank_service(folder / "bank"))
        yield Agencies(folder, tax, social, clinic, civil, bank, records)
