"""Which operations reach the other adults of a household, from the fields of the operation to the log."""

from hub.core.fields import IDENTITY, ROSTER, TAX_GRADE, asks_others, named_parts_of

from .test_profile import profile_of
from .world import HEAD, WIFE, Api, borrower, canary

ASK = "query($input: BorrowerProfileInput!) {{ borrowerProfile(input: $input) {{ ... on BorrowerProfile {{ {} }} }} }}"


async def accesses(api: Api) -> list[int]:
    """How many entries of the log concern each of the two adults."""
    return [await api.owner.fetchval("SELECT audit.subject_count($1)", person.person_id) for person in (HEAD, WIFE)]


async def test_only_an_operation_that_names_others_reaches_them(api: Api) -> None:
    await api.basis(HEAD)
    await api.basis(WIFE)
    token = await api.system_token()
    without = await api.ask(token, ASK.format("adultsNotShown tax { grades { grade } }"), borrower(HEAD))
    assert profile_of(without)["adultsNotShown"] == 1
    assert await accesses(api) == [1, 0]
    query = ASK.format("adultsNotShown otherAdults { ageBand maskedIdNumber } tax { grades { grade } }")
    profile = profile_of(await api.ask(token, query, borrower(HEAD)))
    assert (len(profile["otherAdults"]), profile["adultsNotShown"]) == (1, 0)
    assert await accesses(api) == [2, 1]


async def test_others_alone_can_be_asked_for(api: Api) -> None:
    await api.basis(HEAD)
    await api.basis(WIFE)
    reply = await api.ask(
        await api.system_token(), ASK.format("completeness otherAdults { name } withheld { field }"), borrower(HEAD)
    )
    assert profile_of(reply) == {
        "completeness": "COMPLETE",
        "otherAdults": [{"name": canary(WIFE.person_id, "identity/VALUE", "name")}],
        "withheld": [],
    }


async def test_without_consent_the_others_are_said_to_be_withheld(api: Api) -> None:
    await api.basis(WIFE)
    reply = await api.ask(
        await api.system_token(), ASK.format("completeness otherAdults { name } withheld { field reason }"),
        borrower(HEAD),
    )  # fmt: skip
    profile = profile_of(reply)
    assert (profile["completeness"], profile["otherAdults"]) == ("PARTIAL", None)
    assert {entry["field"] for entry in profile["withheld"]} == {"otherAdults", "otherAdults.name"}
    assert "CANARY" not in reply.text


def test_fields_of_others_ask_nothing_about_the_person_named() -> None:
    fields = {"BorrowerProfile.otherAdults", "OtherAdult.name", "TaxSection.grades", "BorrowerProfile.adultsNotShown"}
    assert named_parts_of(fields) == (ROSTER, TAX_GRADE)
    assert asks_others(fields)
    assert not asks_others({"IdentitySection.name", "TaxSection.grades", "BorrowerProfile.adultsNotShown", "Query.x"})
    assert named_parts_of({"IdentitySection.name", "OtherAdult.name"}) == (IDENTITY,)
