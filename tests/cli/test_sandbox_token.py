"""hub sandbox token: who gets one, what is recorded, and what is refused before anything is made."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from joserfc.jwk import ECKey

from hub.app import token_issuer
from hub.audit.history import list_accesses
from hub.auth.tokens import TokenVerifier
from hub.core.errors import InputError
from hub.core.names import Role
from hub.flows.people.issue_token import issue_token
from hub.flows.people.open_account import Account, open_account
from hub.flows.receipts import receipt_desk
from hub.sandbox.cast import RESIDENTS, STAFF, SYSTEMS
from hub.sandbox.tokens import check_minutes, names_by_role, person_token, resolve
from hub.settings import Settings, load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"HUB_HOME": str(tmp_path)})


async def _open(database: Database, keys: FileKeys, home: Path, *accounts: Account) -> None:
    owner = await database.connect(DbRole.OWNER)
    try:
        async with receipt_desk(database, keys, home) as receipts:
            for account in accounts:
                await open_account(owner, receipts, account, operator="tests")
    finally:
        await owner.close()


async def _issued(database: Database) -> int:
    connection = await database.connect(DbRole.OWNER)
    try:
        number: int = await connection.fetchval(
            """SELECT (SELECT count(*) FROM audit.pending WHERE event = 'token:operator:issued')
                    + (SELECT count(*) FROM audit.entry
                       WHERE convert_from(entry, 'UTF8') LIKE '%token:operator:issued%')"""
        )
        return number
    finally:
        await connection.close()


async def test_a_resident_s_token_is_good_recorded_and_in_his_own_list(
    database: Database, keys: FileKeys, settings: Settings
) -> None:
    person: UUID = uuid4()
    await _open(database, keys, settings.home, Account("sandbox-borrower", Role.RESIDENT, person_id=person))
    token = await person_token(settings, database, keys, "borrower", timedelta(minutes=5), operator="tests")
    claims = TokenVerifier.of(token_issuer(settings, keys)).verify(token)
    assert (claims.subject, claims.is_system, claims.expires - claims.issued) == ("sandbox-borrower", False, 300)
    connection = await database.connect(DbRole.AUDITOR)
    try:
        (access,) = await list_accesses(connection, keys, person)
    finally:
        await connection.close()
    assert (access.event, access.intact) == ("token:operator:issued", True)
    assert access.shared is not None
    assert access.shared["token"] == claims.token_id
    assert access.shared["account"] == "sandbox-borrower"
    assert token not in str(access)


async def test_an_account_that_is_not_the_sandbox_s_gets_none(
    database: Database, keys: FileKeys, settings: Settings
) -> None:
    await _open(database, keys, settings.home, Account("steward-li", Role.STEWARD))
    issuer = token_issuer(settings, keys)
    made: list[str] = []

    def make(account: str):  # type: ignore[no-untyped-def]
        made.append(account)
        return issuer.issue_for_account(account)

    connection = await database.connect(DbRole.INGEST)
    try:
        async with receipt_desk(database, keys, settings.home) as receipts:
            for account in ("steward-li", "sandbox-steward"):
                with pytest.raises(InputError) as refused:
                    await issue_token(connection, receipts, account, lambda name=account: make(name), operator="tests")
                assert refused.value.code == "SANDBOX_ACCOUNT"
    finally:
        await connection.close()
    assert made == []
    assert await _issued(database) == 0


async def test_a_closed_account_gets_none(database: Database, keys: FileKeys, settings: Settings) -> None:
    await _open(database, keys, settings.home, Account("sandbox-steward", Role.STEWARD))
    connection = await database.connect(DbRole.OWNER)
    try:
        await connection.execute("UPDATE auth.account SET status = 'CLOSED' WHERE account_id = 'sandbox-steward'")
    finally:
        await connection.close()
    with pytest.raises(InputError, match="closed"):
        await person_token(settings, database, keys, "steward", timedelta(minutes=5), operator="tests")
    assert await _issued(database) == 0


def test_a_role_means_the_first_who_has_it() -> None:
    assert [resolve(name) for name in ("RESIDENT", "BANK_RISK", "LOAN_OFFICER", "STEWARD", "REGULATOR")] == [
        "borrower",
        "rcb-risk",
        "rcb-loans",
        "steward",
        "regulator",
    ]
    everybody = [*SYSTEMS, *RESIDENTS, *STAFF]
    assert sorted(name for group in names_by_role().values() for name in group) == sorted(everybody)
    assert [resolve(name) for name in everybody] == everybody
    for stranger in ("sandbox-borrower", "father", "PUBLIC", ""):
        with pytest.raises(InputError, match=r"Names: rcb-risk.*Roles: .*RESIDENT"):
            resolve(stranger)


def test_the_life_of_a_system_s_token_is_the_hub_s_to_decide() -> None:
    assert check_minutes("borrower", None) == timedelta(minutes=60)
    assert check_minutes("borrower", 480) == timedelta(hours=8)
    with pytest.raises(InputError, match="5 minutes"):
        check_minutes("rcb-risk", 10)


def _hub(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub.cli", "sandbox", "token", *arguments],
        env={"PATH": "/usr/bin:/bin", "HUB_HOME": str(home)} | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.long
def test_a_home_without_sandbox_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    done = _hub(tmp_path / "home", "borrower")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no sandbox" in done.stderr
    assert "make demo" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.long
def test_a_life_beyond_eight_hours_is_a_usage_error(tmp_path: Path) -> None:
    done = _hub(tmp_path / "home", "borrower", "--minutes", "481")
    assert (done.returncode, done.stdout) == (2, "")
    assert "480" in done.stderr


@pytest.mark.long
def test_a_bank_is_told_when_no_hub_answers(tmp_path: Path, unused_tcp_port: int) -> None:
    clients = tmp_path / "sandbox" / "clients"
    clients.mkdir(parents=True)
    for name in SYSTEMS:
        (clients / f"{name}.jwk").write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=True)), "ascii")
    address = f"http://127.0.0.1:{unused_tcp_port}"
    done = _hub(tmp_path, "rcb-risk", HUB_PUBLIC_URL=address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"hub: no hub answers at {address}")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox"], "no database was started for it"
