"""What every command does alike: read the settings, set up the log, reach the database, run a coroutine."""

import asyncio
import os
import pwd
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from hub import telemetry
from hub.settings import Settings, load
from hub.store.database import Database
from hub.store.prepare import prepare

Result = TypeVar("Result")


def read_settings() -> Settings:
    """The settings of this process, with the log set up by them. Raises :class:`hub.core.errors.SettingsError`."""
    settings = load()
    telemetry.configure(settings.log_level, settings.log_format)
    return settings


async def open_database(settings: Settings) -> Database:
    """The migrated database; starts the embedded server if it is the one. Raises :class:`hub.core.errors.HubError`."""
    return await prepare(settings.store_options(), tell=tell)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine to its end."""
    return asyncio.run(work)


def tell(sentence: str) -> None:
    """Say what takes long, on standard error and only to a person at a terminal."""
    if sys.stderr.isatty():
        print(sentence, file=sys.stderr)


def operator_name() -> str:
    """Who runs this command, for the sealed part of the log: the system's account, or its number if it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid-{os.geteuid()}"
