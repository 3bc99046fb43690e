"""The social-security connector against Debian's PostgreSQL: the published view, SCRAM, TLS of its own authority."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from hub.connectors.agencies.social import SocialConnector
from hub.connectors.sources import SocialSource
from hub.core.errors import SourceError
from hub.core.rows import CheckedRow
from tests.connectors.clinic_agency import NOW, Remembered
from tests.connectors.social_agency import PUBLISHED_DDL, load_samples
from tests.connectors.tls_parties import Authority
from tests.foreign_postgres import ADMINISTRATOR, debian_postgres

PASSWORD = "word-of-the-reader"


@pytest.fixture
async def source(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[SocialSource]:
    (tmp_path / "password").write_text(PASSWORD)
    with debian_postgres(tmp_path, unused_tcp_port, "hostssl all hub_reader 127.0.0.1/32 scram-sha-256\n") as ca_file:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=unused_tcp_port, user=ADMINISTRATOR, database="postgres", ssl=False
        )
        await connection.execute("SET password_encryption = 'scram-sha-256'")
        await connection.execute(f"CREATE ROLE hub_reader LOGIN PASSWORD '{PASSWORD}'")
        await connection.execute(PUBLISHED_DDL.read_text("utf-8"))
        await load_samples(connection)
        await connection.close()
        authority = tmp_path / "ca.pem"
        authority.write_bytes(ca_file.read_bytes())
        yield SocialSource(
            name="social",
            agreement_no="DH-SJ-2026-002",
            host="127.0.0.1",
            port=unused_tcp_port,
            database="postgres",
            user="hub_reader",
            password_file=tmp_path / "password",
            ca_file=authority,
            timeout_seconds=5,
            max_retries=1,
        )


async def _pull(source: SocialSource) -> list[CheckedRow]:
    connector = SocialConnector(source)
    try:
        return [row async for step in connector.pull(None, Remembered(), lambda: NOW) for row in step.rows]
    finally:
        await connector.close()


async def test_the_published_view_is_read_over_tls_with_scram(source: SocialSource) -> None:
    rows = await _pull(source)
    assert len(rows) == 6
    assert sorted(reason.name for row in rows for reason in row.reasons) == ["BAD_DATE", "TEXT_UNREADABLE"]
    assert sum(row.tombstone for row in rows) == 1


async def test_another_authority_is_not_trusted(source: SocialSource, tmp_path: Path) -> None:
    assert source.ca_file is not None
    source.ca_file.write_bytes(Authority(tmp_path, "stranger").ca_file.read_bytes())
    with pytest.raises(SourceError, match="certificate"):
        await _pull(source)
