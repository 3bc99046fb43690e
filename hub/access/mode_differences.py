"""What differs between the legal modes, in words: the text of docs/LEGAL-MODES.md."""

from hub.access.compare import compare
from hub.access.compile import compiled
from hub.access.legal_mode import LegalMode, legal_modes

_HEAD = """# Legal modes

Written by `make generated` from `hub/access/legal_modes.toml` and the rules; change it there. `HUB_LEGAL_MODE` says as
what the hub works before the law. The mode's own Cedar rules (`hub/access/policies/modes`) are compiled with all
others, so it shows in the digest, the approvals and the matrix; the kinds of basis that it allows go into the
database together
with the rules (`access.basis_allowed`). Which mode an operator is in is for counsel to say.
"""


def as_markdown() -> str:
    """The table of modes, the cells that differ from the default mode, the bases, the retention."""
    table, usual = legal_modes(), compiled(LegalMode.LICENSED_BUREAU)
    lines = [_HEAD, "| mode | 中文 | meaning | articles |", "|---|---|---|---|"]
    lines += [f"| `{mode.mode}` | {mode.label} | {mode.meaning} | {mode.law} |" for mode in table.modes]
    for mode in LegalMode:
        if mode is LegalMode.LICENSED_BUREAU:
            continue
        changes = [change for change in compare(usual, compiled(mode)) if change.changes_view]
        lines += ["", f"## Cells of `{mode}` that differ from `{LegalMode.LICENSED_BUREAU}`", ""]
        lines += [f"* {change.in_words()}" for change in changes] or ["None."]
    lines += ["", "## Bases", "", "| kind | " + " | ".join(LegalMode) + " | articles |", "|---|---|---|---|---|"]
    for basis in table.bases:
        marks = " | ".join("yes" if mode in basis.modes else "no" for mode in LegalMode)
        lines.append(f"| `{basis.kind}` | {marks} | {basis.law} |")
    lines += ["", "## Retention", "", "| what | modes | rule | articles |", "|---|---|---|---|"]
    for kept in table.retention:
        modes = ", ".join(mode for mode in LegalMode if mode in kept.modes)
        lines.append(f"| {kept.what} | {modes} | {kept.rule} | {kept.law} |")
    return "\n".join(lines) + "\n"
