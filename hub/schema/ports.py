"""What the schema needs of the flows; the composition root passes the real ones."""

from collections.abc import Mapping
from typing import Any, Protocol

from hub.core.disclosure import Disclosure, DisclosureRequest, UnspentProof


class Receipt(Protocol):
    """Proof that the audit log holds the entry of this act."""

    def as_json(self) -> Mapping[str, Any]:
        """The receipt for ``extensions.receipt``."""


class Disclosing(Protocol):
    """The one gate through which values about a person leave."""

    async def disclose(self, request: DisclosureRequest) -> tuple[Disclosure, Receipt]:
        """Judge, record, read and wait for the signed entry. Raises :class:`~hub.core.errors.HubError`."""


class Proofs(Protocol):
    """Where proofs of possession are used up that no disclosure uses up itself."""

    async def spend(self, token_id: str, bearer: str, proof: UnspentProof) -> bool:
        """Use a proof up, while the bearer may act; ``False`` if it was used before."""


class Keys(Protocol):
    """Where keys are claimed; the answers of :meth:`claim` are CLAIMED, BUSY, OTHER and ANSWERED."""

    async def claim(self, bearer: str, token_id: str, key: str, fingerprint: str) -> tuple[str, str | None]:
        """Claim a key, or learn what it stands for."""

    async def settle(self, bearer: str, key: str, answer: str | None) -> None:
        """Keep the answer; without one the key is free again."""
