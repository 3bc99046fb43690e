"""What a request to the API presents: an access token, and with a bound one a proof of possession (RFC 6750, 9449)."""

from dataclasses import dataclass

from starlette.requests import Request

from hub.auth.dpop import Nonces, Proof, ProofChecker
from hub.auth.tokens import Claims, InvalidTokenError, TokenVerifier
from hub.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Presented:
    """A good token, and the proof that came with it; whether that was used before is still to be asked."""

    claims: Claims
    proof: Proof | None


class ResourceGuard:
    """Reads the ``Authorization`` header of requests; never a token from a URL or a form."""

    def __init__(self, verifier: TokenVerifier, public_url: str, nonces: Nonces, clock: Clock) -> None:
        self._verifier = verifier
        self._proofs = ProofChecker(public_url, nonces, clock)

    def presented(self, request: Request) -> Presented | None:
        """Token and proof; ``None`` if no token was sent. Raises :class:`InvalidTokenError` or an error of the proof.

        A bound token is refused as a plain bearer token, and a plain one with a proof: nobody may think that it is
        bound.
        """
        values = request.headers.getlist("authorization")
        if not values:
            return None
        scheme, _, token = values[0].partition(" ")
        token = token.strip()
        if len(values) > 1 or not token:
            raise InvalidTokenError("there must be one token.", remedy="Send one Authorization header.")
        match scheme.lower():
            case "bearer":
                return Presented(self._verifier.verify(token), None)
            case "dpop":
                proof = self._proofs.check(
                    request.headers.getlist("dpop"), method=request.method, path=request.url.path, token=token
                )
                return Presented(self._verifier.verify(token, proof.key), proof)
        return None
