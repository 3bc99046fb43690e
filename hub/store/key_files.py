"""The key folder: which secrets lie where, each file written whole or not at all (docs/KEYS.md).

master.N            32 secret bytes of key version N
master.N.suite      the name of its cipher suite; missing means AES-256-GCM
compared.N          what is left of a retired version: keys of hashes that compare and identify nobody
pseudonyms          32 secret bytes behind the ids by which organisations know people; no rotation changes them
NAME.ed25519        signing keys
*.password          logins of the database roles (hub/store/passwords.py)
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from hub.core.errors import SettingsError
from hub.store.suites import KEY_BYTES, SUITES, Algorithm
from hub.store.whole_file import create_whole

COMPARED = (
    "content", "roster", "challenge", "hint", "adverse-item", "adverse-mark", "audit-detail", "idempotency",
    "key-check",
)  # fmt: skip
"""Purposes of keyed hashes whose texts the hub does not keep, so that they cannot be made anew. Their keys outlive the
version: they open nothing, and tell of a text that somebody has already only whether it came before."""

PSEUDONYMS = "pseudonyms"

PASSING_SIGNERS = frozenset({"tokens", "eligibility"})
"""Signing keys whose signatures live for minutes or a day: removing the file and starting again makes a new one."""

VERSIONS_AT_MOST = 255
"""The version stands in one byte."""

_TICK_SECONDS = 0.02
"""Longer than the clock of any file system goes between two changes."""


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """What the folder holds. ``retired``: purpose -> key, for each version whose master is gone."""

    masters: dict[int, bytes]
    algorithms: dict[int, Algorithm]
    retired: dict[int, dict[str, bytes]]
    pseudonyms: bytes

    @property
    def newest(self) -> int:
        """The version that seals and indexes."""
        return max(self.masters)


class KeyFiles:
    """Reads and writes the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._signed_with: set[str] = set()

    def begin(self) -> None:
        """Make the folder and the first keys where there are none. Raises :class:`SettingsError` where they were lost:
        made anew they would open nothing, find nobody, seal what comes in under the number of the lost one, and give
        every person another id at each organisation.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        pseudonyms = self.folder / PSEUDONYMS
        if self._numbers("master"):
            if not pseudonyms.exists():
                raise _missing(f"the file `{PSEUDONYMS}`", self.folder)
            return
        if any(self.folder.glob("*.ed25519")) or any(self.folder.glob("compared.*")):
            raise _missing("the master key", self.folder)
        # The master key last: from then on the folder is whole.
        create_whole(pseudonyms, os.urandom(KEY_BYTES))
        create_whole(self.folder / "master.1", os.urandom(KEY_BYTES))

    def changed_at(self) -> int:
        """Changes whenever a file comes or goes, in nanoseconds."""
        return self.folder.stat().st_mtime_ns

    def read(self) -> HeldKeys:
        """All versions. Raises :class:`SettingsError` for a file that is not whole."""
        numbers = self._numbers("master")
        if not numbers:
            raise SettingsError(
                f"the key folder {self.folder} holds no master key any more.",
                remedy="Restore the key folder from its own backup.",
                code="KEY_MISSING",
            )
        retired = {number: self._compared(number) for number in self._numbers("compared") if number not in numbers}
        algorithms = {number: self._suite(number) for number in numbers}
        return HeldKeys(
            {number: read_secret(self.folder / f"master.{number}") for number in numbers},
            algorithms | {number: algorithm for number, (algorithm, _) in retired.items()},
            {number: keys for number, (_, keys) in retired.items()},
            read_secret(self.folder / PSEUDONYMS),
        )

    def add(self, algorithm: Algorithm) -> int:
        """Make the next version and return its number. Raises :class:`SettingsError` after the last one."""
        number = max([*self._numbers("master"), *self._numbers("compared")]) + 1
        if number > VERSIONS_AT_MOST:
            raise SettingsError("the hub knows no more than 255 key versions.", code="KEY_VERSIONS")
        # First the suite: a version is there from the moment its secret is.
        create_whole(self.folder / f"master.{number}.suite", algorithm.value.encode())
        create_whole(self.folder / f"master.{number}", os.urandom(KEY_BYTES))
        self._tick()
        return number

    def retire(self, number: int) -> None:
        """Keep the comparing keys of a version and destroy the rest; may be broken off anywhere and done again."""
        master = self.folder / f"master.{number}"
        if master.exists():
            suite, secret = self._suite(number), read_secret(master)
            keys = {use: SUITES[suite].derive(secret, f"index:{use}").hex() for use in COMPARED}
            create_whole(self.folder / f"compared.{number}", json.dumps({"suite": suite.value, "keys": keys}).encode())
            master.unlink()
        (self.folder / f"master.{number}.suite").unlink(missing_ok=True)
        self._tick()

    def signing_secret(self, name: str) -> bytes:
        """The secret of the named Ed25519 key, made on first use. Raises :class:`SettingsError` if it went since."""
        path = self.folder / f"{name}.ed25519"
        if not path.exists():
            if name in self._signed_with:
                raise _missing(f"the file `{path.name}`", self.folder)
            create_whole(path, os.urandom(KEY_BYTES))
        self._signed_with.add(name)
        return read_secret(path)

    def lasting_signers(self) -> list[str]:
        """The names of the signing keys whose signatures are looked at for years."""
        return sorted({path.stem for path in self.folder.glob("*.ed25519")} - PASSING_SIGNERS)

    def _numbers(self, kind: str) -> list[int]:
        return sorted(int(path.suffix[1:]) for path in self.folder.glob(f"{kind}.*") if path.suffix[1:].isdigit())

    def _suite(self, number: int) -> Algorithm:
        try:
            return Algorithm((self.folder / f"master.{number}.suite").read_text(encoding="ascii"))
        except FileNotFoundError:
            return Algorithm.AES
        except (ValueError, OSError):
            raise _broken(self.folder / f"master.{number}.suite") from None

    def _compared(self, number: int) -> tuple[Algorithm, dict[str, bytes]]:
        path = self.folder / f"compared.{number}"
        try:
            held = json.loads(path.read_bytes())
            return Algorithm(held["suite"]), {use: bytes.fromhex(key) for use, key in held["keys"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _broken(path) from None

    def _tick(self) -> None:
        """Other processes see a change by the folder's time, which must differ from what they have read."""
        time.sleep(_TICK_SECONDS)
        os.utime(self.folder)


def read_secret(path: Path) -> bytes:
    """The 32 bytes of a key file. Raises :class:`SettingsError`."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        raise _broken(path) from None
    if len(secret) != KEY_BYTES:
        raise _broken(path, f"{KEY_BYTES} bytes")
    return secret


def _missing(what: str, folder: Path) -> SettingsError:
    return SettingsError(
        f"{what} is missing from the key folder {folder}, which holds other keys.",
        remedy="Restore the key folder from its own backup; it is never part of the database backup.",
        code="KEY_MISSING",
    )


def _broken(path: Path, what: str = "what it should") -> SettingsError:
    return SettingsError(
        f"key file `{path.name}` does not hold {what}.",
        remedy="Restore it from the backup of the key folder.",
        code="KEY_DAMAGED",
    )
