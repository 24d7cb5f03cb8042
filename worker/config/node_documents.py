"""Reads the document that a node of a route file makes: a mapping with expressions, or one expression."""

from __future__ import annotations

from worker.config.config_node import ConfigNode
from worker.config.constructors import parse_constructor
from worker.config.documents import DocumentValue, Member, SourcePosition
from worker.config.mappings import member_name
from worker.config.run_templates import OPEN_VARIABLE
from worker.config.template_lexer import OPEN, Embedded, Unclosed, parts, whole


def document_of(node: ConfigNode, *, jsonata: bool = False) -> DocumentValue:
    """The document of a node. `jsonata`: a text is one expression, also without braces."""
    spot = SourcePosition(node)
    if isinstance(node.value, dict):
        members = {key: child for key, child in node.members.items() if OPEN not in key}
        made = (Member(member_name(key)[0], SourcePosition(child, key=True), document_of(child)) for key, child in members.items())
        return DocumentValue("object", spot, tuple(made), complete=len(members) == len(node.members))
    if isinstance(node.value, list):
        return DocumentValue("array", spot, items=tuple(document_of(child) for child in node.children.values()))
    return text_document(node, jsonata=jsonata) if isinstance(node.value, str) else DocumentValue("literal", spot, literal=node.value)


def text_document(node: ConfigNode, *, jsonata: bool) -> DocumentValue:
    spot = SourcePosition(node)
    try:
        expression = whole(node.value) or (Embedded(node.value, 0) if jsonata else None)
        pieces = parts(node.value)
    except Unclosed:
        return DocumentValue("computed", spot)
    if expression is not None:
        return parse_constructor(expression.text, spot, expression.start)
    if OPEN_VARIABLE in node.value:
        return DocumentValue("computed", spot)
    if any(isinstance(piece, Embedded) for piece in pieces):
        return DocumentValue("text", spot, literal=tuple(piece.text for piece in pieces if not isinstance(piece, Embedded)))
    known = node.file.variables.known(node.value)
    return DocumentValue("computed", spot) if known is None else DocumentValue("literal", spot, literal=known)
