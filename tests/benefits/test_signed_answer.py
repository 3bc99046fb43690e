"""A signed answer: checked without the hub, over soon, of its holder alone, and nothing else that is signed."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK
from sd_jwt.holder import SDJWTHolder

from hub.benefits.programme import Answer
from hub.benefits.signed_answer import holder_key_of, public_key, sign_answer, verify_answer
from hub.cli.eligibility import verify_command
from hub.consent.record import sign_detached
from hub.core.errors import HubError, InputError
from hub.store.keys import FileKeys

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def signed(keys: FileKeys, **changes: Any) -> str:
    facts: dict[str, Any] = {
        "programme": "care", "version": 2, "period": "2026-Q4", "answer": Answer.YES, "provider": "hospital-a",
        "subject": "ab" * 16, "until": NOW + timedelta(days=30), "holder": None, "now": NOW,
    }  # fmt: skip
    return sign_answer(keys, **facts | changes)


def code_of(text: str, key: dict[str, str], now: datetime = NOW, **more: str) -> str:
    with pytest.raises(HubError) as refused:
        verify_answer(text, key, now, **more)
    return refused.value.code


def test_it_says_the_answer_and_holds_for_a_day_at_most(keys: FileKeys) -> None:
    text, key = signed(keys), public_key(keys)
    found = verify_answer(text, key, NOW)
    assert (found.programme, found.version, found.period, found.answer) == ("care", 2, "2026-Q4", Answer.YES)
    assert (found.subject, found.is_bound) == ("ab" * 16, False)
    assert found.expires_at == NOW + timedelta(hours=24)
    assert code_of(text, key, NOW + timedelta(hours=24)) == "ANSWER_OVER"
    assert code_of(text, key, NOW - timedelta(hours=1)) == "ANSWER_OVER"
    short = signed(keys, until=NOW + timedelta(hours=1))
    assert verify_answer(short, key, NOW).expires_at == NOW + timedelta(hours=1)
    # The person's id is left out by whoever presents it; the answer cannot be.
    head = text.split("~")[0]
    assert verify_answer(head + "~", key, NOW).subject is None
    payload = json.loads(base64.urlsafe_b64decode(head.split(".")[1] + "=="))
    assert "sub" not in payload
    assert payload["answer"] == "YES"


def test_the_command_verifies_without_a_database(
    keys: FileKeys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    answer, key = tmp_path / "answer", tmp_path / "key.json"
    answer.write_text(signed(keys, now=now, until=now + timedelta(days=9)) + "\n")
    key.write_text(json.dumps(public_key(keys)))
    verify_command(answer, key)
    told = json.loads(capsys.readouterr().out)
    assert (told["programme"], told["answer"], told["shownByHolder"]) == ("care", "YES", False)
    with pytest.raises(InputError):
        verify_command(tmp_path / "none", key)


def test_nothing_else_is_an_answer(keys: FileKeys, tmp_path: Path) -> None:
    text, key = signed(keys, answer=Answer.NO), public_key(keys)
    head, body, rest = text.split(".", 2)
    forged = json.loads(base64.urlsafe_b64decode(body + "==")) | {"answer": "YES"}
    changed = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "x"}).encode()).rstrip(b"=").decode()
    other = public_key(FileKeys(tmp_path / "other"))
    receipt = sign_detached(keys, "credit-consent-receipt", b"{}")
    for wrong in (f"{head}.{changed}.{rest}", f"{none}.{changed}.~", receipt + "~", "", "~~", "a.b.c", text + "e30"):
        assert code_of(wrong, key) == "ANSWER_FALSE", wrong[:20]
    assert code_of(text, other) == "ANSWER_FALSE"
    with pytest.raises(InputError):
        verify_answer(text, {"kty": "EC"}, NOW)


def test_an_answer_that_belongs_to_somebody_proves_nothing_without_his_fresh_signature(keys: FileKeys) -> None:
    mine, others = JWK.generate(kty="EC", crv="P-256"), JWK.generate(kty="EC", crv="P-256")
    now = datetime.now(UTC)
    text = signed(keys, holder=holder_key_of(mine.export_public()), now=now, until=now + timedelta(days=1))
    key = public_key(keys)
    assert code_of(text, key, now) == "ANSWER_NOT_SHOWN"

    def shown(by: JWK) -> str:
        holder = SDJWTHolder(text)
        holder.create_presentation({}, nonce="n-1", aud="shop", holder_key=by)
        return str(holder.sd_jwt_presentation)

    found = verify_answer(shown(mine), key, now, audience="shop", nonce="n-1")
    assert (found.answer, found.subject, found.is_bound) == (Answer.YES, None, True)
    assert code_of(shown(mine), key, now, audience="shop", nonce="n-2") == "ANSWER_FALSE"
    assert code_of(shown(mine), key, now, audience="else", nonce="n-1") == "ANSWER_FALSE"
    assert code_of(shown(others), key, now, audience="shop", nonce="n-1") == "ANSWER_FALSE"
    assert code_of(shown(mine), key, now) == "ANSWER_NOT_SHOWN"
    assert code_of(shown(mine), key, now + timedelta(minutes=6), audience="shop", nonce="n-1") == "ANSWER_NOT_SHOWN"
    off_the_curve = '{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}'
    for wrong in (
        "{}",
        "x",
        "[" * 20_000,
        off_the_curve,
        mine.export_private(),
        JWK.generate(kty="OKP", crv="Ed25519").export_public(),
    ):
        with pytest.raises(InputError) as refused:
            holder_key_of(wrong)
        assert refused.value.code == "HOLDER_KEY_MALFORMED"
