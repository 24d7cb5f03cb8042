"""`${NAME}` and `${file:NAME}`."""

import os

import pytest

from worker.config.interpolation import Unfilled, Variables


@pytest.fixture
def variables(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("from-a-file\n\n")
    (tmp_path / "outside").write_text("outside")
    return Variables({"HOST": "acme", "EMPTY": "", "A_1": "x", "ODD": "a\\1${HOST}"}, tmp_path / "secrets")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("https://${HOST}.haloitsm.com/${A_1}", "https://acme.haloitsm.com/x"),
        ("${EMPTY}", ""),
        ("$HOST $ { {HOST}", "$HOST $ { {HOST}"),
        ("$${HOST} ${HOST}", "${HOST} acme"),
        ("${ODD}", "a\\1${HOST}"),
        ("<${file:token}>", "<from-a-file\n>"),
    ],
)
def test_references_are_replaced_once_and_nothing_else_is(variables, text, result):
    assert variables.fill(text) == result


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${NOPE}", "`NOPE` is not set"),
        ("${HOTS}", "did you mean HOST?"),
        ("${host}", "written in capitals"),
        ("${}", "written in capitals"),
        ("${HOST", "without its `}`"),
        ("${file:none}", "there is no secret `none`"),
        ("${file:}", "is named by letters"),
        ("${file:../outside}", "is named by letters"),
        ("${file:..}", "is named by letters"),
        ("${file:.}", "is named by letters"),
        ("${file:/etc/hostname}", "is named by letters"),
        ("${FILE:token}", "written in capitals"),
    ],
)
def test_what_cannot_be_filled_is_told_with_its_place(variables, text, said):
    with pytest.raises(Unfilled, match=said) as raised:
        variables.fill(f"abc {text}")
    assert raised.value.start == 4


def test_a_secret_that_is_a_directory_binary_or_huge_is_refused(variables, tmp_path):
    secrets = tmp_path / "secrets"
    (secrets / "directory").mkdir()
    (secrets / "binary").write_bytes(b"\xff\xfe\x00")
    (secrets / "huge").write_bytes(b"x" * 100_000)
    for name, said in (("directory", "cannot be read"), ("binary", "not UTF-8"), ("huge", "more than 65,536 bytes")):
        with pytest.raises(Unfilled, match=said):
            variables.fill(f"${{file:{name}}}")


def test_a_secret_that_may_not_be_read_is_told(variables, tmp_path):
    secret = tmp_path / "secrets" / "token"
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(Unfilled, match="cannot be read: Permission denied"):
        variables.fill("${file:token}")


def test_messages_are_cleaned_of_what_was_filled_in(variables):
    variables.fill("${file:token} ${HOST} ${A_1}")
    assert variables.scrub("'from-a-file\\n' of acme, x") == "'${file:token}' of ${HOST}, x"
