"""Signed notes: a note of the Go project's own tests, and everything that must be refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.audit.note import (
    Checkpoint,
    NoteError,
    Signer,
    VerifierKey,
    decode_base64,
    open_checkpoint,
    open_note,
    parse_checkpoint,
)

# The key and note of golang.org/x/mod/sumdb/note's documentation.
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture
def signer() -> Signer:
    return Signer("log.example/a", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_foreign_note_opens() -> None:
    key = VerifierKey.parse(PUBLIC)
    assert str(key) == PUBLIC
    assert open_note(NOTE, [key]).startswith("If you think")


def test_own_note_opens_and_signing_again_gives_the_same_bytes(signer: Signer) -> None:
    checkpoint = Checkpoint("log.example/a", 7, bytes(32))
    note = signer.sign(checkpoint.text())
    assert note == signer.sign(checkpoint.text())
    assert open_checkpoint(note, signer.verifier) == checkpoint
    assert VerifierKey.parse(str(signer.verifier)) == signer.verifier


def lines_with(signature: str) -> str:
    return "log.example/a\n7\n" + base64.b64encode(bytes(32)).decode() + "\n\n" + signature


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note.replace("\n7\n", "\n8\n"),
        lambda note: note[:-1],
        lambda note: note.replace("\n", "\r\n"),
        lambda note: note + "\n",
        lambda note: note + "rest",
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("— ", "- "),
        lambda note: note.replace("— ", "—  "),
        lambda note: note.replace("log.example/a\n7", "log.example/a\x01\n7"),
        lambda note: note.replace("— log.example/a", "— log.example/b"),
        lambda note: note.replace("=\n", "= \n"),
        lambda note: note[: note.rindex("— ")],
        lambda note: note + note[note.rindex("— ") :] * 101,
        lambda note: "x" * 1_000_001,
        lambda note: "",
    ],
)
def test_spoilt_note_is_refused(signer: Signer, spoil) -> None:
    note = signer.sign(Checkpoint("log.example/a", 7, bytes(32)).text())
    with pytest.raises(NoteError):
        open_note(spoil(note), [signer.verifier])


def test_unknown_signature_is_ignored_but_a_bad_known_one_refuses_the_note(signer: Signer) -> None:
    note = signer.sign(Checkpoint("log.example/a", 7, bytes(32)).text())
    other = Signer("witness.example", Ed25519PrivateKey.generate())
    foreign = other.sign(Checkpoint("log.example/a", 7, bytes(32)).text()).rsplit("\n\n", 1)[1]
    assert open_checkpoint(note + foreign, signer.verifier).size == 7
    bad = base64.b64encode(other.verifier.key_id + bytes(64)).decode()
    with pytest.raises(NoteError, match="bad signature"):
        open_note(note + f"— witness.example {bad}\n", [signer.verifier, other.verifier])
    with pytest.raises(NoteError, match="not signed by a known key"):
        open_note(note, [other.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "a\n07\n{root}\n",
        "a\n-1\n{root}\n",
        "a\n\n{root}\n",
        "a\n7\nAAAA\n",
        "a\n7\n{root}\nmore\n",
        "\n7\n{root}\n",
        "a\n٧\n{root}\n",
    ],
)
def test_odd_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text.replace("{root}", base64.b64encode(bytes(32)).decode()))


def test_checkpoint_of_another_log_is_refused(signer: Signer) -> None:
    with pytest.raises(NoteError, match="another log"):
        open_checkpoint(signer.sign(Checkpoint("log.example/b", 7, bytes(32)).text()), signer.verifier)


@pytest.mark.parametrize("text", ["AB==", "QQ", "QQ=\n", "Q Q=", "ＱＱ=="])
def test_only_one_spelling_of_base64(text: str) -> None:
    with pytest.raises(NoteError):
        decode_base64(text)


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "a+00000000+AQ==", PUBLIC.replace("c74f20a3", "c74f20a4"), "a b+00000000+" + PUBLIC.split("+", 2)[2]],
)
def test_odd_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)
