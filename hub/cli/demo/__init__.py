"""``hub demo``: the whole story on a synthetic prefecture, then the API stays up to be tried.

``HOUSEHOLDS`` sets the size, ``DEMO_EXIT=1`` ends after the story with exit code 0 only if every step did what it said.
"""

import asyncio
import logging
import os
import signal
from typing import Annotated

import typer

from hub.cli.demo.narrator import Narrator
from hub.cli.demo.stage import open_stage
from hub.cli.demo.story import tell_story
from hub.cli.session import read_settings, run
from hub.sandbox.prefecture import HOUSEHOLDS_MIN

app = typer.Typer(help="Run the whole story on a synthetic prefecture.")


@app.command()
def demo(
    households: Annotated[
        int, typer.Option(envvar="HOUSEHOLDS", min=HOUSEHOLDS_MIN, help="Households of the prefecture.")
    ] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same prefecture.")] = 1,
) -> None:
    """Make a prefecture, pull its five agencies, tell the story, verify it, and leave the API running.

    HUB_HOME is emptied first if it holds an earlier demo; any other home with data is left alone. With DEMO_EXIT=1 in
    the environment the command ends after the story.
    """
    settings = read_settings()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start is told by the story
    end_after_story = os.environ.get("DEMO_EXIT", "0") not in {"", "0"}
    narrator = Narrator()

    async def work() -> bool:
        async with open_stage(settings, narrator, households=households, seed=seed) as stage:
            await tell_story(stage, narrator)
            if not end_after_story:
                stage.print_addresses()
                await _until_interrupted()
            else:
                narrator.say("The agencies end with the demo: `hub pull` finds them again while `make demo` runs.")
        return narrator.failures == 0

    if not run(work()):
        raise typer.Exit(1)


async def _until_interrupted() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
