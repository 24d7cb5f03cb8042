"""Certificates for servers on the loopback interface: good ones, and ones that no client may accept."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

HERE = "127.0.0.1"
ELSEWHERE = "elsewhere.test"
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC)


def private_key() -> str:
    """A new RSA key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key(private: str) -> str:
    """The public half of a private key, both in PEM."""
    return load_pem_private_key(private.encode(), None).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Authority:
    """A certificate authority and its certificates; `ca_file` is what its clients trust."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def good(self) -> trustme.LeafCert:
        return self._ca.issue_cert(HERE)

    def for_another_host(self) -> trustme.LeafCert:
        return self._ca.issue_cert(ELSEWHERE)

    def expired(self) -> trustme.LeafCert:
        since, until = LONG_AGO
        return self._ca.issue_cert(HERE, not_before=since, not_after=until)

    def for_a_client(self) -> trustme.LeafCert:
        """With a common name, so that its subject is not empty: Erlang refuses such a one."""
        return self._ca.issue_cert("worker@elsewhere.test", common_name="halo-worker")


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """What a server in this process shows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
