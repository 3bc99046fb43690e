"""The lines of a packed export file, read as a stream: once to judge the file, once more to use it.

A file may hold millions of lines; unpacked it is never in memory as a whole.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator

MAX_TEXT_BYTES = 4 * 1024 * 1024 * 1024
"""Largest file after unpacking; a larger one is no daily file of a bank."""

MAX_LINE_BYTES = 1024 * 1024
"""No row is nearly as long; a longer line is no text of rows."""

_BLOCK = 1024 * 1024


def count_lines(packed: bytes) -> int | None:
    """The number of lines; ``None`` if it is not gzip, not UTF-8, or far too large. The last line may end with LF."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = size = tail = 0
    try:
        for block in _blocks(packed):
            size += len(block)
            decoder.decode(block)
            lines += block.count(b"\n")
            end = block.rfind(b"\n")
            tail = tail + len(block) if end < 0 else len(block) - end - 1
            if size > MAX_TEXT_BYTES or tail > MAX_LINE_BYTES:
                return None
        decoder.decode(b"", final=True)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    return lines + (tail > 0)


def lines_of(packed: bytes) -> Iterator[list[str]]:
    """All lines of a file that :func:`count_lines` accepted, in order, about a megabyte of them at a time."""
    rest = b""
    for block in _blocks(packed):
        whole, newline, tail = block.rpartition(b"\n")
        if newline:
            yield (rest + whole).decode().split("\n")
            rest = tail
        else:
            rest += tail
    if rest:
        yield [rest.decode()]


def _blocks(packed: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        while block := file.read(_BLOCK):
            yield block
