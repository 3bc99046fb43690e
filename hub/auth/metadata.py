"""The authorization server's metadata document (RFC 8414)."""

from typing import Any

from hub.auth.client_assertion import METHOD
from hub.auth.jwks import ALGORITHMS
from hub.auth.rar import TYPE


def metadata(issuer: str) -> dict[str, Any]:
    """What is served where, and what is understood."""
    authenticated = {
        f"{name}_endpoint_auth_{what}": value
        for name in ("token", "revocation", "introspection")
        for what, value in (("methods_supported", [METHOD]), ("signing_alg_values_supported", list(ALGORITHMS)))
    }
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth2/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth2/par",
        "require_pushed_authorization_requests": True,
        "token_endpoint": f"{issuer}/oauth2/token",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "grant_management_endpoint": f"{issuer}/oauth2/grants",
        "grant_management_actions_supported": ["create", "query", "revoke"],
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "authorization_details_types_supported": [TYPE],
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/explorer",
        "ui_locales_supported": ["zh-CN", "en"],
        **authenticated,
    }
