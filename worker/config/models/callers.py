"""How those who call the worker from outside prove who they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from worker.config.models.base import Definition, Text, mistake
from worker.config.models.clients import HEADER


def header_name(value: str) -> str:
    """The name of an HTTP header."""
    if not HEADER.fullmatch(value):
        raise mistake("cannot be the name of a header")
    return value


HeaderName = Annotated[str, AfterValidator(header_name)]


class CallerBasic(Definition):
    """A user name and password with each call."""

    type: Literal["basic"] = Field(description="How the call proves who it is.")
    username: Text = Field(description="The user name that is expected.")
    password: Text = Field(description="The password that is expected; write ${NAME} or ${file:NAME}.")


class CallerSignature(Definition):
    """A header that signs the body: HMAC with a secret that both sides know."""

    type: Literal["signature"] = Field(description="How the call proves who it is.")
    header: HeaderName = Field(description="The header that carries the signature.", examples=["X-Signature"])
    secret: Text | None = Field(default=None, description="The shared secret; write ${NAME} or ${file:NAME}.")
    secrets: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="Several secrets instead of one, any of which may have signed: for changing them without a gap."
    )
    algorithm: Literal["sha256", "sha512"] = Field(default="sha256", description="The hash of the HMAC; Halo's is sha256.")
    digest: Literal["base64", "hex"] = Field(default="base64", description="How the signature is written; Halo's is base64.")
    prefix: str = Field(default="", description="What stands before the signature in the header.", examples=["sha256="])


CallerAuthDefinition = Annotated[CallerBasic | CallerSignature, Field(discriminator="type")]
