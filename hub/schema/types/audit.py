"""The audit log as its readers see it: a resident his list of accesses, a regulator the entries with their proofs."""

from typing import Annotated

import strawberry

from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.scalars import DateTime, Digest


@strawberry.type(description="分页位置。 Where a page lies.")
class PageInfo:
    """Pages go from the newest to the oldest."""

    has_next_page: bool = strawberry.field(description="后面是否还有。 Whether more follows.")
    has_previous_page: bool = strawberry.field(description="前面是否还有。 Whether more precedes.")
    start_cursor: str | None = strawberry.field(description="首条游标。 Its first cursor.")
    end_cursor: str | None = strawberry.field(description="末条游标。 Its last cursor; go on with it.")


@strawberry.type(description="一次查询或操作。 One access to the resident's data.")
class Access:
    """One entry of the resident's own list."""

    id: strawberry.ID = strawberry.field(description="审计事件编号。 The audit event.")
    number: int = strawberry.field(description="在本人清单中的序号。 Its place in the resident's list, from 1.")
    at: DateTime = strawberry.field(description="时间。 When.")
    event: str = strawberry.field(description="事件代码。 What happened, by its code.")
    meaning: str = strawberry.field(description="事件说明。 What happened, in words.")
    organisation: str | None = strawberry.field(description="机构名称；本人操作时为空。 Who; null for oneself.")
    organisation_id: strawberry.ID | None = strawberry.field(description="机构编号。 The organisation's id.")
    purpose: str | None = strawberry.field(description="目的。 What for.")
    decision: str = strawberry.field(description="allow、mask 或 deny。 Whether all, some or nothing was given.")
    categories: list[str] = strawberry.field(
        description="所开放的数据类别，无论当时有无数据。 Categories that were opened, even if they were empty."
    )
    assistant: str | None = strawberry.field(
        description="由谁协助本人查看（柜台账户或人员）。 Who helped the resident to look, at a desk or counter."
    )
    assistance_reason: str | None = strawberry.field(
        description="为何协助：NO_PHONE、NO_SIGNAL、CANNOT_READ、DISABILITY。 Why help was needed."
    )
    is_intact: bool = strawberry.field(description="记录是否完好。 Whether the entry is as it was signed.")


@strawberry.type(description="清单中的一条。 One access in a page.")
class AccessEdge:
    """An access and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: Access = strawberry.field(description="该条。 The access.")


@strawberry.type(
    description="谁看过我的数据，新的在前；无缺漏经过核对。 Who looked, newest first; checked to have no gap."
)
class AccessConnection:
    """A page of the resident's own list."""

    edges: list[AccessEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")
    total: int = strawberry.field(description="总条数。 How many there are.")


@strawberry.type(description="包含证明（RFC 9162）。 A Merkle inclusion proof (RFC 9162).")
class InclusionProof:
    """Proves an entry to be in the signed log."""

    tree_size: str = strawberry.field(description="日志大小。 Size of the log it proves against.")
    path: list[str] = strawberry.field(description="由叶到根的路径，base64。 The path from leaf to root, base64.")
    checkpoint: str = strawberry.field(description="签名的日志头（C2SP）。 The signed head of the log.")
    receipt: str = strawberry.field(
        description="完整的离线回执。 All of it as one tlog-proof, for an offline verifier."
    )


@strawberry.type(description="审计日志的一条；不含个人数据。 One entry of the audit log; it holds no personal data.")
class AuditEvent:
    """As it was signed."""

    id: strawberry.ID = strawberry.field(description="事件编号。 The event.")
    index: str = strawberry.field(description="在日志中的序号。 Its place in the log, from 0.")
    kind: str = strawberry.field(description="大类。 The class of event.")
    event: str = strawberry.field(description="事件代码。 What happened.")
    recorded_at: DateTime = strawberry.field(description="时间。 When it was written.")
    organisation_id: str = strawberry.field(description="机构编号；空为本人。 Who acted; empty for a resident.")
    purpose: str | None = strawberry.field(description="目的。 What for.")
    decision: str = strawberry.field(description="allow、mask 或 deny。 How it ended.")
    policy: str = strawberry.field(description="规则版本。 The version of the rules.")
    leaf: Digest = strawberry.field(description="叶摘要。 Digest of the entry, the leaf of the tree.")
    entry: str = strawberry.field(description="条目原文。 The entry as signed.")
    inclusion_proof: InclusionProof | None = strawberry.field(description="包含证明。 Its proof.")


@strawberry.type(description="日志的一条。 One event in a page.")
class AuditEventEdge:
    """An event and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: AuditEvent = strawberry.field(description="该条。 The event.")


@strawberry.type(description="审计日志，新的在前。 The audit log, newest first.")
class AuditEventConnection:
    """A page of the log; with a filter a page may be short although more follows."""

    edges: list[AuditEventEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.input(description="筛选条件。 What to look for in the log.")
class AuditFilter:
    """All conditions hold together."""

    kinds: list[str] | None = strawberry.field(default=None, description="只要这些大类。 Only these classes.")
    organisation_id: str | None = strawberry.field(default=None, description="只要此机构。 Only this organisation.")
    since: DateTime | None = strawberry.field(default=None, description="不早于。 Not before.")
    until: DateTime | None = strawberry.field(default=None, description="早于。 Before.")


AccessHistoryResult = Annotated[
    AccessConnection | InvalidInput | NotAllowed,
    strawberry.union(name="AccessHistoryResult", description="结果。 What came of it."),
]
AuditEventsResult = Annotated[
    AuditEventConnection | InvalidInput | NotAllowed,
    strawberry.union(name="AuditEventsResult", description="结果。 What came of it."),
]
