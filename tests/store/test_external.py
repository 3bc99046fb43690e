"""An external server: its URL, TLS, version, and a login with no more power than the set-up needs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.errors import SettingsError, StoreError
from hub.store.database import Database, DbRole, external_database
from hub.store.migrate import current_revision, newest_revision
from hub.store.prepare import StoreOptions, prepare
from hub.store.server import EmbeddedServer
from tests.foreign_postgres import debian_postgres


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://a@h/d", "scheme, login or database"),
        ("postgresql://h/d", "scheme, login or database"),
        ("postgresql://a@h", "scheme, login or database"),
        ("postgresql://a@h:port/d", "not a URL"),
        ("postgresql:///d", "scheme, login or database"),
        ("postgresql://a@h/d?sslmode=require", "does not verify the server"),
        ("postgresql://a@h/d?sslmode=disable", "does not verify the server"),
        ("postgresql://a@h/d?options=-cfsync=off", "is not known"),
        ("postgresql://a@h/d?sslrootcert=/nowhere.pem", "cannot be read"),
    ],
)
def test_an_unusable_url_is_refused_without_repeating_it(tmp_path: Path, url: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        external_database(url, tmp_path)
    assert url not in str(caught.value)


def test_a_remote_server_is_verified_and_a_local_one_may_be_plain(tmp_path: Path) -> None:
    remote = external_database("postgresql://a:p@db.example/d", tmp_path)
    assert remote.tls is not None
    assert remote.tls.check_hostname
    assert external_database("postgresql://a:p@127.0.0.1/d", tmp_path).tls is None
    assert external_database("postgresql://a:p@/d?host=/run/postgresql", tmp_path).host == "/run/postgresql"
    assert "secret-word" not in repr(external_database("postgresql://a:secret-word@db.example/d", tmp_path))


async def _make_login(server: EmbeddedServer, rights: str) -> None:
    connection = await server.connect()
    try:
        for role in DbRole:
            await connection.execute(f"DROP ROLE IF EXISTS {role}")
        await connection.execute(f"CREATE ROLE operator LOGIN {rights} PASSWORD 'operators-word'")
        await connection.execute("CREATE DATABASE credit OWNER operator")
    finally:
        await connection.close()


@pytest.fixture
def foreign(tmp_path: Path, unused_tcp_port: int) -> Iterator[tuple[EmbeddedServer, str]]:
    """A PostgreSQL 18 that is not the hub's own, on TCP, and the URL of its database's owner."""
    server = EmbeddedServer(tmp_path / "foreign", fsync=False, tcp_port=unused_tcp_port)
    asyncio.run(server.start())
    yield server, f"postgresql://operator:operators-word@127.0.0.1:{unused_tcp_port}/credit"
    asyncio.run(server.remove())


async def test_a_login_that_may_make_roles_prepares_everything(
    foreign: tuple[EmbeddedServer, str], tmp_path: Path
) -> None:
    server, url = foreign
    await _make_login(server, "CREATEROLE")
    options = StoreOptions(tmp_path / "home", url)
    database = await prepare(options)
    assert await current_revision(database) == newest_revision()
    for role in DbRole:
        connection = await database.connect(role)
        assert await connection.fetchval("SELECT current_user") == role
        await connection.close()
    administrator = await server.connect()
    await administrator.execute("ALTER ROLE operator NOCREATEROLE")
    await administrator.close()
    assert await prepare(options) == database, "once the roles exist, no right to make them is needed"
    assert not (tmp_path / "home" / "postgres").exists(), "no embedded server is made"


async def test_a_login_without_the_right_to_make_roles_is_told_so(
    foreign: tuple[EmbeddedServer, str], tmp_path: Path
) -> None:
    server, url = foreign
    await _make_login(server, "NOCREATEROLE")
    with pytest.raises(StoreError, match="CREATEROLE"):
        await prepare(StoreOptions(tmp_path / "home", url))


async def test_wrong_login_and_missing_database_are_told_apart(
    foreign: tuple[EmbeddedServer, str], tmp_path: Path
) -> None:
    server, url = foreign
    await _make_login(server, "CREATEROLE")
    with pytest.raises(StoreError, match="does not let"):
        await prepare(StoreOptions(tmp_path / "home", url.replace("operators-word", "wrong")))
    with pytest.raises(StoreError, match="there is no database"):
        await prepare(StoreOptions(tmp_path / "home", url.replace("/credit", "/debit")))


@pytest.fixture
def old_server(tmp_path_factory: pytest.TempPathFactory, unused_tcp_port: int) -> Iterator[tuple[int, Path]]:
    """Debian's PostgreSQL of another version behind TLS: its port, and the certificate of its authority."""
    with debian_postgres(Path(tmp_path_factory.mktemp("old")), unused_tcp_port) as certificate:
        yield unused_tcp_port, certificate


async def test_a_server_of_another_version_is_refused_over_verified_tls(
    old_server: tuple[int, Path], tmp_path: Path
) -> None:
    port, authority = old_server
    address = f"postgresql://operator@127.0.0.1:{port}/postgres?sslmode=verify-full"
    with pytest.raises(StoreError, match="needs version 18") as caught:
        await prepare(StoreOptions(tmp_path, f"{address}&sslrootcert={authority}"))
    assert caught.value.code == "STORE_VERSION"
    with pytest.raises(StoreError, match="TLS with the database server") as caught:
        await prepare(StoreOptions(tmp_path, address))
    assert caught.value.code == "STORE_TLS"
    named = address.replace("127.0.0.1", "localhost")
    with pytest.raises(StoreError, match="TLS with the database server"):
        await prepare(StoreOptions(tmp_path, f"{named}&sslrootcert={authority}"))


async def test_a_plain_server_is_no_substitute_for_tls(foreign: tuple[EmbeddedServer, str], tmp_path: Path) -> None:
    _, url = foreign
    with pytest.raises(StoreError) as caught:
        await external_database(f"{url}?sslmode=verify-full", tmp_path).connect_administrator()
    assert caught.value.code == "STORE_TLS"


def test_the_same_server_gives_databases_by_name(tmp_path: Path) -> None:
    database = Database("/run", 5432, "hub", tmp_path)
    assert database.named("other") == Database("/run", 5432, "other", tmp_path)
