"""The agencies' published samples, served byte for byte over the real protocols, and pulled as `hub pull` does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hub.connectors.registry import connector_for
from hub.connectors.sources import Source, kind_of
from hub.core.clock import Clock
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.store.database import Database
from hub.store.keys import KeyService
from tests.connectors import civil_agency, clinic_agency
from tests.connectors.bank_agency import bank_service
from tests.connectors.clinic_agency import NOW, SAMPLES
from tests.connectors.tax_agency import sample_page, tax_bureau
from tests.connectors.tls_parties import Authority


@dataclass
class HubUnderTest:
    """A hub over one database, with the commands that the tests of the whole way use."""

    database: Database
    keys: KeyService
    home: Path
    clock: Clock = field(default=lambda: NOW)

    async def pull(self, *sources: Source) -> dict[str, Any]:
        to_pull = [SourceToPull(s.name, kind_of(s), s.agreement_no, connector_for(s)) for s in sources]
        async with receipt_desk(self.database, self.keys, self.home) as receipts:
            return await pull(self.database, self.keys, receipts, to_pull, self.clock, lambda *_: None)

    async def show(self, *numbers: str) -> list[dict[str, Any]]:
        async with receipt_desk(self.database, self.keys, self.home) as receipts:
            query = StewardQuery("sandbox-steward", "H", "test")
            lines = await show_households(self.database, self.keys, receipts, query, numbers, self.clock)
        return [orjson.loads(line) for line in lines]


@asynccontextmanager
async def sample_agencies(folder: Path) -> AsyncIterator[dict[str, Source]]:
    """Servers with the samples of tax, clinics, civil affairs and the bank, and the settings to read them."""
    async with AsyncExitStack() as stack:
        for name in ("tax", "clinic", "civil", "bank"):
            (folder / name).mkdir()
        tax = await stack.enter_async_context(
            tax_bureau(
                folder / "tax",
                lambda query: sample_page(2 if "cursor" in query else 1),
                authority=Authority(folder / "tax", "authority"),
            )
        )
        clinic = await stack.enter_async_context(clinic_agency.serve(folder / "clinic"))
        clinic.put_samples()
        civil = await stack.enter_async_context(civil_agency.serve(folder / "civil"))
        civil.raw = {feed: (SAMPLES / f"civil_{feed}.xml").read_bytes() for feed in civil_agency.FEEDS}
        bank = await stack.enter_async_context(bank_service(folder / "bank"))
        bank.publish_sample()
        yield {"tax": tax.source(), "clinic": clinic.source(), "civil": civil.source(), "bank": bank.source()}
