"""The authentication of public calls. A secret has a minimum length, and belongs to one webhook or endpoint alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from worker.config.automation import CallerAuth
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition, build
from worker.config.value_types import HeaderName, Text

MIN_SECRET = 16
REMEDY = "make one with `openssl rand -base64 32`"


class CallerBasic(Definition):
    """A user name and password with each call."""

    type: Literal["basic"] = Field(description="The kind of authentication.")
    username: Text = Field(description="The expected user name.")
    password: Text = Field(description="The expected password; write ${NAME} or ${file:NAME}.")


class CallerSignature(Definition):
    """A header that signs the body: HMAC with a secret that both sides know."""

    type: Literal["signature"] = Field(description="The kind of authentication.")
    header: HeaderName = Field(description="The header that carries the signature.", examples=["X-Signature"])
    secret: Text | None = Field(default=None, description="The shared secret; write ${NAME} or ${file:NAME}.")
    secrets: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="Several secrets instead of one; the worker accepts a signature by any of them, so that secrets can be rotated."
    )
    algorithm: Literal["sha256", "sha512"] = Field(default="sha256", description="The hash of the HMAC; Halo's is sha256.")
    digest: Literal["base64", "hex"] = Field(default="base64", description="The encoding of the signature; Halo's is base64.")
    prefix: str = Field(default="", description="Text before the signature in the header.", examples=["sha256="])


CallerAuthDefinition = Annotated[CallerBasic | CallerSignature, Field(discriminator="type")]


def compile_caller(auth: CallerAuthDefinition, node: ConfigNode) -> CallerAuth:
    """Compile an `auth`. `node`: the node of `auth`."""
    check_secrets(node)
    if isinstance(auth, CallerBasic):
        if ":" in auth.username:
            node.child("username").add_error("`username` cannot hold a colon: it ends the user name in basic credentials")
        return build(CallerAuth, auth)
    if auth.secret is not None and auth.secrets is not None:
        node.child("secrets").add_key_error("both `secret` and `secrets` are given: write one of them")
    elif auth.secret is None and auth.secrets is None:
        node.add_key_error("`secret` is missing")
    return build(CallerAuth, auth, secrets=tuple(auth.secrets or ()) if auth.secret is None else (auth.secret,))


def check_secrets(auth: ConfigNode) -> None:
    for node, secret in secrets_at(auth):
        if len(secret.strip()) < MIN_SECRET:
            name = f"item {node.path[-1] + 1} of `secrets`" if isinstance(node.path[-1], int) else f"`{node.name}`"
            node.add_error(f"{name} is shorter than {MIN_SECRET} characters: {REMEDY}")


def check_shared_secrets(definitions: Sequence[ConfigNode]) -> None:
    """Refuse shared secrets. A signature covers the body alone: an endpoint would accept another caller's body that is signed with the same secret."""
    owners: dict[str, ConfigNode] = {}
    for auth in auths(definitions):
        for node, secret in secrets_at(auth):
            owner = owners.setdefault(secret, auth)
            if owner is not auth:
                other = f"`{owner.path[0]}.{owner.path[1]}` in {owner.reference()}"
                node.add_error(f"this secret is also that of {other}, so a caller of one could call the other: {REMEDY} for each")


def auths(definitions: Sequence[ConfigNode]) -> Iterator[ConfigNode]:
    """The `auth` of each webhook and endpoint."""
    for node in definitions:
        if node.kind == "webhooks":
            yield node.child("auth")
        elif node.kind == "runbooks":
            yield node.child("start").child("endpoint").child("auth")


def secrets_at(auth: ConfigNode) -> Iterator[tuple[ConfigNode, str]]:
    """Yield each secret with its node. Validation reports secrets that are missing, are no text or cannot be filled."""
    for node in (auth.child("secret"), auth.child("password"), *auth.child("secrets").children.values()):
        if isinstance(node.value, str) and (secret := node.fill(node.value)):
            yield node, secret
