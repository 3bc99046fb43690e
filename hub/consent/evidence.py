"""Evidence of a consent: pictures of a form or of a signature on the screen. Closed kinds, checked by their content.

The hub keeps no fingerprint. Kinds and media types outside the lists are refused; a picture may carry no hidden members
(EXIF, XMP, comments, thumbnails), since its hash is signed by the device and nothing can be cut out of it here. That
the print on a form is covered no program can see: the reviewer looks, and what shows one is destroyed.
"""

import io
from enum import StrEnum

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from hub.core.errors import HubError, InputError

EVIDENCE_MAX = 1024 * 1024
"""Bytes of one picture."""

PIXELS_MAX = 16_000_000
PIECE_BYTES = 64 * 1024
"""A picture is sealed in pieces of this size, so that a rotation of keys never holds much at once."""


class MediaType(StrEnum):
    """What a picture may be."""

    JPEG = "image/jpeg"
    PNG = "image/png"


class EvidenceKind(StrEnum):
    """What a picture may show."""

    MASKED_FORM_PHOTO = "MASKED_FORM_PHOTO"
    MASKED_FORM_SCAN = "MASKED_FORM_SCAN"
    SCREEN_SIGNATURE = "SCREEN_SIGNATURE"

    def takes(self, media_type: MediaType) -> bool:
        """Whether this kind comes as that media type."""
        return media_type in _MEDIA[self]


_MEDIA = {
    EvidenceKind.MASKED_FORM_PHOTO: frozenset({MediaType.JPEG, MediaType.PNG}),
    EvidenceKind.MASKED_FORM_SCAN: frozenset({MediaType.JPEG, MediaType.PNG}),
    EvidenceKind.SCREEN_SIGNATURE: frozenset({MediaType.PNG}),
}

_JPEG_APPLICATION = {0xE0: (b"JFIF\0", 16), 0xEE: (b"Adobe", 14)}
"""JFIF without a thumbnail (ISO/IEC 10918-5) and Adobe's colour transform (10918-6), with the length that each then
has. EXIF and XMP are segments 0xE1, colour profiles 0xE2.
"""

_JPEG_TABLES = {0xC0: 17, 0xC1: 17, 0xC2: 17, 0xC4: 1200, 0xDA: 14, 0xDB: 520, 0xDD: 4}
"""Frame, Huffman tables, scan, quantisation tables, restart interval: the most that each can need for three colours."""

_PNG_CHUNKS = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"bKGD"}
)
_PDF_FORBIDDEN = ("/AcroForm", "/OpenAction", "/AA", "/Names", "/Metadata", "/AF", "/Collection")
_PDF_PAGE_FORBIDDEN = ("/AA", "/Annots", "/Metadata", "/AF", "/PieceInfo")


def check_content(content: bytes, media_type: MediaType) -> None:
    """Raise :class:`InputError` unless the bytes are a whole picture of this type with nothing hidden in it.

    Codes: EVIDENCE_SIZE, EVIDENCE_MEDIA_TYPE (it is something else), EVIDENCE_METADATA. Takes some hundred
    milliseconds; call it in a thread.
    """
    if not 0 < len(content) <= EVIDENCE_MAX:
        raise InputError(f"Evidence has 1 to {EVIDENCE_MAX} bytes.", remedy="Make it smaller.", code="EVIDENCE_SIZE")
    _check_image(content, media_type)


def pieces_of(content: bytes) -> list[bytes]:
    """The content cut into pieces of :data:`PIECE_BYTES`."""
    return [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)]


def piece_context(evidence_id: bytes, number: int) -> bytes:
    """What a sealed piece is bound to: the evidence's id and its place."""
    return evidence_id + number.to_bytes(4, "big")


def _check_image(content: bytes, media_type: MediaType) -> None:
    form = "JPEG" if media_type is MediaType.JPEG else "PNG"
    try:
        with Image.open(io.BytesIO(content), formats=[form]) as image:
            if image.width * image.height > PIXELS_MAX:
                raise InputError(
                    f"A picture has at most {PIXELS_MAX} points.", remedy="Make it smaller.", code="EVIDENCE_SIZE"
                )
            image.load()
            hidden = _hides(image, content)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Warning):
        raise _other_type(media_type) from None
    if hidden:
        raise _metadata()


def _hides(image: Image.Image, content: bytes) -> bool:
    """Whether there is more in the file than the picture."""
    if isinstance(image, JpegImageFile):
        return _jpeg_hides(content)
    return not _png_chunks(content) <= _PNG_CHUNKS


def _jpeg_hides(content: bytes) -> bool:
    """Whether a JPEG has segments that no picture needs, longer ones than it needs, or anything behind its end."""
    place = 2
    while 0 <= place < len(content) - 1:
        marker = content[place + 1]
        if content[place] != 0xFF:  # within the compressed picture
            place = content.find(b"\xff", place)
        elif marker == 0xFF:
            place += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            place += 2
        elif marker == 0xD9:
            return place + 2 != len(content)
        else:
            length = int.from_bytes(content[place + 2 : place + 4], "big")
            start, whole = _JPEG_APPLICATION.get(marker, (b"", 0))
            is_application = whole == length and content.startswith(start, place + 4)
            # The last two bytes of JFIF are the sides of a thumbnail, which would lie behind them.
            if marker == 0xE0 and content[place + 16 : place + 18] != b"\0\0":
                return True
            if not is_application and length > _JPEG_TABLES.get(marker, 0):
                return True
            place += 2 + length
    return True


def _png_chunks(content: bytes) -> set[bytes]:
    """The names of a PNG's chunks; what follows its end counts as a chunk of its own."""
    found, place = set[bytes](), 8
    while place + 8 <= len(content):
        length, name = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        found.add(name)
        place += 12 + length
        if name == b"IEND":
            break
    return found if place == len(content) else found | {b"after the end"}


def _other_type(media_type: MediaType) -> HubError:
    return InputError(
        f"The evidence is no whole {media_type.value} that can be read.",
        remedy="Send it as it was announced: image/jpeg or image/png.",
        code="EVIDENCE_MEDIA_TYPE",
    )


def _metadata() -> HubError:
    return InputError(
        "The evidence carries more than the picture (EXIF, comments, a thumbnail, a colour profile).",
        remedy="Take it out on the device before the picture is hashed.",
        code="EVIDENCE_METADATA",
    )
