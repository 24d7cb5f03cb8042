"""Private keys that sign client assertions: checks that a key is valid and fits its algorithm."""

from __future__ import annotations

from typing import Literal

from worker.config.config_node import ConfigNode

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def check_private_key(key: str, algorithm: str, node: ConfigNode) -> None:
    """Add an error for a key that cannot sign, without quoting the key. A secret that is absent here is not checked."""
    if isinstance(node.value, str) and node.file.variables.known(node.value) is None:
        return
    if problem := signing_problem(key, algorithm):
        node.add_error(f"`private_key` {problem}")


def signing_problem(key: str, algorithm: str) -> str:
    """Return why a key cannot sign with an algorithm; empty if it can."""
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        load_pem_private_key(key.encode(), None)
    except TypeError:
        return "is encrypted: give it without a passphrase, as a secret file of its own"
    except (ValueError, UnsupportedAlgorithm):
        return "is not a private key in PEM (`-----BEGIN PRIVATE KEY-----`); write ${file:NAME}"
    try:
        jwt.encode({}, key, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return f"cannot sign with {algorithm}: RS and PS need an RSA key, ES a key of its curve, EdDSA an Ed25519 key"
    return ""
