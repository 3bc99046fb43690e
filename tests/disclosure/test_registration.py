"""Registration of systems: what is refused, what is recorded, and that the next query follows it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.access.clients import App, Client, Organisation, save_app, save_client
from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.cli import main
from hub.cli.client import _read_keys
from hub.core.canonical import digest, text_digest
from hub.core.errors import InputError
from hub.core.names import Purpose, Role
from hub.flows.people.register_client import register_app, register_client
from tests.audit.entries import facts_of

from .world import COUNTY, HEAD, World

BANK = Organisation("402739000099", "新银行", "New Bank", "BANK")
KEYS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
SYSTEM = Client("new-1", BANK.organisation_id, Role.LOAN_OFFICER, (COUNTY,), (Purpose.LOAN_APPLICATION,), KEYS, 10)

APP = App("phone-app", "手机应用", "Phone app", KEYS, ("https://app.example/cb",))

_ENTRIES = "SELECT count(*) FROM audit.entry"


async def test_a_registered_system_may_ask_and_a_suspended_one_may_not(world: World, tmp_path: Path) -> None:
    await world.basis(HEAD, BANK.organisation_id)
    assert (await world.ask("new-1", HEAD)).refusal == "ASKER_UNKNOWN"
    sequencer = Sequencer(world.database, world.keys, tmp_path / "guard")
    async with sequencer.running(), Receipts(world.database, sequencer) as receipts:
        await register_client(world.owner, receipts, SYSTEM, operator="root", organisation=BANK)
        assert (await world.ask("new-1", HEAD)).person == HEAD.person_id
        done = await register_client(world.owner, receipts, replace(SYSTEM, status="SUSPENDED"), operator="root")
        assert (done.status, done.receipt.leaf().kind) == ("SUSPENDED", "admin")
        assert (await world.ask("new-1", HEAD)).refusal == "ASKER_SUSPENDED"
        # Other keys or limits are no resumption.
        done = await register_client(world.owner, receipts, replace(SYSTEM, max_subjects_per_day=9), operator="root")
        assert (done.status, (await world.ask("new-1", HEAD)).refusal) == ("SUSPENDED", "ASKER_SUSPENDED")
        await register_client(world.owner, receipts, replace(SYSTEM, status="CLOSED"), operator="root")
        entries = await world.owner.fetchval(_ENTRIES)
        for status in (None, "ACTIVE", "CLOSED"):
            with pytest.raises(InputError, match="stays closed"):
                await register_client(
                    world.owner,
                    receipts,
                    replace(SYSTEM, status=status, max_subjects_per_day=99),
                    operator="root",
                    organisation=replace(BANK, name_en="Renamed"),
                )
    assert (await world.ask("new-1", HEAD)).refusal == "ASKER_SUSPENDED"
    kept = await world.owner.fetchrow(
        "SELECT status, max_subjects_per_day, name_en FROM access.client JOIN access.organisation"
        " USING (organisation_id) WHERE client_id = 'new-1'"
    )
    assert tuple(kept) == ("CLOSED", 10, "New Bank")
    assert await world.owner.fetchval(_ENTRIES) == entries > 0


async def test_the_log_says_which_rights_a_registration_gives(world: World, tmp_path: Path) -> None:
    sequencer = Sequencer(world.database, world.keys, tmp_path / "guard")
    wider: dict[str, object] = {
        "county_codes": (COUNTY, "533122"), "purposes": (Purpose.LOAN_APPLICATION, Purpose.GUARANTOR_REVIEW),
        "max_subjects_per_day": 999, "redirect_uris": ("https://elsewhere.example/cb",), "is_dpop_required": False,
    }  # fmt: skip
    async with sequencer.running(), Receipts(world.database, sequencer) as receipts:

        async def told(**change: object) -> dict[str, Any]:
            done = await register_client(
                world.owner,
                receipts,
                replace(SYSTEM, **change),  # type: ignore[arg-type]
                operator="root",
                organisation=BANK,
            )
            return await facts_of(world.database, world.keys, done.receipt)

        before, after = await told(), await told(**wider)
        app = await register_app(world.owner, receipts, APP, operator="root")
        of_app = await facts_of(world.database, world.keys, app.receipt)
    assert before == {
        "client": "new-1", "organisation": BANK.organisation_id, "role": "LOAN_OFFICER", "status": "ACTIVE",
        "names": text_digest("新银行\nNew Bank"), "counties": [COUNTY], "purposes": ["LOAN_APPLICATION"],
        "subjectsPerDay": 10, "dpopRequired": True, "keys": [digest(KEYS["keys"][0])], "redirectUris": [],
    }  # fmt: skip
    assert {name for name in before if after[name] != before[name]} == {
        "counties", "purposes", "subjectsPerDay", "redirectUris", "dpopRequired",
    }  # fmt: skip
    assert after["redirectUris"] == [hashlib.sha256(b"https://elsewhere.example/cb").hexdigest()]
    assert of_app["redirectUris"] == [text_digest(*APP.redirect_uris)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"client_id": "a b"}, "id must be"),
        ({"client_id": "head"}, "person's account"),
        ({"county_codes": ()}, "at least one county"),
        ({"county_codes": ("5331",)}, "6-digit"),
        ({"purposes": ()}, "open nothing"),
        ({"purposes": (Purpose.SELF_ACCESS,)}, "open nothing"),
        ({"role": Role.PROVIDER}, "open nothing"),
        ({"max_subjects_per_day": 0}, "daily limit"),
        ({"status": "ASLEEP"}, "status"),
        ({"client_id": "hub-accounts"}, "the hub's own"),
        ({"client_id": "phone-app"}, "another kind"),
        ({"redirect_uris": ("http://bank.example/cb",)}, "redirect URI"),
        ({"redirect_uris": ("https://bank.example/cb#x",)}, "redirect URI"),
        ({"redirect_uris": ("https://*.bank.example/cb",)}, "redirect URI"),
        ({"redirect_uris": ("https://u@bank.example/cb",)}, "redirect URI"),
        ({"redirect_uris": ("javascript:alert(1)",)}, "redirect URI"),
        ({"redirect_uris": ("https://bank.example/cb; script-src",)}, "redirect URI"),
        ({"redirect_uris": tuple(f"https://bank.example/{n}" for n in range(11))}, "at most 10"),
        ({"organisation_id": "402739000098"}, "not registered"),
        ({"client_id": "officer-a"}, "organisation and role are fixed"),
    ],
)
async def test_a_registration_that_makes_no_sense_is_refused(
    world: World, change: dict[str, object], says: str
) -> None:
    await world.owner.execute("INSERT INTO access.organisation VALUES ($1, 'x', 'x', 'BANK')", BANK.organisation_id)
    await save_app(world.owner, APP)
    with pytest.raises(InputError, match=says) as refused:
        async with world.owner.transaction():
            await save_client(world.owner, replace(SYSTEM, **change))  # type: ignore[arg-type]
    assert refused.value.code == "REGISTRATION"
    assert not await world.owner.fetchval(
        "SELECT true FROM access.client WHERE organisation_id = $1", BANK.organisation_id
    )


async def test_whoever_is_registered_must_prove_possession_unless_excepted(world: World) -> None:
    await world.owner.execute("INSERT INTO access.organisation VALUES ($1, 'x', 'x', 'BANK')", BANK.organisation_id)
    asked = "SELECT is_dpop_required FROM auth.find_client($1)"
    await save_client(world.owner, SYSTEM)
    assert await world.app.fetchval(asked, "new-1") is True
    await save_client(world.owner, replace(SYSTEM, is_dpop_required=False))
    assert await world.app.fetchval(asked, "new-1") is False
    await save_app(world.owner, APP)
    assert await world.app.fetchval(asked, "phone-app") is True, "an app always"
    assert await save_app(world.owner, replace(APP, status="CLOSED")) == "CLOSED"
    with pytest.raises(InputError, match="stays closed"):
        await save_app(world.owner, APP)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"client_id": "head"}, "person's account"), ({"client_id": "officer-a"}, "another kind"),
        ({"client_id": "a b"}, "an app has"), ({"name_zh": " "}, "an app has"), ({"redirect_uris": ()}, "an app has"),
        ({"redirect_uris": ("http://app.example/cb",)}, "redirect URI"),
    ],
)  # fmt: skip
async def test_an_app_that_makes_no_sense_is_refused(world: World, change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        await save_app(world.owner, replace(APP, **change))  # type: ignore[arg-type]
    assert await world.owner.fetchval("SELECT count(*) FROM auth.app") == 0


@pytest.mark.parametrize(
    "organisation",
    [
        replace(BANK, organisation_id="hub"), replace(BANK, organisation_id="12345"), replace(BANK, kind="SHOP"),
        replace(BANK, name_zh=" "),
    ],
)  # fmt: skip
async def test_an_organisation_that_makes_no_sense_is_refused(
    world: World, tmp_path: Path, organisation: Organisation
) -> None:
    async with Receipts(world.database) as receipts:
        with pytest.raises(InputError):
            await register_client(world.owner, receipts, SYSTEM, operator="root", organisation=organisation)
    assert await world.owner.fetchval("SELECT count(*) FROM audit.pending") == 0
    assert await world.owner.fetchval("SELECT count(*) FROM access.organisation") == 3


@pytest.mark.parametrize("text", ["", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'])
def test_the_command_refuses_bad_key_files_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(text)
    with pytest.raises(SystemExit) as left:
        main(
            ["client", "register", "new-1", "--organisation", "402739000099", "--role", "LOAN_OFFICER", "--county",
             COUNTY, "--purpose", "LOAN_APPLICATION", "--keys", str(keys)]
        )  # fmt: skip
    assert left.value.code == 2
    assert "hub: " in capsys.readouterr().err


def test_the_key_used_here_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(KEYS))
    assert _read_keys(tmp_path / "keys.json") == KEYS
