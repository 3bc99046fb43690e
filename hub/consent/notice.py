"""The words that a person reads before saying yes: what for, which data, how long, and what they can lead to."""

from typing import TYPE_CHECKING

from hub.core.names import Category, Form, Purpose

if TYPE_CHECKING:
    from hub.consent.terms import OpenRequest

NOTICE_VERSION = "2026-3"
"""Version of the words of :func:`notice_text`; a new wording gets a new one."""

KNOWN_NOTICES = frozenset({"2026-2", NOTICE_VERSION})
"""Versions that a form which comes in may carry, if its words are those of today; 2026-3 adds a line for programmes."""

WRITTEN_NOTICE_CATEGORIES: dict[Category, tuple[str, str]] = {
    Category.TAX_BAND: ("纳税额和收入", "tax and income"),
}
"""Categories that need written consent after notice of the adverse consequences (征信业管理条例 art. 14(2)).

The article lists income, deposits, securities, commercial insurance, real estate and tax amounts; of these the record
holds bands of tax and declared income. A new category of that list goes here and into its class in hub/access/parts.py.
"""

PURPOSE_WORDS: dict[Purpose, tuple[str, str]] = {
    Purpose.LOAN_APPLICATION: ("审批您的贷款申请", "to decide on your application for a loan"),
    Purpose.CARD_APPLICATION: ("审批您的贷记卡申请", "to decide on your application for a credit card"),
    Purpose.GUARANTOR_REVIEW: ("审核您作为担保人的资格", "to review you as a guarantor"),
    Purpose.ENTERPRISE_PRINCIPAL_REVIEW: (
        "审核您作为法定代表人或出资人的资格",
        "to review you as legal representative or investor",
    ),
    Purpose.POST_LOAN_REVIEW: ("对您未结清的贷款进行贷后管理", "to look after your loan until it is repaid"),
    Purpose.BENEFIT_ELIGIBILITY: (
        "核对您是否符合惠民项目条件，只回答是、否或无法判断",
        "to tell whether you are eligible for a programme: yes, no or cannot say",
    ),
}
"""The purposes that a person can be asked for; how much each may allow stands in the database (``consent.purpose``)."""

CATEGORY_WORDS: dict[Category, tuple[str, str]] = {
    Category.ROSTER: ("家庭所在地、人数和状态", "where the household lives, its size and status"),
    Category.IDENTITY: ("姓名、部分隐藏的身份证号、年龄段", "name, partly hidden ID number, age band"),
    Category.TAX_REGISTRATION: ("税务登记", "tax registrations"),
    Category.TAX_GRADE: ("纳税信用级别", "tax credit grades"),
    Category.TAX_ARREARS: ("欠税", "tax arrears"),
    Category.TAX_BAND: ("纳税额和申报收入区间", "bands of tax paid and income declared"),
    Category.SOCIAL_INSURANCE: ("社会保险参保情况", "social insurance"),
    Category.CLINIC_ARREARS: ("卫生院医药费欠款", "arrears at township clinics, nothing medical"),
    Category.CIVIL_RELIEF: ("是否正在享受社会救助", "relief in force"),
    Category.BANK_LINE: ("授信额度", "credit lines"),
    Category.BANK_LOAN: ("贷款", "loans"),
    Category.ADVERSE: ("不良信息", "adverse items"),
    Category.CONFLICT: ("各部门数据不一致之处", "where sources disagree"),
    Category.ELIGIBILITY: ("是否符合项目条件", "whether you are eligible"),
}

FORM_WORDS: dict[Form, tuple[str, str]] = {
    Form.VALUE: ("明细", "in detail"),
    Form.BAND: ("仅区间", "as a band only"),
    Form.TOTAL: ("其他机构仅汇总", "other lenders only as a total"),
    Form.YES_NO: ("仅是或否", "yes or no only"),
}

HEIGHTENED_NOTICE = (
    "特别提示：纳税额和收入区间可能使您的申请被拒绝、额度降低或利率提高。只有您在了解这些不利后果后书面同意，才会提供。",
    "Please note: bands of tax and income may lead to a refusal, a smaller loan or a higher rate. They are given only"
    " if you agree in writing after reading this.",
)
"""The notice of adverse consequences (征信业管理条例 art. 14(2), 19)."""


PROGRAMME_NOTICE = (
    "项目：{nameZh}（{id} 第{version}版，依据：{document}）。只用于这一版；条件变更后须重新征得您的同意。",
    "for the programme {nameEn} ({id}, version {version}, under: {document}), for this version only: another condition"
    " needs another yes of yours,",
)
"""Which programme a consent is for (个人信息保护法 art. 14(2))."""

MINOR_NOTICE = (
    "此请求涉及一名未成年人的信息。已满14周岁的，须监护人和本人都同意才有效；任何一方都可以随时撤回，立即生效。年满18周岁时自动失效。",
    "This is about the data of a minor. From the age of 14 on it counts only if a guardian and the minor both agree;"
    " each of them may take it back at any time, at once. It ends by itself at the age of 18.",
)
"""What whoever agrees about a minor has to know (民法典 art. 17 to 20)."""

CHILD_NOTICE = (
    "特别提示：不满14周岁的儿童的个人信息都是敏感个人信息。是否提供由监护人决定，不同意不会影响孩子的任何其他权益；"
    "只向上述机构、只为上述目的提供，到期删除。监护人须单独确认已阅读本提示。",
    "Please note: all data of a child under 14 are sensitive. A guardian decides whether they are given; refusing harms"
    " no other right of the child. They are given to this organisation and for this purpose only, and deleted when"
    " it is over. A guardian has to accept this notice separately.",
)
"""The separate notice for children under 14 (个人信息保护法 art. 28, 30, 31)."""


def needs_written_notice(part: str) -> bool:
    """Whether a part (``category/FORM``) needs the heightened notice."""
    return part.partition("/")[0] in WRITTEN_NOTICE_CATEGORIES


def notice_text(request: "OpenRequest", parts: tuple[str, ...]) -> str:
    """The words that the person reads before saying yes: Chinese first, then English. Its hash is in the record.

    What needs the heightened notice is listed apart, after that notice (征信业管理条例 art. 14(2)). About a minor there
    are further notices.
    """
    zh_purpose, en_purpose = PURPOSE_WORDS[request.purpose]
    lines = [part_words(request.purpose, key) for key in parts if not needs_written_notice(key)]
    apart = [part_words(request.purpose, key) for key in parts if needs_written_notice(key)]
    zh = [
        f"“{request.name_zh}”请求查询您的信用信息。",
        f"目的：{zh_purpose}。只能用于这个目的，不得转给他人。",
        f"有效期：最多 {request.valid_days} 天，最多查询 {request.max_uses} 次。",
        "内容：" + ("；".join(line[0] for line in lines) or "无") + "。",
    ]
    en = [
        f"“{request.name_en}” asks to see your credit information,",
        f"{en_purpose}, for no other purpose and for nobody else,",
        f"for at most {request.valid_days} days and {request.max_uses} queries:",
        ("; ".join(line[1] for line in lines) or "nothing") + ".",
    ]
    if request.programme is not None:
        zh.insert(2, PROGRAMME_NOTICE[0].format(**request.programme))
        en.insert(2, PROGRAMME_NOTICE[1].format(**request.programme))
    if apart:
        zh += [HEIGHTENED_NOTICE[0], "须另行书面同意的内容：" + "；".join(line[0] for line in apart) + "。"]
        en += [HEIGHTENED_NOTICE[1], "To be agreed to separately: " + "; ".join(line[1] for line in apart) + "."]
    if request.minor is not None:
        for notice in (MINOR_NOTICE, *([CHILD_NOTICE] if request.minor.is_child else [])):
            zh.append(notice[0])
            en.append(notice[1])
    zh.append("您可以不同意，也可以只同意一部分。您可以随时撤回或暂停，立即生效，不需要理由。")
    en.append(
        "You may refuse, or agree to a part. You may take it back or pause it at any time, at once, for no reason."
    )
    return "\n".join(zh) + "\n\n" + " ".join(en)


def part_words(purpose: Purpose, key: str) -> tuple[str, str]:
    """A part (``category/FORM``) in words, Chinese and English. For a benefit programme the hub reads what it is worked
    out from and gives none of it away, and the words say so.
    """
    category, _, form = key.partition("/")
    (zh, en), (zh_form, en_form) = CATEGORY_WORDS[Category(category)], FORM_WORDS[Form(form)]
    if purpose is Purpose.BENEFIT_ELIGIBILITY and category != Category.ELIGIBILITY:
        return f"{zh}（仅由平台读取，不提供给对方）", f"{en} (read by the hub only, not given away)"
    return f"{zh}（{zh_form}）", f"{en} ({en_form})"
