"""Unique words put into fields that the hub must never hold, and the search for them in bytes of any kind."""

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_RARE = [chr(code) for code in range(0x3400, 0x4DB5)]
"""Characters that stand in nobody's name here; GB 18030 has them all."""


@dataclass(frozen=True)
class Tag:
    """An ASCII word, a Chinese word and a number that occur nowhere else; every canary of one kind holds them."""

    word: str = field(default_factory=lambda: "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(14)))
    chinese: str = field(default_factory=lambda: "".join(secrets.choice(_RARE) for _ in range(4)))
    digits: str = field(default_factory=lambda: "".join(secrets.choice("123456789") for _ in range(10)))

    def text(self, place: str) -> str:
        """A canary for one field; ``place`` tells where it came from."""
        return f"{self.word}{place}{self.chinese}"

    def number(self, length: int = 19) -> str:
        """A canary of digits only."""
        return self.digits + "".join(secrets.choice("0123456789") for _ in range(length - len(self.digits)))


def _spellings(text: str) -> Iterator[bytes]:
    """The ways in which a text may lie in a file, in lower case."""
    plain = text.encode()
    yield from {plain, text.encode("gb18030"), text.encode("utf-16-le"), text.encode("utf-16-be")}
    yield plain.hex().encode()
    if not text.isascii():
        yield "".join(f"\\u{ord(character):04x}" for character in text).encode()
        yield "".join(f"%{byte:02x}" for byte in plain).encode()


def _base64_cores(text: str) -> Iterator[bytes]:
    """What is common to every Base64 text that holds ``text``, for each place in a group of three bytes."""
    plain = text.encode()
    for skipped in range(3):
        groups = (len(plain) - skipped) // 3
        yield base64.b64encode(plain[skipped : skipped + groups * 3])


class Search:
    """Looks for tags, and for single texts, in bytes."""

    def __init__(self, tags: Sequence[Tag], texts: Sequence[str] = ()) -> None:
        wanted = [*texts, *(part for tag in tags for part in (tag.word, tag.chinese, tag.digits))]
        self._folded = sorted({spelling.lower() for text in wanted for spelling in _spellings(text)})
        self._exact = sorted({core for text in wanted for core in _base64_cores(text) if len(core) >= 8})

    def in_bytes(self, data: bytes) -> list[bytes]:
        """The surroundings of what was found; empty if nothing was."""
        folded = data.lower()
        found = [folded[max(0, at - 40) : at + 80] for n in self._folded if (at := folded.find(n)) >= 0]
        return found + [data[max(0, at - 40) : at + 80] for n in self._exact if (at := data.find(n)) >= 0]

    def in_folders(self, *folders: Path) -> dict[str, bytes]:
        """The files below these folders that hold something (their names count as well), with surroundings."""
        found = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                inside = self.in_bytes(path.read_bytes()) if path.is_file() else []
                inside += self.in_bytes(str(path.relative_to(folder)).encode())
                if inside:
                    found[str(path)] = inside[0]
        return found
