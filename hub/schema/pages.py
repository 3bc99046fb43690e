"""Pages of lists: which arguments are right, and cursors that only this API makes."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hub.schema.borrower import Problem
from hub.schema.limits import PAGE_MAX
from hub.schema.types.audit import PageInfo

_CURSOR_MAX = 160
"""Characters of a cursor; the longest that is made has 96."""

Place = TypeVar("Place")


class Edge(Protocol):
    """An element of a page with its cursor."""

    cursor: str


@dataclass(frozen=True, slots=True)
class Pages(Generic[Place]):
    """The pages of one list. ``read`` and ``write`` turn a place in it into text and back; ``read`` may raise
    :class:`ValueError`. ``kind`` keeps the cursors of different lists apart.
    """

    kind: str
    read: Callable[[str], Place]
    write: Callable[[Place], str] = str

    def cursor(self, place: Place) -> str:
        """The cursor of a place."""
        return base64.urlsafe_b64encode(f"{self.kind}:{self.write(place)}".encode()).decode().rstrip("=")

    def arguments(self, first: int, after: str | None) -> tuple[Place | None, list[Problem]]:
        """The place after which a page begins, ``None`` for the first one, and what is wrong with the arguments."""
        problems: list[Problem] = [] if 1 <= first <= PAGE_MAX else [(("first",), "PAGE_SIZE")]
        place = None if after is None else self._place(after)
        if after is not None and place is None:
            problems.append((("after",), "CURSOR_MALFORMED"))
        return place, problems

    def _place(self, cursor: str) -> Place | None:
        """The place behind a cursor in its one written form, ``None`` for anything else."""
        if len(cursor) > _CURSOR_MAX:
            return None
        try:
            kind, _, text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
            place = self.read(text)
        except ValueError:
            return None
        return place if kind == self.kind and self.cursor(place) == cursor else None


def number_from_1(text: str) -> int:
    """A place counted from 1. Raises :class:`ValueError`."""
    number = int(text)
    if not 1 <= number < 10**18:
        raise ValueError("not a place")
    return number


def page_info(edges: Sequence[Edge], more: bool, after: str | None) -> PageInfo:
    """Where a page lies. ``more``: another one follows."""
    return PageInfo(
        has_next_page=more,
        has_previous_page=after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
