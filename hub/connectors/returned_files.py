"""Quarantined rows in the wire format of their agency, so that the agency's own tools can read what is returned.

Forbidden fields are not in them, because the hub never held them. A row of which nothing but its place was kept cannot
be written and is left out. CSV is what people open in a spreadsheet: a cell that a spreadsheet would take for a formula
gets an apostrophe in front. A plain number, however signed, stays as it was sent.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import datetime
from unicodedata import normalize

from lxml import etree

from hub.connectors.formats.clinic_files import COLUMNS as CLINIC_COLUMNS
from hub.connectors.formats.social_rows import COLUMNS as SOCIAL_COLUMNS
from hub.connectors.kept_rows import CIVIL_NAMESPACE, KeptRow, as_sent, civil_element, json_line

ENDINGS = {
    "tax-rest": "json",
    "social-view": "csv",
    "clinic-sftp": "csv",
    "civil-soap": "xml",
    "bank-files": "jsonl",
}
"""Kind of source -> usual ending of a file in its format."""

_FORMULA = frozenset("=+-@")
_CONTROLS = ("\t", "\r", "\n")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9][0-9,]*(\.[0-9]+)?")


def is_returnable(row: KeptRow) -> bool:
    """Whether something of the row was kept that its agency can read."""
    return bool(row.wire)


def returned_file(kind: str, rows: Sequence[KeptRow]) -> bytes:
    """The returnable rows of one source as one file in the format of its agency.

    ``tax-rest``: JSON with the ``records`` of an answer. ``bank-files``: JSON Lines. ``civil-soap``: the row elements
    in the agency's namespace. ``clinic-sftp``: CSV in GB 18030 with the documented header. ``social-view``: CSV in
    UTF-8 with the columns of the view.
    """
    returnable = [row for row in rows if is_returnable(row)]
    match kind:
        case "tax-rest":
            return f'{{"records":[{",".join(json_line(as_sent(row)) for row in returnable)}]}}\n'.encode()
        case "bank-files":
            return "".join(f"{json_line(as_sent(row))}\n" for row in returnable).encode()
        case "clinic-sftp":
            return _csv(CLINIC_COLUMNS, returnable).encode("gb18030")
        case "social-view":
            return _csv(SOCIAL_COLUMNS, returnable).encode()
    return _xml(returnable)


def _csv(columns: Sequence[str], rows: Sequence[KeptRow]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        sent = as_sent(row)
        writer.writerow([_cell(sent.get(column)) for column in columns])
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)
    return f"'{text}" if _may_be_formula(text) else text


def _may_be_formula(text: str) -> bool:
    """Spreadsheets pass over what cannot be seen in front, and take full-width signs for their narrow forms."""
    if _PLAIN_NUMBER.fullmatch(text):
        return False
    seen = (c for c in normalize("NFKC", text) if c.isprintable() and not c.isspace())
    return text.startswith(_CONTROLS) or next(seen, "") in _FORMULA


def _xml(rows: Sequence[KeptRow]) -> bytes:
    root = etree.Element(f"{{{CIVIL_NAMESPACE}}}ReturnedRows", nsmap={None: CIVIL_NAMESPACE})
    root.extend(civil_element(row.source_key, as_sent(row)) for row in rows)
    etree.indent(root)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return written + b"\n"
