"""Bases other than consent: declared by whoever the kind allows, decided on by a second person."""

from typing import Annotated

import strawberry

from hub.consent.bases import BasisKind
from hub.schema.types.consent import ConsentPartInput
from hub.schema.types.problems import InvalidInput, NotAllowed, NotFound
from hub.schema.types.profile import IdentityKey
from hub.schema.types.scalars import DateTime

_KEY_TEXT = "由调用方生成；同一键不会重复执行。 Made by the caller; the same key is never applied twice."

BASIS_KIND = strawberry.enum(BasisKind, description="同意以外的处理依据。 A basis other than consent.")


@strawberry.type(description="已申明；不说明是否有此人。 The basis was declared; it tells nothing about the person.")
class BasisDeclared:
    """The same whether or not there is such a person."""

    basis_id: strawberry.ID = strawberry.field(description="依据编号。 The basis.")
    state: str = strawberry.field(description="IN_FORCE，或待第二人批准的 PROPOSED。 How it stands.")
    expires_at: DateTime = strawberry.field(description="到期时间。 When it ends by itself.")


@strawberry.type(description="依据的状态。 How the basis stands after the decision.")
class BasisDecided:
    """After an approval, a review or its end."""

    basis_id: strawberry.ID = strawberry.field(description="依据编号。 The basis.")
    state: str = strawberry.field(description="IN_FORCE、DECLINED、REVOKED、ENDED、EXPIRED。 How it stands.")


DeclareBasisResult = Annotated[
    BasisDeclared | InvalidInput | NotAllowed,
    strawberry.union(name="DeclareBasisResult", description="结果。 What came of it."),
]
DecideBasisResult = Annotated[
    BasisDecided | InvalidInput | NotFound | NotAllowed,
    strawberry.union(name="DecideBasisResult", description="结果。 What came of it."),
]


@strawberry.input(description="申明同意以外的处理依据。 Declare a basis other than consent.")
class DeclareBasisInput:
    """The argument of ``declareBasis``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    kind: BasisKind = strawberry.field(description="种类。 Its kind.")
    reference: str = strawberry.field(description="合同号、文号或案号。 The loan, document or case.")
    person: IdentityKey = strawberry.field(description="所涉之人；只能用变量发送。 Whom it is about; variables only.")
    parts: list[ConsentPartInput] = strawberry.field(description="所需数据。 Which data.")
    officer: str | None = strawberry.field(default=None, description="经办人编号；机构系统必填。 The named officer.")


@strawberry.input(description="第二人批准、否决或复核。 A second person approves, declines or reviews.")
class DecideBasisInput:
    """The argument of ``decideBasis``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    basis_id: strawberry.ID = strawberry.field(description="依据编号。 Which basis.")
    approve: bool = strawberry.field(description="是否同意。 Yes or no.")


@strawberry.input(description="结束所申明的依据。 End a declared basis.")
class EndBasisInput:
    """The argument of ``endBasis``."""

    idempotency_key: strawberry.ID = strawberry.field(description=_KEY_TEXT)
    basis_id: strawberry.ID = strawberry.field(description="依据编号。 Which basis.")
    officer: str | None = strawberry.field(default=None, description="经办人编号；机构系统必填。 The named officer.")
