"""sources.toml: what it may say, and the sentence it is refused with."""

import re
from pathlib import Path

import pytest

from hub.connectors.registry import connector_for
from hub.connectors.sources import (
    BankSource,
    CivilSource,
    ClinicSource,
    SocialSource,
    TaxSource,
    is_loopback,
    kind_of,
    load_sources,
    read_secret,
    select_sources,
)
from hub.core.errors import SettingsError

DOCUMENT = Path(__file__).parents[2] / "docs" / "CONTRACTS.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example that the product's own document prints."""
    printed = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert printed is not None
    path = tmp_path / "sources.toml"
    path.write_text(printed[1], encoding="utf-8")
    return path


def changed(path: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_printed_example_is_read_with_its_defaults(example: Path) -> None:
    sources = load_sources(example)
    assert [type(source) for source in sources] == [TaxSource, SocialSource, ClinicSource, CivilSource, BankSource]
    assert [source.name for source in sources] == ["tax", "social", "clinic", "civil", "bank"]
    assert [kind_of(source) for source in sources] == [
        "tax-rest",
        "social-view",
        "clinic-sftp",
        "civil-soap",
        "bank-files",
    ]
    tax = sources[0]
    assert isinstance(tax, TaxSource)
    assert (tax.enabled, tax.timeout_seconds, tax.max_retries, tax.allow_plain_loopback) == (True, 30, 8, False)
    assert tax.client_id_file == example.parent / "keys" / "tax_client_id"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("version = 1", "version = 2", "version must be there and be 1"),
        ("version = 1", "version = true", "version must be there and be 1"),
        ("version = 1", "version = 1\nextra = 3", "`extra` is not known"),
        ('kind = "tax-rest"', 'kind = "tax"', r"\[sources.tax\] kind"),
        ('kind = "tax-rest"', "", r"\[sources.tax\].*`kind`"),
        ('agreement_no = "DH-SJ-2026-001"', "", r"\[sources.tax\].*`agreement_no`"),
        ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = ""', r"\[sources.tax\] agreement_no"),
        ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = "x"\nclient_secret = "s3cr3t"', "`client_secret`"),
        ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = "x"\nname = "y"', r"\[sources.tax\] name"),
        ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = "x"\ntimeout_seconds = 0', "timeout_seconds"),
        ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = "x"\nmax_retries = -1', "max_retries"),
        ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = "x"\nenabled = "no"', "enabled"),
        ("port = 5432", "port = 70000", r"\[sources.social\] port"),
        ("port = 5432", 'port = "5432"', r"\[sources.social\] port"),
        ('bank_code = "402739000011"', 'bank_code = "4027"', r"\[sources.bank\] bank_code"),
        ('client_id_file = "keys/tax_client_id"', "client_id_file = 5", r"\[sources.tax\] client_id_file"),
        ("[sources.tax]", '[sources."my tax"]', "letters, digits"),
        ("https://tax.example.gov.cn/api/v1", "ftp://tax.example.gov.cn", r"\[sources.tax\] base_url"),
        ("https://tax.example.gov.cn/api/v1", "https://tax.example.gov.cn/?a=b", r"\[sources.tax\] base_url"),
        ("https://tax.example.gov.cn/api/v1", "https://u:p@tax.example.gov.cn", r"\[sources.tax\] base_url"),
        ("https://tax.example.gov.cn/api/v1", "https://:99999", r"\[sources.tax\] base_url"),
        ("[sources.tax]", "[sources.tax", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_key(example: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        load_sources(changed(example, (old, new)))
    assert str(example) in refused.value.message
    assert "s3cr3t" not in str(refused.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_sources(tmp_path / "none.toml")
    for content, sentence in (
        (b"\xff", "UTF-8"),
        (b"version = 1", "sources"),
        (b"version = 1\nsources = {}", "sources"),
    ):
        path = tmp_path / "sources.toml"
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=sentence):
            load_sources(path)
    path.write_bytes(b"version = 1\n[sources]\ntax = 5")
    with pytest.raises(SettingsError, match="must be a table"):
        load_sources(path)


@pytest.mark.parametrize(
    ("host", "literal"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", False),
        ("::ffff:127.0.0.1", False),
        ("10.0.0.1", False),
        ("127.0.0.1.example.cn", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_means_a_literal_address(host: str, literal: bool) -> None:
    assert is_loopback(host) is literal


PLAIN = [
    ("https://tax.example.gov.cn/api/v1", "http://127.0.0.1:8001/api/v1"),
    ("https://tax.example.gov.cn/oauth2/token", "http://[::1]:8001/oauth2/token"),
]
TAX_CA = ('client_secret_file = "keys/tax_client_secret"\nca_file = "keys/ca.pem"', "client_secret_file = 'keys/s'")
ALLOWED = ('agreement_no = "DH-SJ-2026-001"', 'agreement_no = "DH-SJ-2026-001"\nallow_plain_loopback = true')


def test_plain_loopback_needs_to_be_allowed(example: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[sources.tax\] base_url is a plain connection"):
        load_sources(changed(example, *PLAIN))


def test_plain_loopback_may_do_without_a_ca(example: Path) -> None:
    tax = load_sources(changed(example, *PLAIN, TAX_CA, ALLOWED))[0]
    assert isinstance(tax, TaxSource)
    assert tax.ca_file is None


def test_plain_is_refused_for_any_other_host_even_if_allowed(example: Path) -> None:
    elsewhere = (PLAIN[0][0], "http://localhost:8001/api/v1")
    with pytest.raises(SettingsError, match="plain connection"):
        load_sources(changed(example, elsewhere, ALLOWED))


def test_one_encrypted_address_needs_the_ca(example: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[sources.tax\] ca_file is missing"):
        load_sources(changed(example, PLAIN[0], TAX_CA, ALLOWED))


def test_a_database_without_ca_must_be_on_loopback_and_allowed(example: Path) -> None:
    no_ca = ('password_file = "keys/social_password"\nca_file = "keys/ca.pem"', 'password_file = "keys/p"')
    here = ('host = "10.20.0.5"', 'host = "127.0.0.1"')
    allowed = ('agreement_no = "DH-SJ-2026-002"', 'agreement_no = "x"\nallow_plain_loopback = true')
    original = example.read_text(encoding="utf-8")
    for changes in ([no_ca], [no_ca, here], [no_ca, allowed]):
        example.write_text(original, encoding="utf-8")
        with pytest.raises(SettingsError, match=r"\[sources.social\] ca_file is missing"):
            load_sources(changed(example, *changes))
    example.write_text(original, encoding="utf-8")
    assert load_sources(changed(example, no_ca, here, allowed))[1].plain_allowed("127.0.0.1")


def test_named_sources_are_selected_in_the_order_of_the_file(example: Path) -> None:
    sources = load_sources(changed(example, (ALLOWED[0], 'agreement_no = "x"\nenabled = false')))
    assert [source.name for source in select_sources(sources, [])] == ["social", "clinic", "civil", "bank"]
    assert [source.name for source in select_sources(sources, ["bank", "tax", "bank"])] == ["tax", "bank"]
    with pytest.raises(SettingsError, match="no source named `taxes`"):
        select_sources(sources, ["taxes"])


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" a b ", " a b "),
        ("密".encode(), "密"),
    ],
)
def test_a_secret_is_the_line_without_its_newline(example: Path, tmp_path: Path, content: bytes, value: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert read_secret(path, load_sources(example)[0], "client_secret_file") == value


@pytest.mark.parametrize("content", [b"", b"\n", b"secret\n\n", b"se\ncret", b"\xff\xfe", b"se\0cret"])
def test_other_secret_files_are_refused_without_their_content(example: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="`client_secret_file` of source `tax`") as refused:
        read_secret(path, load_sources(example)[0], "client_secret_file")
    assert "cret" not in str(refused.value).replace("secret", "").replace(str(path), "")


def test_a_missing_key_file_is_a_settings_error_before_anything_is_read(example: Path) -> None:
    for source in load_sources(example):
        if not isinstance(source, ClinicSource):
            with pytest.raises(SettingsError, match=f"of source `{source.name}`"):
                connector_for(source)
