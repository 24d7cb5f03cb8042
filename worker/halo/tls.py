"""TLS contexts of connections: the certificates that the worker trusts, and the one that it presents."""

from __future__ import annotations

import ssl
from pathlib import Path

from worker.core.errors import ConfigError, Problem


def tls_context(owner: str, ca_file: str | None = None, cert_file: str | None = None, key_file: str | None = None) -> ssl.SSLContext:
    """A context that trusts the system's authorities and those of `ca_file`, and presents the certificate of `cert_file`.

    Raises `ConfigError` for a file that cannot be used. `owner`: for the text of the error.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        require_file(owner, "ca_file", ca_file)
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError:
            raise unusable(owner, "ca_file", ca_file, "it holds no certificate") from None
        except OSError as error:
            raise unusable(owner, "ca_file", ca_file, error.strerror or "it cannot be read") from None
    if cert_file is not None:
        require_file(owner, "cert_file", cert_file)
        if key_file is not None:
            require_file(owner, "key_file", key_file)
        try:
            context.load_cert_chain(cert_file, key_file, password=lambda: "")  # without a password OpenSSL asks on the terminal
        except ssl.SSLError:
            reason = "it must be a certificate in PEM, and its key must fit it and have no passphrase"
            raise unusable(owner, "cert_file", cert_file, reason) from None
        except OSError as error:
            raise unusable(owner, "cert_file", cert_file, error.strerror or "it cannot be read") from None
    return context


def require_file(owner: str, member: str, path: str) -> None:
    """Raise `ConfigError` for anything but a file: opening a pipe would wait for ever."""
    if Path(path).exists() and not Path(path).is_file():
        raise unusable(owner, member, path, "it is not a file")


def unusable(owner: str, member: str, path: str, reason: str) -> ConfigError:
    return ConfigError([Problem("", 0, 0, f"{owner}: {member} {path} cannot be used: {reason}")])
