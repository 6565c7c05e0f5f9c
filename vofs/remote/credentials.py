"""Credentials: which one to use, and whether it can work at all.

Decides between a proxy certificate, a token and none, from what the user said, the environment and
the default certificate, in that order; a credential that was named and cannot work is an error with
one line that says what to do, never a silent fall-back to anonymous.

Never asks a service, and never shows a secret: a token is not in any repr, message or log.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from vofs.core.errors import ServiceUnusable, UsageError

__all__ = ["Anonymous", "Certificate", "Credential", "Token", "choose_credential"]

_DEFAULT_CERTIFICATE = Path(".ssl") / "cadcproxy.pem"  # where cadc-get-cert puts it
_RENEW = "run cadc-get-cert to get a new one"


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credential: the mount is read-only."""

    @property
    def account(self) -> str:
        """What stands for the account in a cache's identity."""
        return "anonymous"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A usable proxy certificate with its key.

    Attributes:
        path: the PEM file with both.
        subject: distinguished name (RFC 4514) without the parts that a proxy adds.
        expires_at: when the first certificate of the file's chain ends, UTC.
    """

    path: Path
    subject: str
    expires_at: datetime

    @property
    def account(self) -> str:
        """What stands for the account in a cache's identity: renewed proxies keep it."""
        return self.subject


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token.

    Attributes:
        secret: the token without "Bearer "; never shown.
    """

    secret: str = field(repr=False)

    @property
    def account(self) -> str:
        """What stands for the account in a cache's identity.

        Tokens rotate and say nothing readable of their owner, so all tokens count as one account;
        a hash of the token would strand unsent data at every renewal.
        """
        return "token"


Credential = Anonymous | Certificate | Token


def choose_credential(
    environment: Mapping[str, str],
    *,
    certfile: str | None = None,
    token: str | None = None,
    token_file: str | None = None,
    anonymous: bool = False,
    now: datetime | None = None,
) -> Credential:
    """Return the credential to use.

    Args:
        environment: HOME, VOSPACE_TOKEN and VOSPACE_CERTFILE are read from it; all may be missing.
        certfile: --certfile.
        token: --token.
        token_file: --token-file.
        anonymous: --anonymous.
        now: the moment against which expiry is judged; None is the present.

    Raises:
        UsageError: more than one of the four arguments.
        ServiceUnusable: the chosen one cannot work.
    """
    given = [certfile is not None, token is not None, token_file is not None, anonymous]
    if sum(given) > 1:
        raise UsageError("give only one of --certfile, --token, --token-file and --anonymous")
    moment = now or datetime.now(UTC)
    if anonymous:
        return Anonymous()
    if token is not None:
        return _token(token, "--token")
    if token_file is not None:
        return _token(_read_text(token_file), f"token file {token_file}")
    if certfile is not None:
        return load_certificate(Path(certfile), moment)
    if environment.get("VOSPACE_TOKEN"):
        return _token(environment["VOSPACE_TOKEN"], "VOSPACE_TOKEN")
    if environment.get("VOSPACE_CERTFILE"):
        return load_certificate(Path(environment["VOSPACE_CERTFILE"]), moment)
    if environment.get("HOME"):
        default = Path(environment["HOME"]) / _DEFAULT_CERTIFICATE
        if default.exists():
            return load_certificate(default, moment)
    return Anonymous()


def load_certificate(path: Path, now: datetime) -> Certificate:
    """Read and check a proxy certificate.

    Args:
        path: PEM file with the certificate, its chain and its private key.
        now: the moment against which expiry is judged.

    Raises:
        ServiceUnusable: not a readable regular file, not PEM, without a key, or expired.
    """
    data = _read_bytes(path, "certificate")
    try:
        chain = x509.load_pem_x509_certificates(data)
    except ValueError as exc:
        raise ServiceUnusable(
            f"certificate {path} is not PEM with a certificate: {_RENEW}"
        ) from exc
    _check_key(path, data, chain[0])
    expires_at = min(certificate.not_valid_after_utc for certificate in chain)
    if expires_at <= now:
        raise ServiceUnusable(f"certificate {path} expired at {expires_at:%F %H:%M} UTC: {_RENEW}")
    starts_at = chain[0].not_valid_before_utc
    if starts_at > now:
        raise ServiceUnusable(
            f"certificate {path} is valid only from {starts_at:%F %H:%M} UTC: check the clock"
        )
    return Certificate(path.absolute(), _account_name(chain[0].subject), expires_at)


def _check_key(path: Path, data: bytes, certificate: x509.Certificate) -> None:
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError as exc:
        raise ServiceUnusable(
            f"the private key in {path} is encrypted: vofs needs one without a password"
        ) from exc
    except Exception as exc:  # ValueError, UnsupportedAlgorithm and whatever OpenSSL says
        raise ServiceUnusable(f"certificate {path} has no usable private key: {_RENEW}") from exc
    if key.public_key() != certificate.public_key():
        raise ServiceUnusable(f"the private key in {path} belongs to another certificate: {_RENEW}")


def _account_name(subject: x509.Name) -> str:
    # A proxy's name is its issuer's with one CN more: "proxy" or a number (RFC 3820 section 3.4).
    parts = list(subject.rdns)
    while len(parts) > 1 and _is_proxy_part(parts[-1]):
        parts.pop()
    return x509.Name(parts).rfc4514_string()


def _is_proxy_part(part: x509.RelativeDistinguishedName) -> bool:
    names = [str(item.value) for item in part.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return any(name.isdecimal() or name in ("proxy", "limited proxy") for name in names)


def _token(text: str, source: str) -> Token:
    words = text.split()
    if words and words[0].lower() == "bearer":
        words = words[1:]
    if len(words) != 1 or not (words[0].isascii() and words[0].isprintable()):
        raise ServiceUnusable(f"{source} holds no token: one word of ASCII characters is needed")
    return Token(words[0])


def _read_text(path: str) -> str:
    try:
        return _read_bytes(Path(path), "token file").decode("ascii")
    except UnicodeDecodeError:
        return ""  # _token says what is wrong, and the error must not quote the bytes


def _read_bytes(path: Path, what: str) -> bytes:
    try:
        # Looked at before opening: a FIFO would block the start for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ServiceUnusable(f"{what} {path} is not a regular file")
        return path.read_bytes()
    except OSError as exc:
        raise ServiceUnusable(f"{what} {path} cannot be read: {exc.strerror}") from exc
