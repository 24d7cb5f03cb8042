"""Explains the engine's error codes in sentences without data; the engine's own texts quote data."""

from __future__ import annotations

import re

CODE = re.compile(r"\b([A-Z]\d{4})\b")
AUTHOR_ERRORS = frozenset(("D3137", "D3141"))
SENTENCES = {
    "D1001": "a number is out of range",
    "D1002": "the operand of a minus sign is not a number",
    "D1004": "a regular expression matches the empty text",
    "D1009": "two members of an object have the same name",
    "D1011": "it recurses too deeply",
    "D1012": "it took longer than allowed",
    "D2015": "a sequence became longer than allowed",
    "D3010": "the second argument of $replace is empty text",
    "D3011": "the fourth argument of $replace is negative",
    "D3020": "the third argument of $split is negative",
    "D3030": "a value cannot be turned into a number",
    "D3040": "the third argument of $match is negative",
    "D3050": "the function given to $reduce takes fewer than two arguments",
    "D3060": "$sqrt was given a negative number",
    "D3061": "$power gave a number that is out of range",
    "D3070": "$sort without a function takes only texts or only numbers",
    "D3080": "the picture of a number has more than two parts (`;`)",
    "D3081": "the picture of a number has more than one decimal separator",
    "D3082": "the picture of a number has more than one percent sign",
    "D3083": "the picture of a number has more than one per-mille sign",
    "D3084": "the picture of a number has a percent and a per-mille sign",
    "D3085": "the picture of a number has no digit",
    "D3086": "the picture of a number has a character between its digits that does not belong there",
    "D3087": "the picture of a number has a grouping separator beside its decimal separator",
    "D3088": "the integer part of a number's picture ends with a grouping separator",
    "D3089": "the picture of a number has two grouping separators in a row",
    "D3090": "the integer part of a number's picture has a `#` after a digit",
    "D3091": "the fraction of a number's picture has a digit after a `#`",
    "D3092": "the picture of a number has a percent or per-mille sign beside an exponent",
    "D3093": "the exponent of a number's picture has something else than digits",
    "D3100": "the base of $formatBase is not between 2 and 36",
    "D3110": "$toMillis was given something that is not an ISO 8601 time",
    "D3130": "the format of a whole number in a picture is not known",
    "D3131": "the picture of a whole number mixes digits of several scripts",
    "D3132": "the picture of a date has an unknown component",
    "D3133": "the picture of a date has an unknown component, or a name where only a number can be shown",
    "D3134": "the time zone in the picture of a date has more than four digits",
    "D3135": "a component in the picture of a date is empty, or not closed by `]`",
    "D3136": "a text is not a possible date or time of its picture, or the picture lacks what makes up a date",
    "D3137": "$error was called",
    "D3138": "$single found more than one match",
    "D3139": "$single found no match",
    "D3140": "a text is not encoded as a URL",
    "D3141": "an $assert did not hold",
    "S0101": "a string is not closed",
    "S0102": "a number is out of range",
    "S0103": "a string has an escape that JSON does not know (a quote inside quotes? use the other kind)",
    "S0104": "a \\u escape needs four hexadecimal digits",
    "S0105": "a name in backquotes is not closed",
    "S0106": "a comment is not closed",
    "S0212": "the left side of := is not a variable ($name)",
    "S0217": "`%` has no parent here",
    "S0301": "a regular expression is empty",
    "S0302": "a regular expression is not closed",
    "T0410": "a function was given an argument of a type that it does not take",
    "T0411": "a function was given a context of a type that it does not take",
    "T0412": "a function was given an array with members of a type that it does not take",
    "T1003": "the name of an object's member is not text",
    "T1005": "something is called that is not a function; did you mean it with a $ in front?",
    "T1006": "something is called that is not a function (misspelt?)",
    "T1007": "a function is partly applied that is none",
    "T1008": "something is partly applied that is not a function",
    "T2001": "the left side of an arithmetic operator is not a number",
    "T2002": "the right side of an arithmetic operator is not a number",
    "T2003": "the left side of a range (..) is not a whole number",
    "T2004": "the right side of a range (..) is not a whole number",
    "T2006": "the right side of ~> is not a function",
    "T2007": "a sort compares values of different types",
    "T2008": "a sort compares values that are neither text nor numbers",
    "T2009": "a comparison has text on one side and a number on the other",
    "T2010": "a comparison takes numbers or texts only",
    "T2011": "the insert clause of a transform is not an object",
    "T2012": "the delete clause of a transform is neither text nor a list of texts",
    "U1002": "it is nested too deeply",
}
TOKENS = {
    "RightBracket": "`]`",
    "RightBrace": "`}`",
    "RightParen": "`)`",
    "Colon": "`:`",
    "Semicolon": "`;`",
    "Comma": "`,`",
    "LeftBrace": "`{`",
    "LeftParen": "`(`",
    "LeftBracket": "`[`",
    "Assign": "`:=`",
}


def explain(complaint: str, literals: frozenset[str]) -> str:
    """Return a sentence for an engine's error, with its code. It keeps the text of $error and $assert if the expression holds it (`literals`)."""
    found = CODE.search(complaint)
    code = found[1] if found else ""
    if code in AUTHOR_ERRORS and (text := complaint.split(": ", 1)[-1]) in literals:
        return f"{text} ({code})"
    if "Invalid regex" in complaint:
        return "a regular expression cannot be used"
    if not code and "host function" in complaint:
        return "$pad was given something else than text and a number of at most a million"
    sentence = SENTENCES.get(code) or syntax(complaint)
    return f"{sentence} ({code})" if code else sentence


def syntax(complaint: str) -> str:
    """Return a sentence for a parser's error about brackets and marks: they come from the expression and not from data."""
    if expected := re.search(r"Expected (\w+)", complaint):
        return f"{TOKENS.get(expected[1], expected[1])} is expected"
    if unexpected := re.search(r"Syntax error: (\w+)(?:\((.*)\))?", complaint):
        found = (unexpected[2] or unexpected[1]).strip('"')
        return f"{TOKENS.get(unexpected[1]) or f'`{found}`'} is not expected"
    if "end of expression" in complaint:
        return "it ends too early"
    if "comment" in complaint:
        return "a comment is not closed"
    return "the expression cannot be evaluated"
