"""Versions of the agencies' documents by which rows are checked.

A row in quarantine carries the version under which it was refused, so that a later version can be tried on it
(`hub quarantine recheck`). Whoever changes what a row checker accepts raises the version here.
"""

CONTRACT_VERSIONS = {
    "tax-rest": "1.3",
    "social-view": "1.0",
    "clinic-sftp": "1.0",
    "civil-soap": "1.0",
    "bank-files": "2.0",
}
"""Kind of source -> version of its document (docs/contracts) that the checks follow."""


def contract_of(kind: str) -> str:
    """The present contract of a kind of source, such as ``tax-rest/1.3``."""
    return f"{kind}/{CONTRACT_VERSIONS[kind]}"
