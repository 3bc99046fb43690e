"""One running hub for a file of attacks, and a watch over everything that an attack must leave as it was."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from hub.store.database import Database
from tests.api.world import Api, running_api
from tests.auth.partner import CALLBACK, Browser, Partner

_STATE = (
    "auth.pushed_request", "auth.authorization_code", "auth.refresh_token", "auth.issued_token", "auth.revoked_token",
    "auth.account", "auth.app", "access.client", "consent.request", "consent.record", "consent.event", "consent.basis",
    "consent.quota", "consent.use",
)  # fmt: skip
"""Tables in which an attack that is refused changes nothing."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """The running hub of the file."""
    async with running_api(module_database, tmp_path_factory.mktemp("attacks") / "home") as api:
        await api.owner.execute("UPDATE access.client SET redirect_uris = $1, is_dpop_required = true", [CALLBACK])
        yield api


@pytest.fixture
def bank(api: Api) -> Partner:
    return Partner(api.http, api.hub.issuer.issuer, "risk-a", api.client_keys["risk-a"])


@pytest.fixture
def other(api: Api) -> Partner:
    return Partner(api.http, api.hub.issuer.issuer, "risk-b", api.client_keys["risk-b"])


@pytest.fixture
def head(api: Api) -> Browser:
    return Browser(api.http, "head")


@pytest.fixture
def unharmed(api: Api) -> Callable[..., object]:
    """``async with unharmed(counted=, recorded=)``: nothing is written but so many counted and recorded refusals."""

    @asynccontextmanager
    async def watch(*, counted: int = 0, recorded: int = 0, but: tuple[str, ...] = ()) -> AsyncIterator[None]:
        tables = [table for table in _STATE if table not in but]
        await api.owner.execute("DELETE FROM auth.refusal")  # the log takes ten of a client in a minute
        before = await _state(api, tables), await api.entries(), _refusals(api)
        yield
        after = await _state(api, tables), await api.entries(), _refusals(api)
        assert {name: after[0][name] for name in tables if after[0][name] != before[0][name]} == {}
        assert after[1] - before[1] == recorded, "entries of the audit log"
        assert after[2] - before[2] == counted, "counted refusals"

    return watch


async def _state(api: Api, tables: list[str]) -> dict[str, str | None]:
    """A digest of every row of the tables."""
    read: Callable[[str], Awaitable[str | None]] = api.owner.fetchval
    return {name: await read(f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {name} t") for name in tables}


def _refusals(api: Api) -> float:
    (family,) = api.hub.endpoints.refusals.counter.collect()
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
