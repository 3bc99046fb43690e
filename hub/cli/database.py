"""``hub database``: the embedded server and the schema."""

import typer

from hub.cli.session import open_database, read_settings, run
from hub.core.errors import SettingsError
from hub.settings import Settings
from hub.store.migrate import current_revision, newest_revision
from hub.store.prepare import embedded_database
from hub.store.server import EmbeddedServer

app = typer.Typer(help="The database: prepare it, look at it, stop the embedded server.", no_args_is_help=True)


@app.command()
def prepare() -> None:
    """Start the embedded server if it is the one, make the roles and migrate. Safe to repeat."""

    async def work() -> None:
        database = await open_database(read_settings())
        print(f"The database `{database.name}` is ready at revision {await current_revision(database)}.")

    run(work())


@app.command()
def status() -> None:
    """Say whether the database answers and which revision it has; exit code 1 if not ready."""

    async def work() -> bool:
        settings = read_settings()
        if settings.database_url is not None:
            database = await open_database(settings)
        else:
            server = EmbeddedServer(settings.home)
            if not await server.is_running():
                print("The embedded database is stopped.")
                return False
            database = embedded_database(server, settings.store_options())
        revision = await current_revision(database)
        print(f"The database at {database.host} answers; revision {revision}, newest {newest_revision()}.")
        return revision == newest_revision()

    if not run(work()):
        raise typer.Exit(1)


@app.command()
def stop() -> None:
    """Stop the embedded server; the next command starts it again."""
    settings = read_settings()
    stopped = run(_embedded(settings).stop())
    print("The embedded database was stopped." if stopped else "The embedded database was not running.")


def _embedded(settings: Settings) -> EmbeddedServer:
    if settings.database_url is not None:
        raise SettingsError(
            "HUB_DATABASE_URL names an external database, which the hub does not stop or start.",
            remedy="Unset it to work with the embedded one.",
        )
    return EmbeddedServer(settings.home)
