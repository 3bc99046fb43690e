"""Rows of all five agencies with canaries in every forbidden field, in records that may only be counted, in deletions,
and in rows that cannot be read; with controls in fields that the hub keeps.
"""

from typing import Any

import orjson

from tests.connectors.civil_agency import element
from tests.connectors.clinic_agency import CLINIC
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import MINOR_BORN, Agencies, citizen
from tests.done.canaries import Tag
from tests.done.cases_bank_clinic import consent, line, loan
from tests.done.cases_tax_social import social_row, tax_record

CHILD = citizen(MINOR_BORN, 55)
DISABLED = citizen("19710101", 66)
TAIL = "47"
GUARANTOR = citizen("19820202", 71)

TAX_FORBIDDEN = ("mz", "sjnse", "beizhu")
CLINIC_FORBIDDEN = ("科室", "诊断", "病历号", "药品明细", "与患者关系", "民族", "医生")
CIVIL_FORBIDDEN = ("mz", "zzmm", "cjlb", "cjdj")
BANK_FORBIDDEN = ("account_no", "phone", "ethnic", "health_status", "remark")
"""The forbidden fields of each document, and at the end one that is not documented at all."""


def put_canaries(agencies: Agencies, never: Tag, kept: Tag) -> None:
    """``never`` must be found nowhere afterwards; ``kept`` stands where the hub keeps a text in clear."""
    _tax(agencies, never, kept)
    _clinic(agencies, never, kept)
    _civil(agencies, never)
    _bank(agencies, never)


def texts(never: Tag, place: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: never.text(f"{place}{number}") for number, name in enumerate(names)}


def _tax(agencies: Agencies, never: Tag, kept: Tag) -> None:
    forbidden = texts(never, "tax", TAX_FORBIDDEN)
    amount = orjson.loads(never.number(14) + ".25")
    agencies.tax_records += [
        tax_record("DJ", 1, **forbidden, nsrmc=kept.text("公司")),
        tax_record("XY", 2, **forbidden, sqrxx={"inside": never.text("taxobject")}) | {"sjnse": amount},
        tax_record("XY", 3, **forbidden, xyjb="Z"),
        tax_record("XY", 4, **forbidden, jyzsfzjhm=CHILD, jyzxm=never.text("taxminor"), nsrmc=never.text("taxname")),
        tax_record("QS", 5, **forbidden, jyzxm=never.text("taxexpired"), nsrmc=never.text("taxexpiredname"),
                   qsfsrq="2010-01-01", ggrq="2010-02-01", jqrq="2011-01-01", qsye="0.00", sqsbh=never.text("taxsq")),
        tax_record("XY", 6, **forbidden, zfbz="Y", jyzxm=never.text("taxdeleted"), nsrmc=never.text("taxdeletedname")),
        tax_record("XY", 7, **forbidden, ywbh=None),
        tax_record("XY", 8, **forbidden, ver="1"),
        tax_record("XY", 9, **forbidden) | {never.digits + never.digits: "named after a number"},
        never.text("taxrow"),
        [never.text("taxlist")],
    ]  # fmt: skip


def _clinic(agencies: Agencies, never: Tag, kept: Tag) -> None:
    forbidden = texts(never, "clinic", CLINIC_FORBIDDEN)
    where = {"现住址": never.text("address"), "联系电话": never.number(11)}
    lines = [
        clinic_line(欠费单号=f"{kept.word}a", **forbidden, **where),
        clinic_line(欠费单号=f"{kept.word}b", **forbidden, 应付金额="四百", 欠费人姓名=kept.text("姓名")),
        clinic_line(欠费单号="c", **forbidden, **where, 证件号码=CHILD, 欠费人姓名=never.text("minor")),
        clinic_line(欠费单号="d", **forbidden, **where, 欠费人姓名=never.text("expired"), 结算日期="2010-01-01",
                    结清日期="2011-01-01", 已付金额="100", 欠费余额="0", 恶意拖欠决定书号=never.text("decision"),
                    告知日期="2010-12-01"),
        clinic_line(欠费单号="", **forbidden),
        clinic_line(欠费单号="e", **forbidden, 证件号码="", 欠费人姓名=kept.text("无人")),
    ]  # fmt: skip
    name = agencies.put_clinic_list("20261018", lines)
    path = agencies.clinic.outbox / CLINIC / "20261018" / name
    short = f"{CLINIC},f,{never.text('short')}\r\n".encode("gb18030")
    agencies.clinic.put(name, path.read_bytes() + short, RECORDS="7", AMOUNT_TOTAL="300.00")
    agencies.put_clinic_list("20261017", lines, RECORDS="99")


def _civil(agencies: Agencies, never: Tag) -> None:
    forbidden = texts(never, "civil", CIVIL_FORBIDDEN)
    rows = agencies.civil.rows
    agencies.put_roster(
        {"cybh": "C1", **forbidden},
        {"cybh": "C2", "xm": "思月", "sfzjhm": DISABLED + TAIL, **forbidden},
        {"cybh": "C3", "xm": "岩旺", "sfzjhm": citizen(serial=67) + TAIL, "yhzgx": "03", **forbidden},
        {"cybh": "C4", "scbz": "1", "xm": never.text("deleted"), **forbidden},
        {"cybh": "", **forbidden},
    )
    orphan = {"jzlx": "04", "hubh": never.text("orphan"), "ksrq": never.text("start"), "jsrq": never.text("end"),
              "bzrs": never.text("persons"), "yjzje": never.number(10)}  # fmt: skip
    rows["relief"] += [element("relief", **orphan), element("relief", jzbh="J2", **forbidden)]
    cy = f"<cybh>C1</cybh><yhzgx></yhzgx><ysfzjhm>{DISABLED}{TAIL}</ysfzjhm><xsfzjhm>1</xsfzjhm>"
    cy += "".join(f"<{name}>{text}</{name}>" for name, text in forbidden.items())
    rows["events"].append(element("event", sjlx="05", cy=cy))


def _bank(agencies: Agencies, never: Tag) -> None:
    forbidden = texts(never, "bank", BANK_FORBIDDEN) | {"account_no": never.number()}
    nested = {"health_status": {"inside": never.text("nested")}}
    guarantor = {"id_no": GUARANTOR, "name": never.text("guarantor"), "consent_id": None, **forbidden}
    stranger = guarantor | {"name": never.text("stranger"), "consent_id": consent()["consent_id"]}
    minor = {"id_no": CHILD, "name": never.text("minor"), "consent_id": "10000000-0000-4000-8000-000000000000"}
    agencies.put_bank_file(1, "2026-10-19", [
        consent(**forbidden),
        line(1, **(forbidden | nested)),
        loan(2, **forbidden, guarantors=[guarantor, stranger]),
        loan(3, **forbidden, overdue_days=1, guarantors=[guarantor, stranger]),
        line(4, **forbidden, consent_id=None),
        line(5, **forbidden, **minor),
        consent(minor["consent_id"], **forbidden, id_no=CHILD, name=minor["name"]),
        loan(6, **forbidden, name=never.text("expired"), five_class="5", notice_date="2010-01-01",
             adverse_ended_on="2011-01-01", product_code=never.text("product")),
        line(7, **forbidden, op="D", name=never.text("deleted")),
        line(8, **forbidden, line_no=None),
        line(9, **forbidden, rt=None),
        orjson.dumps(line(10, **forbidden))[:-1],
        orjson.dumps([never.text("list")]),
    ])  # fmt: skip
    refused = agencies.put_bank_file(2, "2026-10-19", [line(11, **forbidden)])
    agencies.bank.files[f"{refused}.jws"] = never.text("signature").encode()


async def put_social_canaries(agencies: Agencies, never: Tag) -> None:
    """The columns that are not granted, rows that may only be counted, a deletion."""
    hidden = {"aac005": never.chinese[:2], "aae180": never.digits, "aka120": never.word}
    await agencies.social.insert(**social_row(1), **hidden)
    await agencies.social.insert(**social_row(2, aac031="9"), **hidden)
    await agencies.social.insert(**social_row(3, aac002=CHILD, aac003=never.text("social")), **hidden)
    await agencies.social.insert(**social_row(4, aae100="0", aac003=never.text("socialdeleted")), **hidden)
