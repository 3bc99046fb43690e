"""Systems change their keys without a gap and are stopped at once; their officers are real people, one id each."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from hub.cli.officer import read_officers
from hub.core.clock import system_clock
from hub.core.errors import InputError, RefusedError
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.account_holder import check_holder, read_holder
from hub.flows.people.change_account import Holder
from hub.flows.people.change_client import list_clients, rotate_keys, set_client_status
from hub.flows.people.officers import Officer, add_officers, remove_officer
from hub.store.database import DbRole
from tests.api.world import BANK_A, HEAD, Api, borrower
from tests.auth.clients import FORM, assertion, claims, form, jwks, new_key

LI, WANG, ZHAO = "533103198501010017", "533103198601010016", "533103198701010015"
ASK = """query P($input: BorrowerProfileInput!) { borrowerProfile(input: $input) {
  ... on BorrowerProfile { tax { grades { grade } } } ... on UserError { code message } } }"""


@asynccontextmanager
async def owner_desk(api: Api) -> AsyncIterator[AccountDesk]:
    pool = await api.hub.database.pool(DbRole.OWNER, size=1)
    try:
        yield AccountDesk(pool, api.keys, api.hub.accounts.receipts)
    finally:
        await pool.close()


async def gets_token(api: Api, key: object) -> bool:
    signed = assertion(key, claims("risk-a", aud=api.hub.issuer.issuer))
    reply = await api.http.post("/oauth2/token", content=form(signed), headers=FORM)
    assert reply.status_code in {200, 401}
    return reply.status_code == 200


async def test_keys_overlap_and_then_the_old_one_is_worth_nothing(api: Api) -> None:
    old, new, third = api.client_keys["risk-a"], new_key("ES256"), new_key("ES256")
    async with owner_desk(api) as desk:
        await rotate_keys(desk, "risk-a", jwks(new), 14, operator="root")
        assert (await gets_token(api, old), await gets_token(api, new)) == (True, True)
        with pytest.raises(RefusedError) as refusal:
            await rotate_keys(desk, "risk-a", jwks(third), 14, operator="root")
        assert refusal.value.code == "ROTATION_UNDER_WAY"
        (line,) = [each for each in await list_clients(desk) if each["client"] == "risk-a"]
        assert len(line["keys"]) == 1
        assert line["oldKeysUntil"] > system_clock().isoformat()
        assert new.as_dict(private=False)["x"] not in json.dumps(line), "digests, not keys"
        await api.owner.execute("UPDATE access.client SET old_keys_until = now() WHERE client_id = 'risk-a'")
        assert (await gets_token(api, old), await gets_token(api, new)) == (False, True)
        # Somebody else got hold of a key: no overlap, whatever was agreed before.
        await rotate_keys(desk, "risk-a", jwks(third), 14, operator="root")
        await rotate_keys(desk, "risk-a", jwks(old), 0, operator="root")
        assert (await gets_token(api, new), await gets_token(api, third), await gets_token(api, old)) == (
            False, False, True,
        )  # fmt: skip
        for days in (-1, 91):
            with pytest.raises(InputError):
                await rotate_keys(desk, "risk-a", jwks(new), days, operator="root")
        with pytest.raises(RefusedError):
            await rotate_keys(desk, "nobody", jwks(new), 1, operator="root")


async def test_a_suspension_holds_from_the_next_query_on(api: Api) -> None:
    await api.basis(HEAD)
    token = await api.system_token()
    assert "CANARY" in (await api.ask(token, ASK, borrower(HEAD))).text
    async with owner_desk(api) as desk:
        await set_client_status(desk, "risk-a", "SUSPENDED", operator="root")
        refused = await api.ask(token, ASK, borrower(HEAD))
        assert "CANARY" not in refused.text
        assert "ASKER_SUSPENDED" in refused.text
        with pytest.raises(RefusedError):
            await set_client_status(desk, "risk-a", "SUSPENDED", operator="root")
        await set_client_status(desk, "risk-a", "ACTIVE", operator="root")
        assert "CANARY" in (await api.ask(token, ASK, borrower(HEAD))).text
        await set_client_status(desk, "risk-a", "CLOSED", operator="root")
        assert "CANARY" not in (await api.ask(token, ASK, borrower(HEAD))).text
        with pytest.raises(RefusedError):
            await set_client_status(desk, "risk-a", "ACTIVE", operator="root")


async def test_from_the_first_officer_on_nobody_else_may_be_named(api: Api) -> None:
    await api.basis(HEAD)
    token = await api.system_token()

    async def code(officer: str) -> str:
        text = (await api.ask(token, ASK, borrower(HEAD, officer=officer))).text
        return "CANARY" if "CANARY" in text else "OFFICER_UNKNOWN" if "OFFICER_UNKNOWN" in text else text

    assert await code("officer.li") == "CANARY"
    async with owner_desk(api) as desk:
        li, wang, zhao = Holder(LI, "岩罕"), Holder(WANG, "玉香"), Holder(ZHAO, "岩相")
        assert (await add_officers(desk, BANK_A, [Officer("officer.li", li)], operator="root"))[0] == 1
        assert (await add_officers(desk, BANK_A, [Officer("officer.li", li)], operator="root"))[0] == 0
        before = await api.entries()
        # The system's own id is no officer either; other banks have a register of their own.
        assert [await code(each) for each in ("officer.li", "officer.wang", "risk-a")] == [
            "CANARY", "OFFICER_UNKNOWN", "OFFICER_UNKNOWN",
        ]  # fmt: skip
        assert await api.entries() - before == 3, "a refused query is recorded too"
        # One person, one id; an id is one person's for good.
        api.keys.rotate()
        for officer, refusal in (
            (Officer("officer.2", li), "OFFICER_PER_PERSON"), (Officer("officer.li", wang), "OFFICER_ID_TAKEN"),
        ):  # fmt: skip
            with pytest.raises(RefusedError) as told:
                await add_officers(desk, BANK_A, [Officer("officer.new", zhao), officer], operator="root")
            assert told.value.code == refusal
            assert LI not in str(told.value)
        assert await code("officer.new") == "OFFICER_UNKNOWN", "all or none"
        await remove_officer(desk, BANK_A, "officer.li", operator="root")
        assert await code("officer.li") == "OFFICER_UNKNOWN"
        with pytest.raises(RefusedError):
            await remove_officer(desk, BANK_A, "officer.li", operator="root")
        assert (await add_officers(desk, BANK_A, [Officer("officer.li", li)], operator="root"))[0] == 1
        assert await code("officer.li") == "CANARY"
        with pytest.raises(InputError):
            await add_officers(desk, BANK_A, [Officer("a b", wang)], operator="root")
        with pytest.raises(RefusedError):
            await add_officers(desk, "402739999999", [Officer("x", wang)], operator="root")
    stored = await api.owner.fetch("SELECT * FROM access.officer")
    assert LI not in str(stored)


async def test_a_request_for_consent_names_a_registered_officer(api: Api) -> None:
    async with owner_desk(api) as desk:
        await add_officers(desk, BANK_A, [Officer("officer.li", Holder(LI, "岩罕"))], operator="root")
    with pytest.raises(Exception, match="officer not registered") as refused:
        await api.owner.execute(
            "INSERT INTO consent.request (request_id, organisation_id, client_id, actor, role, purpose, parts,"
            " valid_days, max_uses, identity_indexes, name_indexes, asked_at, expires_at)"
            " VALUES (gen_random_uuid(), $1, 'risk-a', 'officer.wang', 'BANK_RISK', 'LOAN_APPLICATION', '{x}', 1, 1,"
            " '{x}', '{x}', now(), now() + interval '1 day')",
            BANK_A,
        )
    assert getattr(refused.value, "sqlstate", "") == "HB175"


def test_files_of_holders_and_officers_are_read_or_refused_by_line(tmp_path: Path) -> None:
    today = system_clock().date() + timedelta(days=1)
    number = "53310319850101001X"
    good = next(f"{number[:17]}{last}" for last in "0123456789X" if check_holder(f"{number[:17]}{last}", "岩罕", today))
    file = tmp_path / "officers.csv"
    file.write_text(f"officer_id,id_number,name\nofficer.li,{good},岩罕\n", encoding="utf-8-sig")
    assert [(each.officer_id, each.holder.id_number) for each in read_officers(file)] == [("officer.li", good)]
    for text in ("", "id,number\n", "officer_id,id_number,name\n", "officer_id,id_number,name\na,1,b\n",
                 f"officer_id,id_number,name\na,{good}\n", f"officer_id,id_number,name\na,{good},b,c\n",
                 f"officer_id,id_number,name\na,{good},\n"):  # fmt: skip
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as refused:
            read_officers(file)
        assert good not in str(refused.value)
    with pytest.raises(InputError):
        read_officers(tmp_path / "missing.csv")
    holder = tmp_path / "holder.json"
    holder.write_text(json.dumps({"id_number": good, "name": " 岩罕 "}), encoding="utf-8")
    assert read_holder(holder, today) == Holder(good, "岩罕")
    for text in ("", "[]", "{}", json.dumps({"id_number": good[:-1] + "?", "name": "x"}),
                 json.dumps({"id_number": good, "name": " "})):  # fmt: skip
        holder.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as refused:
            read_holder(holder, today)
        assert good[:-1] not in str(refused.value)
