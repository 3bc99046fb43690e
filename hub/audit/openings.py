"""Checks opened fields and links of chains against the entries they belong to (formats: docs/AUDIT.md). No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from hub.audit.commitments import FIRST_STEP, Link, field_commitment, tree_root
from hub.audit.damage import Damage, VerifyError
from hub.audit.merkle import ProofError, verify_inclusion
from hub.audit.note import NoteError, decode_base64
from hub.core.canonical import canonical_bytes

Commitments = Mapping[int, tuple[bytes, bytes]]
"""``rc`` and ``sn`` of entries by their place."""


def check_openings(lines: Sequence[Mapping[str, Any]], commitments: Commitments) -> int:
    """Check every opened field against its entry's ``rc``; how many. Raises :class:`VerifyError`."""
    for number, line in enumerate(lines, 1):
        try:
            _known_version(line, number)
            roots = [decode_base64(root) for root in line["roots"]]
            value = canonical_bytes(line["value"])
            commitment = field_commitment(decode_base64(line["salt"]), line["name"], value)
            path = [decode_base64(item) for item in line["path"]]
            verify_inclusion(commitment, line["index"], line["count"] + 1, path, roots[line["group"]])
            if tree_root(roots) != commitments[line["seq"]][0]:
                raise ProofError("the groups are not those of the entry")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            what = str(error) if isinstance(error, ProofError | NoteError) else "it cannot be read"
            raise VerifyError(Damage.OPENING, f"opened field {number} does not hold: {what}", _place(line)) from None
    return len(lines)


def check_chains(lines: Sequence[Mapping[str, Any]], commitments: Commitments) -> int:
    """Check that the links of every person follow one another from the first without a gap, each in its entry; how
    many. Raises :class:`VerifyError`.
    """
    ends: dict[tuple[UUID, int], tuple[int, bytes]] = {}
    for number, line in enumerate(lines, 1):
        try:
            _known_version(line, number)
            link = Link(
                UUID(line["person"]),
                line["chain"],
                line["n"],
                decode_base64(line["previous"]),
                decode_base64(line["salt"]),
            )
            steps = [decode_base64(step) for step in line["steps"]]
            own = link.step()
            if steps[line["step"]] != own or line["step"] == 0 or tree_root(steps) != commitments[line["seq"]][1]:
                raise ProofError("the link is not in its entry")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = str(error) if isinstance(error, ProofError | NoteError) else "it cannot be read"
            raise VerifyError(Damage.CHAIN, f"link {number} does not hold: {what}", _place(line)) from None
        n, last = ends.get((link.subject, link.chain), (0, FIRST_STEP))
        if link.n != n + 1 or link.previous != last:
            raise VerifyError(Damage.CHAIN, f"a person's chain has a gap before link {number}", _place(line))
        ends[link.subject, link.chain] = (link.n, own)
    return len(lines)


def _known_version(line: Mapping[str, Any], number: int) -> None:
    if line.get("v") != 1:
        raise VerifyError(Damage.VERSION, f"line {number} has a version that this program does not know")


def _place(line: Mapping[str, Any]) -> int | None:
    place = line.get("seq")
    return place if type(place) is int else None
