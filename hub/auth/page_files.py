"""Templates, style and script of all pages that people see before they are signed in, or to sign in and agree."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "pages"
_FILES = {"pages.css": "text/css", "sign_in.js": "text/javascript"}


def page_templates() -> Environment:
    """The templates; what they say is escaped, and a name that is missing is an error."""
    return Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def file_routes() -> list[Route]:
    """Style and script, under ``/sign-in/``."""
    files = {name: (_FOLDER / name).read_bytes() for name in _FILES}

    def serve(name: str) -> Route:
        async def file(_: Request) -> Response:
            return Response(files[name], media_type=_FILES[name], headers={"cache-control": "no-cache"})

        return Route(f"/sign-in/{name}", file, methods=["GET"])

    return [serve(name) for name in _FILES]
