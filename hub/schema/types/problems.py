"""Refusals that a caller can act on. They are answers, not errors; their codes are stable."""

import strawberry

from hub.schema.messages import Language, text


@strawberry.interface(name="UserError", description="可由调用方处理的拒绝。 A refusal the caller can act on.")
class Refusal:
    """Implemented by every refusal."""

    code: str = strawberry.field(description="代码，供程序使用。 Stable, for programs.")
    message: str = strawberry.field(description="说明，按所请求的语言。 For a person, in the language asked for.")


@strawberry.type(description="一个被拒绝的值。 One refused value.")
class FieldError:
    """One refused value of an input."""

    path: list[str] = strawberry.field(description="在输入中的位置。 Where in the input.")
    code: str = strawberry.field(description="代码，供程序使用。 Stable, for programs.")
    message: str = strawberry.field(description="说明。 For a person.")


@strawberry.type(description="输入被拒绝。 The input was refused; nothing was read or changed.")
class InvalidInput(Refusal):
    """The input was refused before anything was looked up."""

    fields: list[FieldError] = strawberry.field(description="每个被拒绝的值。 One for each refused value.")


@strawberry.type(description="不存在或无权得知。 There is no such thing, or this viewer may not know of it.")
class NotFound(Refusal):
    """The same for what does not exist and for what may not be known."""


@strawberry.type(description="无权操作。 This viewer may not do that.")
class NotAllowed(Refusal):
    """A refusal that depends on the asker alone."""

    remedy: str | None = strawberry.field(description="如何获得许可。 What would allow it.")


@strawberry.type(description="已被他人更改。 Somebody else changed it first.")
class Conflict(Refusal):
    """The state does not allow this any more."""


def invalid(language: Language, *problems: tuple[tuple[str, ...], str]) -> InvalidInput:
    """An :class:`InvalidInput` for (path, code) pairs."""
    fields = [FieldError(path=list(path), code=code, message=text(code, language)) for path, code in problems]
    return InvalidInput(code="INVALID_INPUT", message=text("INVALID_INPUT", language), fields=fields)
