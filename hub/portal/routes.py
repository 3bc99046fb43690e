"""Routes of the pages. Everything a page needs is served from here; nothing is loaded from elsewhere."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""What the pages may do: own scripts and styles, requests to the own API, no frame, no form to elsewhere."""


def portal_routes() -> list[Route]:
    """The explorer page with its script and style; the start page leads to it."""
    files = {name: (_FOLDER / name).read_bytes() for name in ("explorer.html", "explorer.js", "explorer.css")}

    def serve(name: str, path: str) -> Route:
        async def page(_: Request) -> Response:
            headers = {"content-security-policy": CONTENT_POLICY, "cache-control": "no-cache"}
            return Response(files[name], media_type=_TYPES[Path(name).suffix], headers=headers)

        return Route(path, page, methods=["GET"])

    async def start(_: Request) -> Response:
        return RedirectResponse("/explorer", status_code=303)

    return [
        Route("/", start, methods=["GET"]),
        serve("explorer.html", "/explorer"),
        serve("explorer.js", "/explorer/explorer.js"),
        serve("explorer.css", "/explorer/explorer.css"),
    ]
