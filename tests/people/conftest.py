"""A running hub under a name, since passkeys know no bare addresses, with people of the sandbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.core.clock import system_clock
from hub.settings import load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.api.world import COUNTY, WIFE, Api, Visitors

from .browser import ORIGIN


@pytest.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    settings = load({"HUB_HOME": str(tmp_path / "home"), "HUB_PUBLIC_URL": ORIGIN})
    keys = FileKeys(settings.keys_folder)
    owner = await database.connect(DbRole.OWNER)
    await publish(owner, keys)
    async with open_hub(settings, database, system_clock) as hub:
        api = Api(hub, owner, keys, Visitors())
        await api.seed()
        await owner.execute("DELETE FROM auth.session")  # here people sign in themselves
        # One account per person and role: the sandbox's borrower is the wife.
        await owner.execute("UPDATE auth.account SET status = 'CLOSED' WHERE account_id = 'wife'")
        for account, role, person in (
            ("sandbox-borrower", "RESIDENT", WIFE.person_id), ("sandbox-steward", "STEWARD", None),
        ):  # fmt: skip
            await owner.execute(
                "INSERT INTO auth.account (account_id, role, person_id, county_codes) VALUES ($1, $2, $3, $4)",
                account, role, person, [COUNTY],
            )  # fmt: skip
        yield api
        await api.http.aclose()
    await owner.close()
