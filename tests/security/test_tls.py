"""What whoever stands between this program and the service could do: pass for the service, and be given the key."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests import warm
from tests.support import API_KEY

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
LOCALHOST = x509.DNSName("localhost")


@dataclass
class Authority:
    """Somebody who signs certificates. ``file`` is the authority's own, for those who trust it."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(default_factory=lambda: _name("An authority"))

    @property
    def file(self) -> Path:
        path = self.folder / "authority.pem"
        if not path.exists():
            builder = _builder(self.name, self.name, self.key, NOW - DAY, NOW + DAY)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            builder = builder.add_extension(_known(self.key), critical=False)
            signed = builder.sign(self.key, hashes.SHA256())
            path.write_bytes(signed.public_bytes(Encoding.PEM))
        return path

    def sign(
        self,
        host: x509.GeneralName = LOCALHOST,
        since: datetime.timedelta = -DAY,
        until: datetime.timedelta = DAY,
        *,
        by_itself: bool = False,
    ) -> Path:
        """A certificate for a host, and its key, in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("A host")
        builder = _builder(subject, subject if by_itself else self.name, key, NOW + since, NOW + until)
        builder = builder.add_extension(x509.SubjectAlternativeName([host]), critical=False)
        signer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_known(self.key))
        builder = builder.add_extension(signer, critical=False)
        signed = builder.sign(key if by_itself else self.key, hashes.SHA256())
        path = self.folder / "host.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(signed.public_bytes(Encoding.PEM) + secret)
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _known(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    since: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    return builder.not_valid_before(since).not_valid_after(until)


@dataclass
class Listener:
    """A server with a certificate. ``heard`` are the headers of the requests that reached it."""

    url: str
    heard: list[str] = field(default_factory=list)


@contextmanager
def listening(certificate: Path) -> Iterator[Listener]:
    """A service without sessions, over TLS."""
    listener = Listener("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.heard.append(str(self.headers))
            body = b'{"message": "", "status": 200, "count": 0, "max_pages": 1, "current_page": 1, "results": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign, assignment] # of handshakes that were refused
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        listener.url = f"https://localhost:{server.server_port}"
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def asked(authority: Authority, url: str, *, trusted: bool, command: str = "list") -> tuple[int, str]:
    """What the command says of a service, with or without trust in the authority."""
    environ = {"MINDCRAFT_API_KEY": API_KEY, "RECONCILER_PATIENCE": "600"}
    if trusted:
        environ["REQUESTS_CA_BUNDLE"] = str(authority.file)
    done = warm.run([command, "--endpoint", url, "--retries", "0"], cwd=authority.folder, env=environ)
    return done.returncode, done.stdout + done.stderr


UNTRUSTED = (
    "its certificate is not from an authority that this machine trusts",
    "if it is your organisation's own, let REQUESTS_CA_BUNDLE name the file with its authority's certificate; "
    "otherwise somebody may be listening in between",
)
ANOTHER = (
    "its certificate is for another host",
    "check the address; if it is right, ask whoever runs the service for a certificate for it",
)
LATE = (
    "its certificate has expired",
    "ask whoever runs the service to renew it; if it was renewed, check this machine's clock",
)
EARLY = (
    "its certificate is not valid yet",
    "check this machine's clock; if it is right, ask whoever runs the service",
)


@pytest.mark.parametrize(
    ("certificate", "trusted", "said"),
    [
        ({"by_itself": True}, True, UNTRUSTED),
        ({}, False, UNTRUSTED),
        ({"since": -2 * DAY, "until": -DAY}, True, LATE),
        ({"since": DAY, "until": 2 * DAY}, True, EARLY),
        ({"host": x509.DNSName("api.mindcraft.com.cn")}, True, ANOTHER),
        ({"host": x509.DNSName("*.localhost")}, True, ANOTHER),
        ({"host": x509.IPAddress(ipaddress.ip_address("127.0.0.1"))}, True, ANOTHER),
    ],
    ids=["self-signed", "unknown authority", "expired", "not yet valid", "other host", "wildcard", "address"],
)
def test_nobody_with_a_bad_certificate_gets_the_key(
    certificate: dict[str, object], trusted: bool, said: tuple[str, str], authority: Authority
) -> None:
    with listening(authority.sign(**certificate)) as service:  # type: ignore[arg-type]
        code, err = asked(authority, service.url, trusted=trusted)
    what, hint = said
    assert code == 1
    message, _, advice = err.partition("\n      hint: ")
    assert message == f"listing sessions: no secure connection to {service.url}: {what}"
    assert " ".join(advice.split()) == hint
    assert not service.heard
    assert API_KEY not in err


def test_an_address_must_be_the_certificates(authority: Authority) -> None:
    with listening(authority.sign(x509.DNSName("localhost"))) as service:
        code, err = asked(authority, service.url.replace("localhost", "127.0.0.1"), trusted=True)
    assert (code, ANOTHER[0] in err, service.heard) == (1, True, [])


def test_a_service_of_a_trusted_authority_gets_the_key(authority: Authority) -> None:
    with listening(authority.sign()) as service:
        code, err = asked(authority, service.url, trusted=True)
    assert (code, err) == (0, "0 of 0 sessions.\n")
    assert API_KEY in service.heard[0]


def test_the_doctor_says_it_too(authority: Authority) -> None:
    with listening(authority.sign(by_itself=True)) as service:
        code, err = asked(authority, service.url, trusted=True, command="doctor")
    assert code == 1
    assert UNTRUSTED[0] in err
    assert not service.heard
