"""As whom a command acts that shows what only some may see: the bearer of a token, else the sandbox steward."""

from pathlib import Path

import pytest

from hub.app import token_issuer
from hub.auth.tokens import InvalidTokenError
from hub.cli.steward import SANDBOX_STEWARD, acting_auditor, acting_steward
from hub.core.errors import RefusedError
from hub.settings import Settings, load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"HUB_HOME": str(tmp_path)})


async def test_who_may_have_an_answer_made_again(
    database: Database, keys: FileKeys, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await acting_auditor(database, keys, settings, None) == SANDBOX_STEWARD
    assert "acting as the sandbox steward" in capsys.readouterr().err
    owner = await database.connect(DbRole.OWNER)
    for role in ("AUDITOR", "REGULATOR", "STEWARD", "COLLECTOR"):
        await owner.execute("INSERT INTO auth.account (account_id, role) VALUES ($1, $2)", role.lower(), role)
    await owner.close()
    with pytest.raises(RefusedError) as refused:
        await acting_auditor(database, keys, settings, None)
    assert refused.value.code == "AUDITOR_SIGN_IN"

    def token_of(account: str) -> Path:
        file = tmp_path / account
        file.write_text(token_issuer(settings, keys).issue_for_account(account).token)
        return file

    for account in ("auditor", "regulator", "steward"):
        assert await acting_auditor(database, keys, settings, token_of(account)) == account
    assert await acting_steward(database, keys, settings, token_of("steward")) == "steward"
    with pytest.raises(InvalidTokenError):
        await acting_auditor(database, keys, settings, token_of("collector"))
    for account in ("auditor", "regulator", "collector"):
        with pytest.raises(InvalidTokenError):
            await acting_steward(database, keys, settings, token_of(account))


async def test_a_suspended_steward_leaves_nobody_without_a_token_the_sandbox_stewards_powers(
    database: Database, keys: FileKeys, settings: Settings
) -> None:
    owner = await database.connect(DbRole.OWNER)
    await owner.execute(
        "INSERT INTO auth.account (account_id, role) VALUES ('sandbox-1', 'STEWARD'), ('sandboxer', 'STEWARD')"
    )
    await owner.execute("UPDATE auth.account SET status = 'SUSPENDED'")
    await owner.close()
    for acting in (acting_steward, acting_auditor):
        with pytest.raises(RefusedError):
            await acting(database, keys, settings, None)
