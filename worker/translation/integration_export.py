"""Translates an integration of a route file to Halo's documents: its own, and those of its methods."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from worker.translation.copies import Copy
from worker.translation.integration_auth import API_KEY, BASIC, BEARER, BEARER_PREFIX, MUTUAL_TLS, NONE, OAUTH2
from worker.translation.integration_import import import_integration
from worker.translation.json_bodies import write_body
from worker.translation.methods_import import INHERIT, VERBS
from worker.translation.outputs import write_outputs
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.secrets import with_references
from worker.translation.texts import to_halo_text

VERB_NUMBERS = {verb: number for number, verb in VERBS.items()}
LEFT_OUT = ("timeout", "response_kind", "pages", "body_kind", "missing")
CONNECTION = ("allow_hosts", "proxy", "ca_file", "key_file")


def export_integration(name: str, definition: Mapping[str, Any], copy: Copy | None, numbers: Mapping[str, int], report: TranslationReport) -> Any:
    """Return the integration's document with its methods inside, or `{integrations, methods}` if they were separate documents. None after refusals.

    `numbers`: Halo's numbers of the methods, by integration.method.
    """
    before = import_integration(copy.document, copy.methods, name, TranslationReport("integration", name)) if copy is not None else None
    old = dict(with_references(before.definition)) if before is not None else {}
    base: dict[str, Any] = dict(with_references(copy.document)) if copy is not None else {"name": name}
    if {**old, "methods": None} != {**definition, "methods": None}:
        try:
            base |= connection_of(definition, report)
        except Untranslatable as error:
            report.refuse(name, str(error))
            return None
    known = {short: number for number, short in copy.names.items()} if copy is not None else {}
    documents = {method.get("id"): method for method in with_references(list(copy.methods))} if copy is not None else {}
    methods: list[dict[str, Any]] = []
    for short, method in definition["methods"].items():
        present = documents.get(known.get(short), {})
        if present and (old.get("methods") or {}).get(short) == method:
            methods.append(present)
            continue
        try:
            own = {"id": numbers[f"{name}.{short}"], "name": short, "authorizationtype": INHERIT} | ({"integration_id": base["id"]} if "id" in base else {})
            methods.append(own | present | method_document(method, short, report))
        except Untranslatable as error:
            report.refuse(short, str(error))
    if not report.is_complete:
        return None
    left = [document for identifier, document in documents.items() if identifier not in (copy.names if copy is not None else {})]
    order = {identifier: index for index, identifier in enumerate(documents)}
    methods = sorted([*methods, *left], key=lambda each: order.get(each.get("id"), len(order)))
    return base | {"methods": methods} if copy is None or copy.inside else {"integrations": [base], "methods": methods}


def connection_of(definition: Mapping[str, Any], report: TranslationReport) -> dict[str, Any]:
    """Return address and authorization, without secrets. Raises `Untranslatable`."""
    if "customers" in definition:
        raise Untranslatable("`customers` has no counterpart in Halo: an integration there has one address and one authorization")
    if "base_url" not in definition:
        raise Untranslatable("the integration takes its address from a client: give it `base_url`")
    for member in CONNECTION:
        if definition.get(member):
            report.add(member, str(member), "left out", "Halo has no counterpart")
    auth = definition.get("auth") or {"type": "none"}
    made: dict[str, Any] = {"resourcebaseurl": definition["base_url"]}
    match auth["type"]:
        case "none":
            return made | {"authorizationtype": MUTUAL_TLS if definition.get("cert_file") else NONE}
        case "bearer":
            return made | {"authorizationtype": BEARER}
        case "basic":
            return made | {"authorizationtype": BASIC, "username": public(auth["username"])}
        case "api_key" if auth.get("in", "header") == "header":
            prefix, _, _ = str(auth["value"]).rpartition(" ")
            kind = BEARER if prefix == BEARER_PREFIX else API_KEY
            return made | {"authorizationtype": kind, "headername": auth["name"], "headerprefix": prefix}
        case "oauth2" if auth.get("client_auth", "client_secret_post") == "client_secret_post" and not auth.get("parameters"):
            grant = 1 if auth.get("grant") == "password" else 0
            more = {"username": public(auth["username"])} if grant else {}
            made |= {"authorizationtype": OAUTH2, "granttype": grant, "tokenurl": auth["token_url"], "client_id": public(auth["client_id"])}
            return made | {"scope": " ".join(auth.get("scopes", ()))} | more
        case kind:
            raise Untranslatable(f"the authorization {kind} with these members has no counterpart in Halo")


def public(text: str) -> str:
    """Return a value that is no secret; empty for a value that is filled in at the start."""
    return "" if text.startswith("${") else text


def method_document(method: Mapping[str, Any], short: str, report: TranslationReport) -> dict[str, Any]:
    """Raises `Untranslatable`."""
    for member in LEFT_OUT:
        if member in method:
            report.add(short, str(member), "left out", "Halo has no counterpart")
    made: dict[str, Any] = {"path": to_halo_text(method["path"]), "method": VERB_NUMBERS[method["method"]]}
    made["uri_params"] = [{"key": name, "value": text_of(value)} for name, value in (method.get("query") or {}).items()]
    made["headers"] = [{"key": name, "value": text_of(value)} for name, value in (method.get("headers") or {}).items()]
    body = method.get("body")
    if isinstance(body, str):
        made["requestbody"] = to_halo_text(body)
    elif isinstance(body, Mapping) and ({"multipart"} == set(body) or {"base64"} == set(body)):
        raise Untranslatable("a body of files has no counterpart in Halo")
    elif isinstance(body, Mapping):
        made["requestbody"] = form_text(body) if is_form(method) else write_body(body, frozenset())
    elif body is not None:
        made["requestbody"] = json.dumps(body, ensure_ascii=False)
    return made | {"output_variables": write_outputs(method.get("output") or {})}


def is_form(method: Mapping[str, Any]) -> bool:
    types = [str(value) for name, value in (method.get("headers") or {}).items() if name.lower() == "content-type"]
    return method.get("body_kind") == "form" or any(value.startswith("application/x-www-form-urlencoded") for value in types)


def form_text(body: Mapping[str, Any]) -> str:
    return "&".join(f"{name}={text_of(value)}" for name, value in body.items())


def text_of(value: Any) -> str:
    return to_halo_text(value) if isinstance(value, str) else json.dumps(value)
