"""What the schema says to people, in Chinese and in English; codes are stable, no text repeats a value."""

from typing import Literal

Language = Literal["zh", "en"]

_TEXTS: dict[str, tuple[str, str]] = {
    "INVALID_INPUT": ("输入有误，请按各字段的提示修改。", "The input was refused; see the fields."),
    "ID_NUMBER_INVALID": (
        "身份证号不正确：应为18位（或15位旧号），且校验位相符。",
        "This is no identity number: it has 18 characters (15 in the old form) and a check character.",
    ),
    "NAME_MISSING": ("请填写姓名。", "The name is missing."),
    "ID_MALFORMED": ("编号格式不正确。", "This is no id that the hub has given out."),
    "NOTHING_ASKED": (
        "请至少选择一个档案字段（例如 identity 或 tax 中的字段）。",
        "Ask for at least one field of the record, for instance in `identity` or `tax`.",
    ),
    "OFFICER_MISSING": (
        "机构系统查询时必须写明经办人（officer）。",
        "A system must name the officer on whose behalf it asks (`officer`).",
    ),
    "OFFICER_MALFORMED": (
        "经办人编号只能包含字母、数字和 . _ @ -，最多64位。",
        "An officer's id has letters, digits and . _ @ - only, at most 64.",
    ),
    "OFFICER_UNKNOWN": (
        "经办人未在本机构名册中登记（用户实名制）。",
        "The officer is not in the register of his organisation.",
    ),
    "OFFICER_NOT_YOURS": (
        "个人账户不能代他人操作，请去掉 officer。",
        "A person's account acts for itself; leave `officer` out.",
    ),
    "KEY_MALFORMED": (
        "幂等键只能包含字母、数字和 . _ : -，最多64位。",
        "An idempotency key has letters, digits and . _ : - only, at most 64.",
    ),
    "KEY_BUSY": ("同一请求正在处理，请稍候。", "The same change is being made at this moment; wait for it."),
    "KEY_REUSED": ("此幂等键已用于另一操作。", "This idempotency key stands for another change."),
    "REFERENCE_MALFORMED": (
        "申请编号只能包含字母、数字和 . _ / -，最多64位。",
        "An application reference has letters, digits and . _ / - only, at most 64.",
    ),
    "PURPOSE_NOT_REGISTERED": ("本系统未登记此目的。", "This system is not registered for that purpose."),
    "PURPOSE_WITHOUT_CONSENT": ("此目的不能征求同意。", "Nobody can be asked to consent for that purpose."),
    "PART_NOT_OPEN": (
        "所请求的某项数据在此目的下不对本角色开放。",
        "A part was asked for that is open to nobody in this role for this purpose.",
    ),
    "PARTS_MISSING": ("请至少选择一项数据。", "Choose at least one part."),
    "PARTS_NOT_ASKED": ("同意的范围不能超出请求。", "A consent cannot cover more than was asked for."),
    "CONSENT_CAP": ("天数或次数超出此目的的上限。", "Days or queries are beyond what the purpose allows."),
    "CONSENT_TERMS": ("条款与请求不一致。", "The terms differ from what was asked for."),
    "ASKER_REFUSED": ("本系统不得征求同意。", "This system may not ask for consent."),
    "ASKER_UNKNOWN": ("调用方未登记。", "The asker is not registered."),
    "ASKER_SUSPENDED": ("调用方的登记已暂停或注销。", "The asker's registration is suspended or closed."),
    "HOLDER_KEY_MALFORMED": ("持有人公钥应为 P-256 公钥（JWK）。", "A holder's key is a public P-256 key, as a JWK."),
    "DECISION_UNKNOWN": ("您没有此项决定，或它不是“否”。", "There is no such decision about you, or it is no refusal."),
    "REVIEW_STANDS": ("此项决定正在复核或已复核。", "The decision is under review, or was reviewed."),
    "ELIGIBILITY_REVIEW_UNKNOWN": ("没有可由您决定的此项复核。", "There is no such review for you to decide."),
    "PROGRAMME_UNKNOWN": (
        "本机构没有可询问的此项目。",
        "Your organisation has no such programme that may be asked now.",
    ),
    "PROGRAMME_MISSING": (
        "惠民机构征求同意须指明一个项目。",
        "A benefit provider asks for consent for one programme: name it.",
    ),
    "PROGRAMME_MALFORMED": (
        "项目编号为2至40位小写字母、数字或连字符。",
        "A programme's id has 2 to 40 small letters, digits and hyphens.",
    ),
    "TOKEN_REVOKED": ("访问令牌已被撤销。", "The access token was taken back."),
    "NOT_AN_ADULT": (
        "成年人独自决定；未成年人由监护人决定，满14周岁的须本人一并同意。",
        "An adult decides alone; for a minor a guardian does, together with the minor from the age of 14 on.",
    ),
    "REQUEST_NOT_OPEN": ("没有等待您答复的此请求。", "There is no such request waiting for an answer of yours."),
    "REQUEST_UNKNOWN": ("本机构没有此请求。", "There is no such request of your organisation."),
    "CONSENT_NOT_IN_FORCE": ("您没有此项有效的同意。", "There is no such consent of yours in force."),
    "EVIDENCE_TOO_LOW": ("同意的证据级别不够。", "The proof that the person agreed is too weak for this purpose."),
    "CHANGED_MEANWHILE": ("另有更新的决定，请重新查看。", "Another decision came first; look again."),
    "CONSENT_DAMAGED": ("存档的同意记录已损坏，已冻结。", "The stored record is not what was signed."),
    "BATCH_MALFORMED": (
        "批次格式不符，未作任何处理，请保留设备中的采集单。",
        "The batch is not as its schema has it; nothing was taken, keep the slips on the device.",
    ),
    "BATCH_SIGNATURE": ("批次不是由该设备的密钥签名。", "The batch is not signed by the key of this device."),
    "DEVICE_REFUSED": (
        "此设备未登记在您名下，或已挂失。",
        "This device may not deliver: it is not registered to you, or lost.",
    ),
    "FINGERPRINT_REFUSED": (
        "平台不收集指纹等生物识别信息。请遮盖纸上指印后重新拍照。",
        "Fingerprints and other biometric data are never taken. Cover the print and photograph the form again.",
    ),
    "CAPTURE_UNKNOWN": ("没有可由您复核的此采集单。", "There is no such capture for you to look at."),
    "REVIEWER_CONCERNED": (
        "您参与了此次采集或与本人同户，应由他人复核。",
        "You took part in this capture, or it is about your household; another reviewer decides.",
    ),
    "CAPTURE_CLOSED": (
        "此采集单已处理、被阻止或请求已结束，不能核实。",
        "This capture cannot be verified: it is decided, blocked, or its request is over.",
    ),
    "CALL_BACK_NEEDED": ("被抽中回访，须先与本人核实。", "The person was drawn to be called back first."),
    "EVIDENCE_MISSING": ("所申报的影像证据尚未提交。", "Evidence that was announced has not come yet."),
    "EVIDENCE_ALTERED": (
        "采集单或证据与设备签名不符，已冻结。",
        "The capture or its evidence is not what the device signed; it is blocked.",
    ),
    "EVIDENCE_UNKNOWN": ("没有可由您查看的此证据。", "There is no such evidence for you to look at."),
    "CAUSE_MISMATCH": (
        "核实时不填事由，否决时须填。",
        "A cause is given if, and only if, the capture is rejected.",
    ),
    "BASIS_REFUSED": ("您不能申明此类依据。", "You may not declare a basis of this kind."),
    "BASIS_REFERENCE": ("依据编号格式不符。", "The reference has not the form that this kind of basis needs."),
    "NO_LIVE_LOAN": ("没有此笔未结清贷款。", "Your organisation has no such live loan to this person."),
    "BASIS_STANDS": ("已有同类有效依据。", "A basis of this kind is in force already; end it first."),
    "BASIS_UNKNOWN": ("没有可由您处理的此依据。", "There is no such basis for you to decide on."),
    "CATEGORY_UNKNOWN": ("没有这个数据类别。", "There is no such category."),
    "PAGE_SIZE": ("每页条数应为1至100。", "A page has 1 to 100 items."),
    "CURSOR_MALFORMED": ("游标无效，请使用上一页返回的游标。", "This is no cursor; use one from the page before."),
    "INSTANT_MALFORMED": (
        "时间应为带时区的 ISO 8601 格式，例如 2026-10-20T09:00:00+08:00。",
        "An instant is ISO 8601 with its offset, for instance 2026-10-20T09:00:00+08:00.",
    ),
    "REASON_MISSING": ("请写明事由，1至500字。", "Say which case this is for, in 1 to 500 characters."),
    "TEXT_MALFORMED": (
        "文字中不得有控制字符，须为规范形式。",
        "A text is plain, of one line and in normal form (NFC).",
    ),
    "SOURCE_KEY_MISSING": ("按证件号关联的行须逐行查询。", "Rows linked by number are asked for one by one."),
    "LINK_MEMBER": (
        "仅在认定为某人（LINK）时填写成员编号。",
        "A member is named if, and only if, the row is linked to him.",
    ),
    "MEMBER_UNKNOWN": ("没有此编号的成年成员。", "There is no adult member with this number."),
    "ADVERSE_UNKNOWN": ("您的档案中没有显示此条目。", "No such item is shown in your record."),
    "STATEMENT_MISSING": ("没有可撤回的声明。", "There is no statement to take back."),
    "STATEMENT_LENGTH": ("声明应为1至500字。", "A statement has 1 to 500 characters."),
    "STATEMENT_TEXT": ("声明只能是普通文字。", "A statement is plain text."),
    "STATEMENT_NUMBER": ("声明中请勿填写身份证号。", "Leave ID numbers out of a statement: lenders read it."),
    "REVIEW_UNKNOWN": ("没有此待复核的行，或已有新版本。", "There is no such row any more; list the reviews again."),
    "REVIEW_DECIDED": (
        "此行的认定次数与您所见不符，请重新查看。",
        "It has another number of decisions than you were shown; show it again.",
    ),
    "ROW_HELD_BACK": (
        "证件号损坏的行不能关联，请在隔离区修复。",
        "A row with a damaged number is repaired, not linked.",
    ),
    "NOT_LINKED": ("此行目前没有关联到任何人。", "The row is linked to nobody."),
    "PULL_RUNNING": ("正在拉取数据，请稍后再试。", "Sources are being read; try again in a moment."),
    "PULL_UNSETTLED": ("上次拉取中断，请先重新拉取。", "The last pull was broken off; it has to be run again first."),
    "QUARANTINE_UNKNOWN": ("没有此隔离编号。", "There is no such quarantine entry."),
    "QUARANTINE_CLOSED": (
        "此条已由来源、拉取或他人处理。",
        "The agency, a pull or another steward has dealt with this entry.",
    ),
    "REPAIR_OUT_OF_AREA": (
        "更正后此行属于其他县市的人，未作任何更改。",
        "The corrected row is about somebody of a county not yours; nothing was changed.",
    ),
    "QUARANTINE_STILL_BREAKS": ("该行仍不合规，未作任何更改。", "The row still breaks rules; nothing was changed."),
    "QUARANTINE_NOT_KEPT": ("该行依法仅计数，未保留内容。", "Nothing of such a row may be kept but the count."),
    "CORRECTION_MALFORMED": (
        "更正内容有误：字段须为该来源的字段，值为单行文本或整数，且不得与已有数据重复。",
        "A correction names a field of that source, once, with a text of one line or a whole number.",
    ),
    "SOURCE_UNKNOWN": ("没有此来源。", "No source of that name has been pulled."),
    "DAYS": ("天数应为1至366。", "A period has 1 to 366 days."),
    "AREA_UNKNOWN": (
        "区域代码应为以5331开头的4、6、9或12位数字。",
        "An area code has 4, 6, 9 or 12 digits and begins with 5331.",
    ),
    "DAYS_RANGE": ("天数应为1至400。", "A scorecard spans 1 to 400 days."),
    "AREA_LEVEL": ("层级不能高于所查区域。", "The level lies above the area."),
    "WARD_UNKNOWN": ("您没有这样的被监护人。", "There is no such ward of yours."),
    "NEVER_FOR_MINORS": (
        "未成年人的信息不得为此向该机构提供。",
        "Nothing of a minor is ever given to this organisation for this.",
    ),
    "AGREED_ALREADY": ("您已经表示过同意。", "You have agreed to this already."),
    "CHILD_NOTICE_MISSING": (
        "不满14周岁儿童的信息，须由监护人单独确认告知书。",
        "Data of a child under 14 need the guardian's separate yes to the notice about children.",
    ),
    "NOTHING_IN_COMMON": (
        "监护人和本人没有共同同意的内容。",
        "Guardian and minor agreed to nothing in common.",
    ),
    "OUT_OF_AREA": ("不在您的辖区内。", "The area is not yours."),
    "NOT_ALLOWED": ("您无权进行此操作。", "You may not do that."),
    "NOT_FOUND": ("没有找到，或您无权查看。", "There is no such thing, or you may not know of it."),
    "CONFLICT": ("状态已被更改，请刷新后重试。", "Somebody changed it first; read it again."),
    "INTERNAL": (
        "系统内部错误，未返回任何数据。请将请求编号告知管理员。",
        "An internal error; nothing was returned. Tell the operator the request id.",
    ),
    "UNAUTHENTICATED": ("请先取得访问令牌。", "An access token is needed."),
}


def text(code: str, language: Language) -> str:
    """The text of a code; a code without a text of its own gets that of :code:`NOT_ALLOWED`."""
    chinese, english = _TEXTS.get(code) or _TEXTS["NOT_ALLOWED"]
    return english if language == "en" else chinese


def has_text(code: str) -> bool:
    """Whether the code has a text of its own."""
    return code in _TEXTS


def language_of(accept_language: str) -> Language:
    """The language asked for by an ``Accept-Language`` header; Chinese unless English is preferred to it."""
    best: tuple[float, Language] = (0.0, "zh")
    for item in accept_language.split(",")[:10]:
        tag, _, quality = item.partition(";q=")
        language: Language | None = {"zh": "zh", "en": "en"}.get(tag.strip().lower()[:2])  # type: ignore[assignment]
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if language is not None and weight > best[0]:
            best = (weight, language)
    return best[1]
