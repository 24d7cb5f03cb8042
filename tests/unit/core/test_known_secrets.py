"""Known secrets: whatever form an API quotes them in, they are masked; what is no secret stays."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.known_secrets import FEW, KnownSecrets, redacted
from worker.core.redaction import MASK

SECRET = 'pä$$"wörd/+&<\\ 7f'
FORMS = {
    "as it is": lambda secret: secret,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded in lower case": lambda secret: quote(secret, safe="").replace("%C3", "%c3").replace("%2F", "%2f").replace("%2B", "%2b").lower(),
    "a form field": quote_plus,
    "JSON": lambda secret: orjson.dumps(secret).decode(),
    "JSON in ASCII": json.dumps,
    "JSON with escaped slashes": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "a repr": repr,
    "Base64": lambda secret: b64encode(secret.encode()).decode(),
    "basic credentials of any user": lambda secret: b64encode(f"sam:{secret}".encode()).decode(),
    "basic credentials of another": lambda secret: b64encode(f"tommy:{secret}".encode()).decode(),
    "URL-safe Base64": lambda secret: urlsafe_b64encode(f"x{secret}".encode()).decode(),
}
LOWERABLE = SECRET.lower()


@every("form", FORMS)
def test_a_secret_is_masked_in_every_form(form):
    told = FORMS[form](LOWERABLE)
    hidden = KnownSecrets([LOWERABLE]).hide(f"you sent <{told}>!")
    assert MASK in hidden
    assert told not in hidden
    assert hidden.startswith("you sent <")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40), st.text(max_size=10), st.sampled_from(["%s", "{%s}"]))
def test_no_text_of_eight_characters_comes_through_in_json_or_base64_or_as_it_is(secret, before, around):
    known = KnownSecrets([secret])
    whole = b64encode(f"{before}:{secret}".encode("utf-8", "surrogatepass")).decode()
    for told in (secret, json.dumps(secret)[1:-1], quote(secret)):
        assert secret not in known.hide(around % told) or secret in MASK * 20
    assert known.hide(whole) != whole


@given(st.lists(st.text("ab", min_size=8, max_size=12), min_size=1, max_size=4), st.text("ab", max_size=60))
def test_many_are_masked_as_few_are(secrets, text):
    """Among many each place of the text is looked at, among few each secret is looked for."""
    many = KnownSecrets([*secrets, *(f"another-secret-{number}/" for number in range(FEW))])
    assert many.hide(f"<{text}>") == KnownSecrets(secrets).hide(f"<{text}>")
    assert many.hide("to another-secret-7/ and on") == f"to {MASK} and on"


def test_values_are_masked_in_names_and_texts_at_any_depth_and_nothing_else_changes():
    document = {"a": ["the key-of-eight", {"key-of-eight": 1}], "n": 8, "none": None, "other": "kept"}
    assert KnownSecrets(["key-of-eight"]).hide_in(document) == {"a": [f"the {MASK}", {MASK: 1}], "n": 8, "none": None, "other": "kept"}


def test_the_longest_of_several_is_masked_whole():
    assert KnownSecrets(["secret-a", "secret-a-and-more"]).hide("secret-a-and-more secret-a") == f"{MASK} {MASK}"


@pytest.mark.parametrize("value", ["", None, "short"])
def test_what_is_too_short_to_be_told_from_words_is_left_alone(value):
    assert KnownSecrets([value]).hide("a short text") == "a short text"


def test_bytes_that_are_no_text_come_through_whole():
    assert KnownSecrets(["key-of-eight"]).hide_bytes(b"\xff key-of-eight \xfe") == b"\xff *** \xfe"


def test_they_never_show():
    known = KnownSecrets(["key-of-eight"]).with_more(["another-key"])
    assert "key" not in f"{known!r} {known}"
    assert known.hide("another-key key-of-eight") == f"{MASK} {MASK}"


def test_a_text_below_the_name_of_a_secret_is_masked_wherever_else_it_stands():
    document = {"variables": {"Token": "abcdefgh-1", "Name": "Ada"}, "response": {"sid": "abcdefgh-1", "all": ["x abcdefgh-1 y", {"abcdefgh-1": 1}]}}
    assert redacted(document) == {"variables": {"Token": MASK, "Name": "Ada"}, "response": {"sid": MASK, "all": [f"x {MASK} y", {MASK: 1}]}}


def test_a_short_text_below_the_name_of_a_secret_takes_no_words_with_it():
    assert redacted({"token": "a", "name": "anna"}) == {"token": MASK, "name": "anna"}
