"""Lines of packed files come as a stream and are the same as those of the whole text."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.connectors.formats import packed_lines
from hub.connectors.formats.packed_lines import count_lines, lines_of


@given(st.text(st.sampled_from("ab刀\r\n\n\u2028"), max_size=60), st.integers(1, 7))
def test_the_lines_are_those_of_the_whole_text(text: str, block: int) -> None:
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    packed = gzip.compress(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_lines, "_BLOCK", block)
        assert [line for part in lines_of(packed) for line in part] == lines
        assert count_lines(packed) == len(lines)


@pytest.mark.parametrize(
    "packed",
    [
        b"PK no gzip",
        gzip.compress(b"{}\n{}\n")[:-6],
        gzip.compress("刀".encode("gb18030")),
        gzip.compress("刀".encode()[:2]),
        gzip.compress(b"x" * (3 * packed_lines.MAX_LINE_BYTES)),
    ],
    ids=["no gzip", "cut off", "another encoding", "half a character", "a line too long"],
)
def test_what_is_no_text_of_lines_is_told_before_it_is_used(packed: bytes) -> None:
    assert count_lines(packed) is None


def test_a_file_that_grows_without_end_is_not_unpacked_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"\n" * 50_000_000, 1)
    monkeypatch.setattr(packed_lines, "MAX_TEXT_BYTES", 2_000_000)
    assert count_lines(packed) is None
