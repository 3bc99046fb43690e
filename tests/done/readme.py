"""README.md as a script: its `sh` blocks in order, each with the answer that the page shows below it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ELLIPSIS = "…"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block of commands; ``answer`` is what the page says comes of it, ``kind`` how that is written."""

    line: int
    commands: str
    kind: str | None
    answer: str


@dataclass(frozen=True)
class Ran:
    """What came of a block. ``code`` is ``None`` if it was never reached or ended the script."""

    code: int | None
    out: str
    err: str


def blocks(text: str) -> list[Block]:
    """The executed blocks of a page in order."""
    fences = [(text.count("\n", 0, found.start()) + 1, *found.groups()) for found in _FENCE.finditer(text)]
    result = []
    for (line, language, body), following in zip(fences, [*fences[1:], (0, "", "")], strict=True):
        if language == "sh":
            answered = following[1] in {"json", "text"}
            result.append(Block(line, body, following[1] if answered else None, following[2] if answered else ""))
    return result


def run_all(commands: list[Block], folder: Path, environment: dict[str, str], seconds: float) -> list[Ran]:
    """Run the blocks one after another in one shell at the root of the repository, until one fails."""
    script = ["set -eo pipefail"]
    for number, block in enumerate(commands):
        script += [
            "{",
            block.commands,
            f"}} >{folder}/{number}.out 2>{folder}/{number}.err",
            f"echo 0 >{folder}/{number}",
        ]
    process = subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pass  # the block that hangs has no exit code, which its test tells
    finally:
        _end_group(process)
    return [_read(folder, number) for number in range(len(commands))]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what the shell left behind, such as a server in the background."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    process.wait(timeout=20)


def _read(folder: Path, number: int) -> Ran:
    texts = [path.read_text("utf-8") if (path := folder / f"{number}.{end}").exists() else "" for end in ("out", "err")]
    return Ran(0 if (folder / str(number)).exists() else None, *texts)


def agrees(expected: Any, actual: Any) -> bool:
    """Whether a reply is what the page shows: more keys are allowed, other values and missing ones are not.

    ``…`` is any value but null; as the last item of a list it is any further items.
    """
    if expected == ELLIPSIS:
        return actual is not None
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and agrees(expected[key], actual[key]) for key in expected
        )
    if isinstance(expected, list):
        if not isinstance(actual, list):
            return False
        if expected and expected[-1] == ELLIPSIS:
            expected = expected[:-1]
            actual = actual[: len(expected)]
        return len(expected) == len(actual) and all(map(agrees, expected, actual))
    return type(expected) is type(actual) and expected == actual


def pattern(answer: str) -> re.Pattern[str]:
    """A regular expression for an answer in plain text: ``…`` is anything in a line, alone on a line any lines."""
    parts = [
        r"(?:.*\n)*?" if line.strip() == ELLIPSIS else ".*".join(map(re.escape, _narrow(line).split(ELLIPSIS))) + "\n"
        for line in answer.splitlines()
    ]
    return re.compile("".join(parts) + r"\Z")


def shown(out: str) -> str:
    """Output with the spaces of its columns narrowed, as :func:`pattern` reads it."""
    return "".join(_narrow(line) + "\n" for line in out.splitlines())


def _narrow(line: str) -> str:
    return " ".join(line.split())


def as_json(text: str) -> Any:
    """The one JSON value that a block printed or the page shows."""
    return json.loads(text)


class DemoRunning:
    """A real `hub demo` that has told its story and serves."""

    def __init__(self, folder: Path, port: int, households: int) -> None:
        self.home = folder / "home"
        self.out = folder / "demo.out"
        self.err = folder / "demo.err"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        (folder / "tmp").mkdir()
        self.environment = kept | {
            "HUB_HOME": str(self.home),
            "HUB_PORT": str(port),
            "HUB_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TMPDIR": str(folder / "tmp"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hub.cli", "demo"],
                env=self.environment | {"HOUSEHOLDS": str(households)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait_until_serving(self, seconds: float) -> None:
        """Until the last line of the demo's own is printed."""
        deadline = time.monotonic() + seconds
        while "Stop with Ctrl-C." not in self.out.read_text("utf-8"):
            assert self.process.poll() is None, f"the demo ended: {self.err.read_text('utf-8')[-2000:]}"
            assert time.monotonic() < deadline, f"the demo is not done: {self.out.read_text('utf-8')[-2000:]}"
            time.sleep(0.1)
        assert "not as told" not in self.out.read_text("utf-8"), self.out.read_text("utf-8")

    def stop(self) -> int:
        """As Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(timeout=30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def curl_and_bash() -> list[str]:
    """Which of the programs that the page needs are missing."""
    return [name for name in ("bash", "curl") if shutil.which(name) is None]
