"""Pictures are taken by what they are, not by what they are called, and with nothing hidden in them."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from hub.consent.evidence import EVIDENCE_MAX, EvidenceKind, MediaType, check_content, pieces_of
from hub.core.errors import InputError


def image(form: str, size: tuple[int, int] = (60, 40), **more: Any) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, (200, 190, 180)).save(held, form, **more)
    return held.getvalue()


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    return image("JPEG", exif=exif)


def _segment(marker: int, body: bytes) -> bytes:
    content = image("JPEG")
    return content[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + content[2:]


def _text() -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "thumb of the left hand")
    return image("PNG", pnginfo=notes)


def _private_chunk() -> bytes:
    content, body = image("PNG"), b"fpTm" + b"\0" * 16
    chunk = struct.pack(">I", 16) + body + struct.pack(">I", zlib.crc32(body))
    return content[:-12] + chunk + content[-12:]


def test_clean_pictures_are_taken() -> None:
    check_content(image("JPEG"), MediaType.JPEG)
    check_content(image("JPEG", (300, 200), progressive=True), MediaType.JPEG)
    check_content(image("PNG"), MediaType.PNG)


@pytest.mark.parametrize(
    ("content", "media_type", "code"),
    [
        (b"", MediaType.PNG, "EVIDENCE_SIZE"),
        (b"x" * (EVIDENCE_MAX + 1), MediaType.PNG, "EVIDENCE_SIZE"),
        (image("PNG", (5000, 4000)), MediaType.PNG, "EVIDENCE_SIZE"),
        (image("PNG"), MediaType.JPEG, "EVIDENCE_MEDIA_TYPE"),
        (image("JPEG"), MediaType.PNG, "EVIDENCE_MEDIA_TYPE"),
        (image("GIF"), MediaType.PNG, "EVIDENCE_MEDIA_TYPE"),
        (image("JPEG")[:-200], MediaType.JPEG, "EVIDENCE_MEDIA_TYPE"),
        (_exif(), MediaType.JPEG, "EVIDENCE_METADATA"),
        (image("JPEG", comment=b"x"), MediaType.JPEG, "EVIDENCE_METADATA"),
        (image("JPEG") + b"GIF89a more", MediaType.JPEG, "EVIDENCE_METADATA"),
        (image("JPEG") * 2, MediaType.JPEG, "EVIDENCE_METADATA"),
        (_segment(0xED, b"Photoshop"), MediaType.JPEG, "EVIDENCE_METADATA"),
        (image("JPEG", icc_profile=bytes(200)), MediaType.JPEG, "EVIDENCE_METADATA"),
        (_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\2" + b"print-of-12!"), MediaType.JPEG, "EVIDENCE_METADATA"),
        (_segment(0xE0, b"JFXX\0" + bytes(99)), MediaType.JPEG, "EVIDENCE_METADATA"),
        (_segment(0xEE, b"Adobe" + b"print" * 99), MediaType.JPEG, "EVIDENCE_METADATA"),
        (_segment(0xFE, b"\xff"), MediaType.JPEG, "EVIDENCE_METADATA"),
        (_text(), MediaType.PNG, "EVIDENCE_METADATA"),
        (_private_chunk(), MediaType.PNG, "EVIDENCE_METADATA"),
        (image("PNG") + b"PK\3\4", MediaType.PNG, "EVIDENCE_METADATA"),
    ],
)
def test_everything_else_is_refused_by_its_content(content: bytes, media_type: MediaType, code: str) -> None:
    with pytest.raises(InputError) as refused:
        check_content(content, media_type)
    assert refused.value.code == code


def test_a_second_picture_beside_the_first_is_refused() -> None:
    with pytest.raises(InputError):  # the library may stumble over it first
        check_content(_segment(0xE2, b"MPF\0" + bytes(8)), MediaType.JPEG)


def test_kinds_are_closed_and_none_is_a_fingerprint() -> None:
    assert {kind.value for kind in EvidenceKind} == {"MASKED_FORM_PHOTO", "MASKED_FORM_SCAN", "SCREEN_SIGNATURE"}
    assert b"".join(pieces_of(b"x" * 200_000)) == b"x" * 200_000
