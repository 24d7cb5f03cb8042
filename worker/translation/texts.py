"""Translates texts with `<<Name>>` from Halo's document to a route file, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from worker.config.node_values import no_variable
from worker.config.run_templates import OPEN_VARIABLE, Reference, split
from worker.config.template_lexer import LiteralText, Unclosed
from worker.config.variables import ElementPart, MatchPart, MemberPart, VariablePath, VariableSyntaxError, parse_variable
from worker.translation.report import Untranslatable
from worker.translation.secrets import MARK

REFERENCE = re.compile(r"<<(.*?)>>", re.DOTALL)
PAYLOAD = re.compile(r"\s*(?:request|response)\s*(?:[\^\[!]|$)")
TICKET = re.compile(r"\A\s*ticket(?=[\^\[!]|\s*$)")
REQUEST_TICKET = "request^ticket"
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEYWORDS = frozenset(("and", "or", "in", "true", "false", "null", "function"))
ESCAPES = {"{{": '{{ "{{" }}', "<<": '{{ "<<" }}'}


@dataclass(frozen=True, slots=True)
class Variable:
    """The text between `<<` and `>>`: the name of a variable, or a path into the payload or the last answer."""

    text: str
    path: VariablePath | None = None

    @property
    def ours(self) -> str:
        return f"<<{self.text}>>"


def read_variable(inner: str) -> Variable:
    """Parse a variable. Raises `Untranslatable`. Halo's `ticket` is the ticket of the event that started the run; here it is in the payload."""
    text = TICKET.sub(REQUEST_TICKET, inner, count=1).strip()
    if PAYLOAD.match(text):
        try:
            path = parse_variable(text)
        except VariableSyntaxError as error:
            raise Untranslatable(f"`<<{excerpt(inner)}>>` is not an expression of a variable: {error}") from None
        return Variable(str(path), path)
    if reason := no_variable(text):
        raise Untranslatable(f"`<<{excerpt(inner)}>>`: {reason}")
    return Variable(text)


def pieces(text: str) -> Iterator[str | Variable]:
    """Yield literal text and variables, in order. Raises `Untranslatable`."""
    start = 0
    for found in REFERENCE.finditer(text):
        if found.start() > start:
            yield text[start : found.start()]
        yield read_variable(found[1])
        start = found.end()
    if start < len(text):
        yield text[start:]


def to_route_text(text: str) -> str:
    """Return the text for a route file: characters with a meaning only there are escaped. Raises `Untranslatable`."""
    return "".join(piece.ours if isinstance(piece, Variable) else escaped(piece) for piece in pieces(text))


def escaped(literal: str) -> str:
    """Return the text escaped, so that it stays the same in a place for expressions and `${NAME}`."""
    return re.sub(r"\{\{|<<", lambda found: ESCAPES[found[0]], literal.replace("${", "$${"))


def to_halo_text(text: str) -> str:
    """Return the text for Halo's document. Raises `Untranslatable` for an expression."""
    try:
        found = split(text)
    except Unclosed as error:
        raise Untranslatable(str(error)) from None
    made: list[str] = []
    for piece in found:
        if isinstance(piece, LiteralText):
            made.append(piece.text.replace("$${", "${"))
        elif isinstance(piece, Reference):
            made.append(f"<<{piece.text.strip()}>>")
        elif (literal := literal_of(piece.text)) is not None:
            made.append(literal)
        else:
            raise Untranslatable(f"`{{{{{excerpt(piece.text)}}}}}` is an expression, and Halo has none")
    return "".join(made)


def literal_of(expression: str) -> str | None:
    return next((literal for literal, written in ESCAPES.items() if written[2:-2].strip() == expression.strip()), None)


def variables_of(text: str) -> set[str]:
    """Return the variables of a run that a text of Halo uses, without those of its broken parts."""
    found: set[str] = set()
    for match in REFERENCE.finditer(text):
        inner = match[1].strip()
        if not PAYLOAD.match(inner) and not TICKET.match(inner):
            found.add(inner)
    return found


def unwrapped(text: str) -> str:
    """Return `<<response^id!>>` without its marks. Raises `Untranslatable` unless the text is a single variable."""
    found = REFERENCE.fullmatch(text.strip())
    inner = found[1] if found else text.strip()
    if not inner or OPEN_VARIABLE in inner:
        raise Untranslatable(f"`{excerpt(text)}` is not one variable")
    return inner


def jsonata_name(name: str) -> str:
    """Return the name of a variable in an expression."""
    return name if PLAIN_NAME.fullmatch(name) and name not in KEYWORDS else f"`{name}`"


def jsonata_path(path: VariablePath, root: str = "") -> str:
    """Return a path of Halo's grammar for an expression. `root`: the name of `response` there."""
    made = root or path.root
    for part in path.parts:
        match part:
            case MemberPart(name=name):
                if "`" in name:
                    raise Untranslatable(f"the member `{excerpt(name)}` cannot be named in an expression")
                made += f".{jsonata_name(name)}"
            case ElementPart(index=index):
                made += f"[{index}]"
            case MatchPart(member=member, value=value):
                made += f"[$string({jsonata_name(member)}) = {json.dumps(value, ensure_ascii=False)}][0]"
    return made


def excerpt(text: str) -> str:
    """Return the beginning of a text, for errors."""
    plain = " ".join(MARK.sub("***", text).split())
    return plain if len(plain) <= 60 else f"{plain[:59]}…"  # noqa: PLR2004  characters of a line
