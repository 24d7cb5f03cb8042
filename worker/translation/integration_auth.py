"""Translates the authorization of an integration document to `auth` of a route file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.translation.halo_steps import is_number
from worker.translation.naming import setting
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.secrets import MARK
from worker.translation.texts import escaped

NONE, API_KEY, BEARER, BASIC, OAUTH2, CERTIFICATE, SECRET_KEY, JWT, MUTUAL_TLS = range(9)
TYPES = {CERTIFICATE: "a certificate (5)", SECRET_KEY: "a secret key (6)", JWT: "a JWT (7)"}
GRANTS = {0: "client_credentials", 1: "password"}
PEOPLE = {2: "authorization code", 3: "authorization code with PKCE"}
AUTHORIZATION = "Authorization"
BEARER_PREFIX = "Bearer"


def auth_of(document: Mapping[str, Any], name: str, report: TranslationReport) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `auth`, and further members of the integration. Raises `Untranslatable`."""
    kind = document.get("authorizationtype") or NONE
    match kind:
        case 0:
            return {"type": "none"}, {}
        case 1 | 2:
            return header_auth(document, name, kind, report), {}
        case 3:
            user = text(document, "username") or f"${{{setting_reference(report, name, 'username', 'the user name')}}}"
            return {"type": "basic", "username": user, "password": secret_of(document, "new_password", name, "password", "the password", report)}, {}
        case 4:
            return oauth2(document, name, report), {}
        case 8:
            return {"type": "none"}, {"cert_file": f"${{{setting_reference(report, name, 'cert_file', 'the path of the PEM file with certificate and key')}}}"}
        case _:
            what = TYPES.get(kind, repr(kind)) if isinstance(kind, int) else repr(kind)
            raise Untranslatable(f"the authorization {what} has no counterpart: what Halo sends for it is not documented")


def header_auth(document: Mapping[str, Any], name: str, kind: int, report: TranslationReport) -> dict[str, Any]:
    if document.get("bearerlocation") not in (None, 0):
        raise Untranslatable("the key is not sent in a header (`bearerlocation`), and where it is sent is not documented")
    header, prefix = text(document, "headername"), text(document, "headerprefix").strip()
    if kind == BEARER and header.lower() in {"", AUTHORIZATION.lower()} and prefix in {"", BEARER_PREFIX}:
        return {"type": "bearer", "token": secret_of(document, "new_client_secret", name, "token", "the bearer token", report)}
    if not header and kind == API_KEY:
        raise Untranslatable("the integration names no header for its key (`headername`)")
    value = secret_of(document, "new_client_secret", name, "api_key", "the key", report)
    return {"type": "api_key", "name": header or AUTHORIZATION, "value": f"{prefix} {value}" if prefix else value}


def oauth2(document: Mapping[str, Any], name: str, report: TranslationReport) -> dict[str, Any]:
    grant = document.get("granttype") or 0
    if is_number(grant) and grant in PEOPLE:
        raise Untranslatable(f"the grant {PEOPLE[grant]} needs a person: use client credentials")
    if not is_number(grant) or grant not in GRANTS:
        raise Untranslatable(f"the grant {grant!r} is not known (`granttype`)")
    answer = text(document, "response_token_name")
    if answer not in {"", "access_token"}:
        raise Untranslatable(f"the token is the member `{answer}` of the answer: use `auth: {{type: login}}`")
    if not text(document, "tokenurl"):
        raise Untranslatable("the integration has no token address (`tokenurl`)")
    client_id = text(document, "client_id") or f"${{{setting_reference(report, name, 'client_id', 'the client ID')}}}"
    made: dict[str, Any] = {"type": "oauth2"} | ({"grant": GRANTS[grant]} if grant else {})
    made |= {"token_url": address(document, "tokenurl"), "client_id": client_id}
    made["client_secret"] = secret_of(document, "new_client_secret", name, "client_secret", "the client secret", report)
    if grant:
        made["username"] = text(document, "username") or f"${{{setting_reference(report, name, 'username', 'the user name')}}}"
        made["password"] = secret_of(document, "new_password", name, "password", "the password", report)
    scopes = text(document, "scope").split()
    return made | ({"scopes": scopes} if scopes else {})


def secret_of(document: Mapping[str, Any], member: str, name: str, what: str, meaning: str, report: TranslationReport) -> str:
    """Return a reference to the secret: to the secret of the document, or to a variable that the operator must set."""
    found = document.get(member)
    if isinstance(found, str) and MARK.search(found):
        return found
    return f"${{{setting_reference(report, name, what, meaning)}}}"


def setting_reference(report: TranslationReport, name: str, what: str, meaning: str) -> str:
    variable = setting(name, what)
    report.settings[variable] = f"{meaning} of the integration {name}"
    return variable


def text(document: Mapping[str, Any], member: str) -> str:
    """Raises `Untranslatable`."""
    found = document.get(member)
    if found is not None and not isinstance(found, str):
        raise Untranslatable(f"`{member}` is no text")
    return escaped(found) if found and not MARK.search(found) else found or ""


def address(document: Mapping[str, Any], member: str) -> str:
    """Return an address as it is written. Raises `Untranslatable` for an address with variables: a run could send the credentials elsewhere."""
    found = document.get(member)
    if not isinstance(found, str) or not found.strip():
        raise Untranslatable(f"the integration has no address (`{member}`)")
    if "<<" in found or "{{" in found:
        raise Untranslatable(f"the address holds a variable (`{member}`): a run could send the credentials to any host. Write the address")
    return found.strip()
