"""Checks literals in an expression that otherwise only a run would read: regular expressions, and the pictures of dates and numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import jsonatapy
import orjson

from worker.config.function_calls import COMPONENTS, unknown_component
from worker.config.jsonata_errors import explain
from worker.config.template_lexer import Token

OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
TRIALS = {
    "$fromMillis": "$fromMillis(0, {})",
    "$toMillis": '$toMillis("", {})',
    "$formatNumber": "$formatNumber(1, {})",
    "$formatInteger": "$formatInteger(1, {})",
    "$parseInteger": '$parseInteger("", {})',
}
NUMBER_FIRST = frozenset({"$fromMillis", "$formatNumber", "$formatInteger"})  # a text as first argument is the picture; the number is then the context
DATES = frozenset({"$fromMillis", "$toMillis"})
UNKNOWN_COMPONENT, NOT_A_NUMBER_WORD, NOT_A_DATE = "D3132", "D3136", "D3110"
OF_THE_TEXT = frozenset({NOT_A_NUMBER_WORD, NOT_A_DATE})  # errors of the text that a trial parses, not of its picture
MATCHES_NOTHING = "D1004"
ABOUT_A_PICTURE = re.compile(r"\bD3(08|09|13[0-6])")
SHOWN = 60  # characters


@dataclass(frozen=True, slots=True)
class LiteralError:
    """A literal that every run would refuse; `offset` is its place."""

    message: str
    offset: int


@dataclass(frozen=True, slots=True)
class PictureArgument:
    """The argument of a function that is a picture. `picture`: None unless it is a literal, or a variable that the expression sets to a literal.

    `start`, `end`: its offsets. `options`: the next argument, if it is literal too.
    """

    function: str
    picture: str | None
    start: int
    end: int
    options: str = ""


def literal_errors(pieces: Sequence[Token]) -> Iterator[LiteralError]:
    """Yield the errors of literals that the engine cannot use."""
    for token, after in pairwise([*pieces, Token("end", "", -1)]):
        if token.kind == "regex" and (wrong := regex_problem(token.text)):
            yield LiteralError(wrong, token.start)
        if token.kind == "regex" and after.kind == "word" and after.start == token.end:
            yield LiteralError(f"the regular expression `{shortened(token.text)}` has the flag `{after.text}`; valid are i and m", after.start)
    for argument in picture_arguments(pieces):
        if argument.picture is not None and (wrong := picture_problem(argument.function, argument.picture, argument.options)):
            yield LiteralError(wrong, argument.start)


def possible_causes(error: str, pieces: Sequence[Token]) -> str:
    """Return the end of a sentence about a run's error: the regular expressions or pictures that can cause it; empty for any other error.

    Their text comes from the expression and never from data.
    """
    if "Invalid regex" in error or MATCHES_NOTHING in error:
        found = [f"`{shortened(token.text)}`" for token in pieces if token.kind == "regex"]
    elif ABOUT_A_PICTURE.search(error):
        found = [argument_name(argument) for argument in picture_arguments(pieces)]
    else:
        found = []
    return f": {' or '.join(dict.fromkeys(found))}" if found else ""


def argument_name(argument: PictureArgument) -> str:
    if argument.picture is None:
        return f"the picture that {argument.function} is given at run time"
    return f"`{shortened(argument.picture)}` of {argument.function}"


def regex_problem(text: str) -> str | None:
    """Return a sentence if the engine cannot compile a regular expression. `text`: with its slashes."""
    error = trial(f'$contains("", {text})')
    if error is None or "Invalid regex" not in error:
        return None
    return f"the regular expression `{shortened(text)}` cannot be used: {regex_reason(error)}"


def regex_reason(error: str) -> str:
    """Return the last line of the engine's report: it is about the regular expression alone."""
    return error.rpartition("error: ")[2].rpartition("Invalid regex: ")[2].strip().splitlines()[0].rstrip(".")


def picture_problem(function: str, picture: str, options: str = "") -> str | None:
    """Return a sentence if a function of JSONata cannot use a picture."""
    name = f"the picture `{shortened(picture)}` of {function} cannot be used"
    if function in DATES and (unknown := unknown_component(picture)):
        return f"{name}: there is no component `{unknown}`; valid are {' '.join(COMPONENTS)} ({UNKNOWN_COMPONENT})"
    error = trial(TRIALS[function].format(orjson.dumps(picture).decode() + options))
    if error is None or error[:5] in OF_THE_TEXT:
        return None
    return f"{name}: {explain(error, frozenset())}"


def picture_arguments(pieces: Sequence[Token]) -> Iterator[PictureArgument]:
    """The pictures of all calls."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    texts = variable_texts(written)
    for index, (token, after) in enumerate(pairwise(written)):
        if token.text not in TRIALS or after.text != "(":
            continue
        piped = index > 1 and written[index - 2].text + written[index - 1].text == "~>"
        arguments = arguments_at(written, index + 2)
        place = 0 if piped or (token.text in NUMBER_FIRST and arguments and is_text(arguments[0])) else 1
        if place < len(arguments) and arguments[place]:
            its = arguments[place]
            yield PictureArgument(token.text, text_of(its, texts), its[0].start, its[-1].end, options_after(arguments[place + 1 :]))


def arguments_at(written: Sequence[Token], start: int) -> list[list[Token]]:
    """The arguments of a call whose first token is at `start`."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in written[start:]:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth < 0:
            break
        if depth == 0 and token.text == ",":
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments


def options_after(arguments: Sequence[Sequence[Token]]) -> str:
    """Return the literal options of `$formatNumber`, as the end of a call's arguments; empty if they are computed or absent."""
    tokens = [token for argument in arguments[:1] for token in argument]
    literal = tokens and tokens[0].text == "{" and all(token.kind in {"string", "mark", "number"} for token in tokens)
    return f", {''.join(token.text for token in tokens)}" if literal else ""


def is_text(argument: Sequence[Token]) -> bool:
    return len(argument) == 1 and argument[0].kind == "string"


def text_of(argument: Sequence[Token], texts: Mapping[str, str]) -> str | None:
    """Return the text of an argument, if the expression itself gives it."""
    if len(argument) != 1:
        return None
    return string_value(argument[0].text) if argument[0].kind == "string" else texts.get(argument[0].text)


def variable_texts(written: Sequence[Token]) -> dict[str, str]:
    """The variables that the expression sets once, to a literal text."""
    sets = [
        (token.text, written[index + 3])
        for index, token in enumerate(written[:-3])
        if token.kind == "variable" and written[index + 1].text + written[index + 2].text == ":="
    ]
    times = Counter(name for name, _ in sets)
    ends = {token.start: after.text for token, after in pairwise([*written, Token("end", "", -1)])}
    return {name: string_value(value.text) for name, value in sets if times[name] == 1 and value.kind == "string" and ends[value.start] in {"", ";", ")"}}


def string_value(text: str) -> str:
    """The value of a string literal."""
    return str(jsonatapy.compile(text).evaluate({}))


def trial(text: str) -> str | None:
    """The error of a constant expression, None without one."""
    try:
        jsonatapy.compile(text).evaluate({})
    except ValueError as error:
        return str(error)
    return None


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
