"""The offline verifier: golden vectors, every kind of damage, one byte changed anywhere."""

import json
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.audit.damage import Damage, VerifyError
from hub.audit.leaf import Leaf
from hub.audit.merkle import leaf_hash
from hub.audit.note import Signer
from hub.audit.proof import Receipt
from hub.audit.tiles import pack_entries, tile_path, unpack_entries
from hub.audit.verify import VerifyReport, read_receipt, verify_bundle
from tests.audit import vectors
from tests.audit.vectors import FOLDER, RECEIPT_OF, SIGNER, SIZE

BUNDLE, RECEIPT = FOLDER / "bundle", FOLDER / "receipt.tlog-proof"
PLACES = {0: tile_path("entries", 0), 1: tile_path("entries", 1, SIZE - 256)}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    shutil.copytree(BUNDLE, tmp_path / "copy")
    return tmp_path / "copy"


def failure(bundle: Path, **options: Path) -> VerifyError:
    with pytest.raises(VerifyError) as caught:
        verify_bundle(bundle, **options)
    return caught.value


def all_entries(bundle: Path) -> list[bytes]:
    return [entry for name in PLACES.values() for entry in unpack_entries((bundle / name).read_bytes())]


def change(bundle: Path, at: int, edit: Callable[[list[bytes], int], None]) -> None:
    """Edit the entries of the bundle that holds place ``at``; nothing else is adapted."""
    path = bundle / PLACES[at // 256]
    entries = unpack_entries(path.read_bytes())
    edit(entries, at % 256)
    path.write_bytes(pack_entries(entries))


def test_golden_vectors_are_what_this_program_writes(tmp_path: Path) -> None:
    vectors.build(tmp_path)
    files = sorted(path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    for name in files:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_golden_bundle_and_receipt_verify() -> None:
    report = verify_bundle(BUNDLE, receipt=RECEIPT, policy=BUNDLE / "policy")
    assert report == VerifyReport("vectors.example/audit", SIZE, 6, 6, 3, RECEIPT_OF)
    golden = json.loads((FOLDER / "entry.json").read_text())
    assert leaf_hash(golden["entry"].encode()).hex() == golden["leaf_hash"]


@pytest.mark.parametrize("at", [0, 1, 100, 255, 256, 299])
def test_altered_entry_is_named(bundle: Path, at: int) -> None:
    change(bundle, at, lambda entries, i: entries.__setitem__(i, entries[i].replace(b"313731038005", b"313731038006")))
    error = failure(bundle)
    assert (error.damage, error.index, error.exit_code) == (Damage.ALTERED, at, 11)
    assert f"entry {at}: altered" in error.message


@pytest.mark.parametrize("at", [0, 100, 254, 256, 298])
def test_missing_entry_is_named(bundle: Path, at: int) -> None:
    change(bundle, at, lambda entries, i: entries.pop(i) and None)
    error = failure(bundle)
    assert (error.damage, error.index) == (Damage.MISSING, at)


@pytest.mark.parametrize("at", [255, 299])
def test_missing_last_entry_of_a_bundle_is_named(bundle: Path, at: int) -> None:
    change(bundle, at, lambda entries, i: entries.pop(i) and None)
    error = failure(bundle)
    assert (error.damage, error.index) == (Damage.MISSING, at)


@pytest.mark.parametrize("at", [0, 100, 256])
def test_reordered_entries_are_named(bundle: Path, at: int) -> None:
    def swap(entries: list[bytes], i: int) -> None:
        entries[i], entries[i + 3] = entries[i + 3], entries[i]

    change(bundle, at, swap)
    error = failure(bundle)
    assert (error.damage, error.index) == (Damage.REORDERED, at)


def test_entries_swapped_between_bundles_are_named(bundle: Path) -> None:
    entries = all_entries(bundle)
    change(bundle, 7, lambda here, i: here.__setitem__(i, entries[290]))
    change(bundle, 290, lambda here, i: here.__setitem__(i, entries[7]))
    error = failure(bundle)
    assert (error.damage, error.index) == (Damage.REORDERED, 7)


@pytest.mark.parametrize("at", [0, 100, 256, 299])
def test_added_entry_is_named(bundle: Path, at: int) -> None:
    forged = Leaf.parse(all_entries(bundle)[at])
    change(bundle, at, lambda entries, i: entries.insert(i, forged.to_bytes().replace(b'"rules-1"', b'"rules-9"')))
    error = failure(bundle)
    assert (error.damage, error.index) == (Damage.ADDED, at)


def test_entries_behind_the_signed_end_are_named(bundle: Path) -> None:
    change(bundle, 299, lambda entries, _: entries.append(entries[-1]))
    assert (failure(bundle).damage, failure(bundle).index) == (Damage.ADDED, SIZE)


def test_superfluous_file_is_named(bundle: Path) -> None:
    (bundle / "tile/entries/002").write_bytes(b"")
    assert (failure(bundle).damage, failure(bundle).index) == (Damage.ADDED, SIZE)


def test_missing_bundle_file_is_named(bundle: Path) -> None:
    (bundle / PLACES[1]).unlink()
    error = failure(bundle)
    assert (error.damage, error.index, error.last) == (Damage.MISSING, 256, 299)


def rebuild(bundle: Path, entries: list[bytes], signer: Signer | None = None) -> None:
    """What an attacker does who recomputes every hash; with ``signer`` he also has a key."""
    kept = {name: (bundle / name).read_bytes() for name in ("checkpoint", "checkpoints.jsonl", "policy")}
    shutil.rmtree(bundle)
    vectors.write_bundle(bundle, entries, [], [])
    for name, content in kept.items():
        if signer is None or name != "checkpoint":
            (bundle / name).write_bytes(content)


def test_recomputed_history_contradicts_the_signed_heads(bundle: Path) -> None:
    entries = all_entries(bundle)
    entries[5] = entries[5].replace(b"rules-1", b"rules-9")
    rebuild(bundle, entries)
    error = failure(bundle)
    assert (error.damage, error.index, error.last) == (Damage.ALTERED, 2, 6)


def test_stolen_key_is_caught_by_older_heads_and_receipts(bundle: Path) -> None:
    entries = all_entries(bundle)
    entries[RECEIPT_OF] = entries[RECEIPT_OF].replace(b"rules-1", b"rules-9")
    rebuild(bundle, entries, SIGNER)
    assert failure(bundle).damage is Damage.ALTERED
    (bundle / "checkpoints.jsonl").write_bytes(b"")
    assert verify_bundle(bundle).size == SIZE
    error = failure(bundle, receipt=RECEIPT)
    assert (error.damage, error.index) == (Damage.ALTERED, RECEIPT_OF)


def test_cut_tail_is_caught_by_a_receipt(bundle: Path) -> None:
    entries = all_entries(bundle)[:280]
    rebuild(bundle, entries, SIGNER)
    (bundle / "checkpoints.jsonl").write_bytes(b"")
    error = failure(bundle, receipt=RECEIPT)
    assert (error.damage, error.index, error.last) == (Damage.MISSING, 280, 299)


def renumbered(entries: list[bytes], at: int, number: int) -> list[bytes]:
    changed = list(entries)
    changed[at] = entries[at].replace(b'"seq":%d,' % at, b'"seq":%d,' % number)
    return changed


@pytest.mark.parametrize(
    ("edit", "damage", "at"),
    [
        (lambda all_: renumbered(all_, 9, 12), Damage.MISSING, 9),
        (lambda all_: renumbered(all_, 9, 3), Damage.ADDED, 9),
        (lambda all_: [*all_[:9], all_[9].replace(b'"v":1', b'"v":7'), *all_[10:]], Damage.VERSION, 9),
        (lambda all_: [*all_[:9], all_[9].replace(b'"t":17', b'"t":16'), *all_[10:]], Damage.REORDERED, 9),
        (lambda all_: [*all_[:9], all_[9].replace(b"000009", b"000008"), *all_[10:]], Damage.ADDED, 9),
        (lambda all_: [*all_[:9], all_[9] + b" ", *all_[10:]], Damage.ALTERED, 9),
    ],
)
def test_a_signed_but_ill_formed_log_is_named(
    bundle: Path, edit: Callable[[list[bytes]], list[bytes]], damage: Damage, at: int
) -> None:
    rebuild(bundle, edit(all_entries(bundle)), SIGNER)
    (bundle / "checkpoints.jsonl").write_bytes(b"")
    error = failure(bundle)
    assert (error.damage, error.index) == (damage, at)


def test_one_byte_changed_anywhere_is_found_and_entries_are_named(bundle: Path) -> None:
    chance = random.Random(17)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    for path in files:
        content = path.read_bytes()
        for at in sorted({0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(12))}):
            spoilt = bytearray(content)
            spoilt[at] ^= 1 << chance.randrange(8)
            path.write_bytes(spoilt)
            error = failure(bundle)
            if "entries" in path.parts:
                first = 0 if path.name == "000" else 256
                entry, start = first, 0
                for packed in unpack_entries(content):
                    start += 2 + len(packed)
                    if at < start:
                        break
                    entry += 1
                assert (error.damage, error.index) == (Damage.ALTERED, entry), (path.name, at)
            elif "tile" in path.parts:
                assert error.damage is Damage.TILE
            else:
                assert error.damage not in {Damage.TILE, Damage.MISSING, Damage.ADDED, Damage.REORDERED}
        path.write_bytes(content)
    assert verify_bundle(bundle).size == SIZE


def test_bundle_of_another_key_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = Signer(vectors.ORIGIN, Ed25519PrivateKey.generate())
    (tmp_path / "trusted").write_text(f"log {other.verifier}\nquorum none\n")
    assert failure(bundle, policy=tmp_path / "trusted").damage is Damage.SIGNATURE
    (bundle / "policy").write_text(f"log {other.verifier}\nquorum none\n")
    assert failure(bundle).damage is Damage.SIGNATURE


def test_policy_with_witnesses_is_not_waved_through(bundle: Path) -> None:
    (bundle / "policy").write_text(f"log {SIGNER.verifier}\nwitness w {SIGNER.verifier}\nquorum w\n")
    assert failure(bundle).damage is Damage.VERSION


def test_hidden_link_of_a_chain_is_found(bundle: Path) -> None:
    path = bundle / "chains.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    error = failure(bundle)
    assert (error.damage, error.index) == (Damage.CHAIN, 200)


@pytest.mark.parametrize(
    ("key", "value"), [("value", False), ("name", "facts.other"), ("group", 0), ("seq", 100), ("index", 2)]
)
def test_false_opening_is_found(bundle: Path, key: str, value: object) -> None:
    path = bundle / "openings.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {key: value}), *rest]) + "\n")
    assert failure(bundle).damage is Damage.OPENING


def test_receipt_is_read_out_of_a_reply(tmp_path: Path) -> None:
    receipt = Receipt.parse(RECEIPT.read_text())
    reply = tmp_path / "reply.json"
    for value in (receipt.as_json(), {"data": {}, "extensions": {"receipt": receipt.as_json()}}):
        reply.write_text(json.dumps(value))
        assert read_receipt(reply) == receipt
        assert verify_bundle(BUNDLE, receipt=reply).receipt == RECEIPT_OF
    assert receipt.as_json()["index"] == RECEIPT_OF


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("index 258", "index 257"),
        lambda text: text.replace("index 258", "index 0258"),
        lambda text: text.replace("index 258", "index 300"),
        lambda text: text.replace("tlog-proof@v1", "tlog-proof@v2"),
        lambda text: text.replace("extra ey", "extra eX"),
        lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("extra")),
        lambda text: text.replace("\n300\n", "\n301\n"),
        lambda text: text[: text.index("\n\n")],
        lambda text: text.replace("\n\n", "\n" + "A" * 43 + "=\n\n", 1),
        lambda text: "{}",
        lambda text: '{"extensions": []}',
        lambda text: "",
    ],
)
def test_spoilt_receipt_is_refused(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    path = tmp_path / "receipt"
    path.write_text(spoil(RECEIPT.read_text()))
    assert failure(BUNDLE, receipt=path).damage is Damage.RECEIPT


def test_verifier_needs_neither_database_nor_server_libraries() -> None:
    script = textwrap.dedent(
        f"""
        import sys
        for name in ("asyncpg", "sqlalchemy", "strawberry", "orjson", "starlette", "hub.store"):
            sys.modules[name] = None
        from pathlib import Path
        from hub.audit.verify import verify_bundle
        print(verify_bundle(Path({str(BUNDLE)!r}), receipt=Path({str(RECEIPT)!r})).size)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout.strip(), ended.stderr) == (str(SIZE), "")
