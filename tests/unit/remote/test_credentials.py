"""Which credential is used, and one clear line for each that cannot work; needs a directory."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vofs.core.errors import ServiceUnusable, UsageError
from vofs.remote.credentials import Anonymous, Certificate, Token, choose_credential

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def pem(
    *names: str, key: ec.EllipticCurvePrivateKey | None = None, days: int = 10, start: int = -1
) -> bytes:
    """Return a self-signed certificate of the given CNs without its key."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "ca"),
            *(x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=start))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(own, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def proxy(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path = tmp_path / "proxy.pem"
    path.write_bytes(pem("jane_doe", key=key) + key_pem(key) + pem("ca"))
    return path


def test_a_proxy_certificate(proxy: Path) -> None:
    credential = choose_credential({}, certfile=str(proxy), now=NOW)
    assert credential == Certificate(proxy, "CN=jane_doe,C=ca", NOW + timedelta(days=10))
    assert credential.account == "CN=jane_doe,C=ca"


def test_a_renewed_proxy_is_the_same_account(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    """RFC 3820: a proxy adds one CN, another one each time."""
    accounts = set()
    for extra in ("12345", "678", "proxy"):
        path = tmp_path / f"{extra}.pem"
        path.write_bytes(pem("jane_doe", extra, key=key) + key_pem(key))
        accounts.add(choose_credential({}, certfile=str(path), now=NOW).account)
    assert accounts == {"CN=jane_doe,C=ca"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path, key: path.mkdir(), "not a regular file"),
        (lambda path, key: os.mkfifo(path), "not a regular file"),
        (lambda path, key: None, "cannot be read"),
        (lambda path, key: path.write_bytes(b"no pem"), "not PEM"),
        (lambda path, key: path.write_bytes(key_pem(key)), "not PEM with a certificate"),
        (lambda path, key: path.write_bytes(pem("x", key=key)), "no usable private key"),
        (
            lambda path, key: path.write_bytes(pem("x", key=key, days=0) + key_pem(key)),
            "expired at 2024-06-01 00:00 UTC: run cadc-get-cert",
        ),
        (
            lambda path, key: path.write_bytes(
                pem("x", key=key) + key_pem(key) + pem("old ca", days=0)
            ),
            "expired",
        ),
        (
            lambda path, key: path.write_bytes(pem("x", key=key, start=1) + key_pem(key)),
            "check the clock",
        ),
        (
            lambda path, key: path.write_bytes(pem("x", key=key) + key_pem(key, b"pw")),
            "is encrypted",
        ),
        (lambda path, key: path.write_bytes(pem("x") + key_pem(key)), "another certificate"),
    ],
)
def test_a_certificate_that_cannot_work(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, make: object, words: str
) -> None:
    path = tmp_path / "c.pem"
    assert callable(make)
    make(path, key)
    with pytest.raises(ServiceUnusable) as caught:
        choose_credential({}, certfile=str(path), now=NOW)
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message


def test_the_order_of_choice(tmp_path: Path, proxy: Path) -> None:
    home = tmp_path / "home"
    default = home / ".ssl" / "cadcproxy.pem"
    environment = {
        "HOME": str(home),
        "VOSPACE_CERTFILE": str(proxy),
        "VOSPACE_TOKEN": "from-environment",
    }
    assert choose_credential(environment, anonymous=True) == Anonymous()
    assert choose_credential(environment, token="t") == Token("t")
    assert choose_credential(environment, certfile=str(proxy), now=NOW).account.startswith("CN=")
    assert choose_credential(environment) == Token("from-environment")
    del environment["VOSPACE_TOKEN"]
    assert isinstance(choose_credential(environment, now=NOW), Certificate)
    del environment["VOSPACE_CERTFILE"]
    assert choose_credential(environment) == Anonymous()
    default.parent.mkdir(parents=True)
    default.write_bytes(proxy.read_bytes())
    chosen = choose_credential(environment, now=NOW)
    assert isinstance(chosen, Certificate)
    assert chosen.path == default
    assert choose_credential({}) == Anonymous()


def test_an_expired_default_certificate_is_told_not_ignored(tmp_path: Path, proxy: Path) -> None:
    (tmp_path / ".ssl").mkdir()
    (tmp_path / ".ssl" / "cadcproxy.pem").write_bytes(proxy.read_bytes())
    with pytest.raises(ServiceUnusable, match="expired"):
        choose_credential({"HOME": str(tmp_path)}, now=NOW + timedelta(days=11))


def test_two_credentials_are_one_too_many(proxy: Path) -> None:
    with pytest.raises(UsageError, match="only one"):
        choose_credential({}, certfile=str(proxy), token="t")


def test_token_files(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("Bearer abc.def-ghi\n")
    assert choose_credential({}, token_file=str(path)) == Token("abc.def-ghi")


@pytest.mark.parametrize("content", [b"", b"  \n", b"two words", b"\xff\xfe", b"s\xc3\xa9same"])
def test_what_is_no_token_is_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ServiceUnusable, match="holds no token") as caught:
        choose_credential({}, token_file=str(path))
    assert "words" not in str(caught.value).replace("one word", "")


def test_a_token_is_never_shown() -> None:
    assert "secret" not in repr(Token("secret"))
    assert "secret" not in str(Token("secret"))
    assert Token("secret").account == "token"
