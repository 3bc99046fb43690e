"""``hub serve``: answer requests until stopped."""

import typer

from hub.cli.session import read_settings, tell

app = typer.Typer(help="Serve the API.")


@app.command()
def serve() -> None:
    """Serve the GraphQL API, the token endpoint and the explorer page until interrupted."""
    from hub.main import run

    settings = read_settings()
    tell(f"Serving {settings.public_url} (GraphQL at /graphql, explorer at /explorer); stop with Ctrl-C.")
    run(settings)
