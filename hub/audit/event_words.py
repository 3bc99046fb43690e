"""What audit events mean, in words, for people who read their own list of accesses."""

from typing import Literal

from hub.audit.events import EVENTS

_EVENTS_ZH = {
    "breach:hub:told": "告知本人：一起安全事件涉及本人信息",
    "assistance:desk:begun": "有人协助本人查看自己的档案",
    "code:steward:issued": "核实身份后为本人打印了一次性协助查询码",
    "report:resident:issued": "本人领取了信用报告",
    "history:resident:queried": "本人查看了谁看过自己的数据",
    "household:resident:queried": "本人查看了自己的档案",
    "history:guardian:queried": "监护人查看了谁看过被监护人的数据",
    "household:guardian:queried": "监护人查看了被监护人的档案",
    "wards:guardian:listed": "监护人查看了自己的被监护人",
    "consent:guardian:agreed": "监护人表示同意，尚待本人同意",
    "consent:guardian:granted": "监护人代为同意",
    "consent:guardian:refused": "监护人代为拒绝",
    "consent:guardian:withdrawn": "监护人撤回了同意",
    "consent:resident:agreed": "本人表示同意，尚待监护人同意",
    "guardianship:hub:ended": "监护关系因死亡终止",
    "guardianship:steward:proposed": "数据管理员登记了监护关系，待复核",
    "guardianship:steward:decided": "另一名数据管理员复核了监护关系",
    "guardianship:steward:ended": "数据管理员终止了监护关系",
    "household:steward:shown": "数据管理员核对了档案与来源",
    "record:resident:annotated": "本人在档案中作了说明或撤回说明",
    "record:steward:amended": "数据管理员登记了主管机关的决定",
    "answer:auditor:replayed": "审计人员重现了一次过去的查询结果",
    "decision:auditor:explained": "审计人员核查了一次查询为何能看到或看不到",
    "decision:resident:explained": "本人查看了一次查询的解释",
    "profile:client:queried": "机构查询了借款人信用信息",
    "consent:client:requested": "机构向本人征求同意",
    "consent:hub:expired": "同意或请求到期",
    "consent:resident:granted": "本人同意",
    "consent:resident:refused": "本人拒绝",
    "consent:resident:suspended": "本人暂停了同意",
    "consent:resident:resumed": "本人恢复了同意",
    "consent:client:revoked": "机构终止了所获得的同意",
    "consent:hub:ended": "同意依法终止",
    "consent:hub:frozen": "同意记录存疑，已停止使用",
    "basis:client:declared": "机构申明了处理依据",
    "basis:official:declared": "工作人员申明了处理依据",
    "basis:official:decided": "第二人复核了处理依据",
    "basis:official:ended": "处理依据终止",
    "basis:hub:told": "告知本人：曾依据法定理由查询其信息",
    "basis:hub:unreviewed": "紧急查询逾期未复核",
    "consent:resident:withdrawn": "本人撤回了同意",
    "consent:steward:revoked": "他人依据事由终止了同意",
    "link:steward:decided": "数据管理员确认或否定了一条关联",
    "link:steward:shown": "数据管理员核对了一条未确认关联的记录",
    "quarantine:steward:shown": "数据管理员查看了一条被隔离的数据",
    "quarantine:steward:repaired": "数据管理员更正了一条被隔离的数据",
    "quarantine:steward:released": "数据管理员放行了一条被隔离的数据",
    "quarantine:steward:discarded": "数据管理员废弃了一条被隔离的数据，内容已销毁",
    "record:hub:folded": "档案已更新",
    "log:auditor:exported": "审计日志被导出，其中本人的明细可读",
    "session:person:begun": "本人登录",
    "account:operator:changed": "运行人员开立、变更或注销了本人账户",
    "enrolment:operator:issued": "运行人员当面核实本人身份后发放了通行密钥登记码",
    "passkey:person:enrolled": "本人登记了通行密钥",
    "passkey:operator:revoked": "本人的一把通行密钥被停用",
    "token:operator:issued": "运行人员为本人账户签发了沙箱访问令牌",
}


def event_meaning(event: str, language: Literal["zh", "en"]) -> str:
    """What an audit event means; in English where there are no Chinese words for it, empty for an unknown event."""
    english = EVENTS[event].meaning if event in EVENTS else ""
    return english if language == "en" else _EVENTS_ZH.get(event, english)
