"""What is wrong with a TLS connection, and what to do about it."""

from __future__ import annotations

import ssl
from typing import Final, TypeVar

_OTHER_HOST: Final = (
    "its certificate is for another host",
    "check the address; if it is right, ask whoever runs the service for a certificate for it",
)
#: The service's certificate, by OpenSSL's number of the error (``X509_V_ERR_…`` in ``openssl/x509_vfy.h``).
_CERTIFICATE: Final = {
    9: (
        "its certificate is not valid yet",
        "check this machine's clock; if it is right, ask whoever runs the service",
    ),
    10: (
        "its certificate has expired",
        "ask whoever runs the service to renew it; if it was renewed, check this machine's clock",
    ),
    62: _OTHER_HOST,
    64: _OTHER_HOST,  # an IP address
}
_UNTRUSTED: Final = (
    "its certificate is not from an authority that this machine trusts",
    "if it is your organisation's own, let REQUESTS_CA_BUNDLE name the file with its authority's certificate; "
    "otherwise somebody may be listening in between",
)
_UNVERIFIED: Final = "its certificate can't be verified: {}", "ask whoever runs the service"
_NO_TLS: Final = "it does not answer in TLS", "check the address and its port: is it http and not https?"
_HANDSHAKE: Final = (
    "the two have no version of TLS or no cipher in common: {}",
    "check the address; a proxy in between may be too old",
)
_BROKEN: Final = "the secure connection broke: {}", "run the command again"

#: OpenSSL's reasons for an answer that is not TLS.
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
#: Its reasons for a handshake that failed. Nothing was sent by then.
_NO_AGREEMENT: Final = (
    "UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "ALERT_HANDSHAKE_FAILURE", "DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED", "NO_SHARED_CIPHER",
)  # fmt: skip


def what_is_wrong(broken: Exception) -> tuple[str, str, bool]:
    """What is wrong, what to do, and whether it is certain that nothing was sent, from a library's ``SSLError``."""
    error = cause(broken, ssl.SSLError)
    if isinstance(error, ssl.SSLCertVerificationError):
        # 18 to 21: signed by itself, by an unknown authority, or by none that was sent.
        default = _UNTRUSTED if 18 <= error.verify_code <= 21 else _UNVERIFIED
        what, hint = _CERTIFICATE.get(error.verify_code, default)
        return what.format(error.verify_message), hint, True
    reason = (error.reason if error is not None else "") or ""
    if reason in _NOT_TLS:
        return *_NO_TLS, True
    refused = any(one in reason for one in _NO_AGREEMENT)
    what, hint = _HANDSHAKE if refused else _BROKEN
    return what.format(reason.replace("_", " ").lower() or "no reason was given"), hint, refused


E = TypeVar("E", bound=BaseException)


def cause(error: BaseException, *kinds: type[E]) -> E | None:
    """The error of one of these kinds that caused an error: requests wraps urllib3's, some of them in ``reason``."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return None
        if isinstance(seen, kinds):
            return seen
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = (
                seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else seen.__context__
            )
        seen = inner
    return None
