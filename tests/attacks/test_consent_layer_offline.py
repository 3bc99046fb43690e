"""Attacks 29 and 30 on consent: a device with a wrong clock, replays, re-ordered slips; a collector's word alone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.store.database import Database
from tests.consent.field import Field, running_field


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    async with running_field(module_database, tmp_path_factory.mktemp("offline") / "home") as field:
        yield field


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_yes_on_paper_counts_only_when_it_was_verified(field: Field) -> None:
    capture = await field.captured()
    assert not await field.sees()
    decided = await field.decide(capture)
    assert decided == {"__typename": "ConsentVerified", "state": "VERIFIED", "consentId": decided["consentId"],
                       "evidenceLevel": "L2"}  # fmt: skip
    assert await field.sees()
