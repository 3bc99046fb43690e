"""Records of provision, as regulators and auditors read them."""

from typing import Annotated

import strawberry

from hub.schema.types.audit import PageInfo
from hub.schema.types.problems import InvalidInput, NotAllowed
from hub.schema.types.scalars import DateTime


@strawberry.type(
    description="一次对外提供的记录，不含内容和姓名。 One provision to an organisation; no value, no name."
)
class Provision:
    """To whom, when, for what, on which basis, which parts."""

    id: strawberry.ID = strawberry.field(description="审计事件编号。 The entry of the audit log.")
    at: DateTime = strawberry.field(description="时间。 When.")
    organisation_id: strawberry.ID = strawberry.field(description="接收方。 Who received it.")
    system: str = strawberry.field(description="接收方的系统。 The system that asked.")
    officer: str = strawberry.field(description="经办人。 The officer in whose name.")
    purpose: str = strawberry.field(description="目的。 What for.")
    county: str = strawberry.field(description="县（市）代码。 The county of the person named.")
    persons: list[strawberry.ID] = strawberry.field(
        description="所涉个人，仅用于本类记录的编号。 The persons, by ids that mean nothing elsewhere."
    )
    parts: list[str] | None = strawberry.field(description="所提供的数据种类。 The parts that were given.")
    basis_id: strawberry.ID | None = strawberry.field(description="依据编号。 The basis it rests on.")
    basis_kind: str | None = strawberry.field(description="依据种类。 Which kind of basis.")
    reference: str | None = strawberry.field(description="依据文号。 The reference of a declared basis.")


@strawberry.type(description="一条提供记录及其位置。 One provision in a page.")
class ProvisionEdge:
    """A provision and where it lies."""

    cursor: str = strawberry.field(description="游标。 Where it lies.")
    node: Provision = strawberry.field(description="该条。 The provision.")


@strawberry.type(description="对外提供记录，旧的在前。 Records of provision, oldest first.")
class ProvisionConnection:
    """A page of them."""

    edges: list[ProvisionEdge] = strawberry.field(description="本页。 The page.")
    page_info: PageInfo = strawberry.field(description="分页位置。 Where it lies.")


@strawberry.input(description="筛选条件。 Which records; all conditions hold together.")
class ProvisionFilter:
    """All conditions hold together."""

    organisation_id: strawberry.ID | None = strawberry.field(default=None, description="接收方。 Who received it.")
    since: str | None = strawberry.field(default=None, description="起，ISO 8601含时区。 From this instant on.")
    until: str | None = strawberry.field(default=None, description="止，不含。 Until before this instant.")


ProvisionsResult = Annotated[
    ProvisionConnection | InvalidInput | NotAllowed,
    strawberry.union(name="ProvisionsResult", description="结果。 What came of it."),
]
