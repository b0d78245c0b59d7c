"""Certificates: whom to trust, and what is wrong with one that is refused."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from ..errors import ConfigError
from .facts import TlsProblem

# X509_V_ERR_… of OpenSSL's x509_vfy.h
_PROBLEMS = {9: TlsProblem.NOT_YET_VALID, 10: TlsProblem.EXPIRED, 62: TlsProblem.WRONG_NAME, 64: TlsProblem.WRONG_NAME}


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A context that trusts the authorities in a file, or those of the system; raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"The certificate authorities in {ca_file} cannot be used: {error}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def unverified() -> ssl.SSLContext:
    """A context that trusts anybody: to ask what time it is, and to say nothing."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def problem_of(error: ssl.SSLError) -> TlsProblem:
    """What went wrong."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TlsProblem.FAILED
    return _PROBLEMS.get(error.verify_code, TlsProblem.UNTRUSTED)


def is_about_time(problem: TlsProblem | None) -> bool:
    """Whether another clock might find nothing wrong."""
    return problem in (TlsProblem.EXPIRED, TlsProblem.NOT_YET_VALID)


def holds_at(certificate: bytes, at: float) -> bool:
    """Whether a certificate (DER) is within its time at `at`, Unix seconds; raises ValueError when it is none."""
    parsed = x509.load_der_x509_certificate(certificate)
    return parsed.not_valid_before_utc <= datetime.fromtimestamp(at, UTC) <= parsed.not_valid_after_utc
