"""The starts of a runbook: in Halo by Halo itself or a public address, here by a queue and an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.translation.halo_steps import is_number
from worker.translation.naming import setting
from worker.translation.report import TranslationReport, Untranslatable

FROM_HALO, PUBLIC = 0, 1
NONE, BASIC, SIGNATURE = 0, 1, 3
ALGORITHMS = {0: "sha256"}
DIGESTS = {0: "base64", 1: "hex"}
HEADER = "X-Signature"


def start_of(document: Mapping[str, Any], name: str, report: TranslationReport) -> dict[str, Any]:
    """Raises `Untranslatable`."""
    queue = {"queue": f"runbooks.{name}"}
    kind = document.get("runbook_start_type") or FROM_HALO
    if document.get("active") is False:
        report.add("active", "the runbook is switched off", "it runs: pause it with `halo-worker pause`", "the route file has no member for it")
    if kind == FROM_HALO:
        report.add(
            "start", "an event of Halo, or by hand", f"start.queue: {queue['queue']}", "name the runbook in a webhook, and register it, for events of Halo"
        )
        return queue
    if kind != PUBLIC:
        raise Untranslatable(f"the kind of start {kind!r} is not known (`runbook_start_type`)")
    auth = auth_of(document, name, report)
    report.add("start", "a public address", f"start.endpoint: POST /runbooks/{name}, and start.queue", "callers need the new address")
    return queue | {"endpoint": {"auth": auth}}


def auth_of(document: Mapping[str, Any], name: str, report: TranslationReport) -> dict[str, Any]:
    kind = document.get("inbound_authentication_type") or NONE
    if kind == BASIC:
        user = document.get("basic_username")
        secret = setting(name, "password")
        report.settings[secret] = f"the password of callers of {name}"
        return {"type": "basic", "username": user if isinstance(user, str) and user else "halo", "password": f"${{{secret}}}"}
    if kind not in (NONE, SIGNATURE):
        raise Untranslatable(f"the authentication of callers {kind!r} is not known (`inbound_authentication_type`)")
    secret = setting(name, "signature", "key")
    report.settings[secret] = f"the key with which callers of {name} sign: at least 32 random bytes"
    if kind == NONE:
        report.add(
            "start", "callers without authentication", f"callers sign with the header {HEADER}", "a public address without authentication has no counterpart"
        )
        return {"type": "signature", "header": HEADER, "secret": f"${{{secret}}}"}
    algorithm, digest = document.get("algorithm") or 0, document.get("digest") or 0
    if not (is_number(algorithm) and is_number(digest) and algorithm in ALGORITHMS and digest in DIGESTS):
        raise Untranslatable(f"the signature of callers is not known (`algorithm` {algorithm!r}, `digest` {digest!r})")
    header = document.get("authentication_header")
    made = {"type": "signature", "header": header if isinstance(header, str) and header else HEADER, "secret": f"${{{secret}}}"}
    prefix = document.get("signature_prefix")
    made |= {"prefix": prefix} if isinstance(prefix, str) and prefix else {}
    return made | ({"digest": DIGESTS[digest]} if digest else {})


def document_start(start: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of the document for `start` of a route file, without secrets."""
    endpoint = start.get("endpoint")
    if not endpoint:
        return {"runbook_start_type": FROM_HALO, "inbound_authentication_type": NONE}
    auth = endpoint["auth"]
    if auth["type"] == "basic":
        return {"runbook_start_type": PUBLIC, "inbound_authentication_type": BASIC, "basic_username": auth["username"]}
    made = {"runbook_start_type": PUBLIC, "inbound_authentication_type": SIGNATURE, "authentication_header": auth["header"], "algorithm": 0}
    digests = {name: number for number, name in DIGESTS.items()}
    return made | {"digest": digests[auth.get("digest", "base64")], "signature_prefix": auth.get("prefix", "")}
