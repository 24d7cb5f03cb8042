"""`${NAME}` and `${file:NAME}`."""

import os
import socket

import pytest

from tests.tools.every import every
from worker.config.interpolation import Unfilled, Variables


@pytest.fixture
def variables(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("from-a\nfile\n\n")
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
        ("<${file:token}>", "<from-a\nfile>"),
    ],
)
def test_references_are_replaced_once_and_nothing_else_is(variables, text, result):
    assert variables.fill(text) == result


@every(
    ("text", "said"),
    [
        ("${NOPE}", "`NOPE` is not set"),
        ("${HOTS}", "did you mean HOST?"),
        ("${host}", "use capitals"),
        ("${}", "use capitals"),
        ("${HOST", "without its `}`"),
        ("${file:none}", "there is no secret `none`"),
        ("${file:}", "is not the name of a secret"),
        ("${file:../outside}", "is not the name of a secret"),
        ("${file:..}", "is not the name of a secret"),
        ("${file:.}", "is not the name of a secret"),
        ("${file:/etc/hostname}", "is not the name of a secret"),
        ("${FILE:token}", "use capitals"),
    ],
)
def test_what_cannot_be_filled_is_reported_with_its_place(variables, text, said):
    with pytest.raises(Unfilled, match=said) as raised:
        variables.fill(f"abc {text}")
    assert raised.value.start == 4


def test_a_secret_that_is_a_directory_binary_or_huge_is_refused(variables, tmp_path):
    secrets = tmp_path / "secrets"
    (secrets / "directory").mkdir()
    (secrets / "binary").write_bytes(b"\xff\xfe\x00")
    (secrets / "huge").write_bytes(b"x" * 100_000)
    for name, said in (("directory", "is not a file but a directory"), ("binary", "not UTF-8"), ("huge", "more than 65,536 bytes")):
        with pytest.raises(Unfilled, match=said):
            variables.fill(f"${{file:{name}}}")


def test_a_secret_that_may_not_be_read_is_reported(variables, tmp_path):
    secret = tmp_path / "secrets" / "token"
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(Unfilled, match="cannot be read: Permission denied"):
        variables.fill("${file:token}")


def test_messages_are_cleaned_of_what_was_filled_in(variables):
    variables.fill("${file:token} ${HOST} ${A_1}")
    assert variables.scrub("'from-a\\nfile' of acme, x") == "'${file:token}' of ${HOST}, x"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"key\n", "key"),
        (b"key\r\n\r\n", "key"),
        (b"  key\t\n", "key"),
        (b"\xef\xbb\xbfkey\n", "key"),
        (b"\xef\xbb\xbf key \xef\xbb\xbf\n", "key"),
        ("\u00a0key\u2028".encode(), "key"),
        (b"a key\nof two lines\n", "a key\nof two lines"),
    ],
)
def test_a_secret_comes_without_what_editors_add(variables, tmp_path, content, value):
    (tmp_path / "secrets" / "edited").write_bytes(content)
    assert variables.fill("${file:edited}") == value


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf\r\n"])
def test_a_secret_that_holds_nothing_is_reported(variables, tmp_path, content):
    (tmp_path / "secrets" / "edited").write_bytes(content)
    with pytest.raises(Unfilled, match="is empty"):
        variables.fill("${file:edited}")


def test_a_variable_comes_without_the_end_of_line_of_the_file_that_it_was_set_from(tmp_path):
    assert Variables({"KEY": "\ufeffkey\r\n", "SPACED": " ; "}, tmp_path).fill("${KEY}${SPACED}") == "key ; "


@pytest.mark.parametrize("name", ["HALO_CLIENT_SECRET", "ERP_PASSWORD", "API_TOKEN"])
@pytest.mark.parametrize("value", ["sandbox-secret ", "sandbox-secret \n", "\ufeffsandbox-secret\t\r\n", " sandbox-secret"])
def test_a_secret_variable_has_no_white_space_around_it(tmp_path, name, value):
    assert Variables({name: value}, tmp_path).fill(f"${{{name}}}") == "sandbox-secret"


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to a pipe", "link to a device"])
def test_what_is_no_file_is_refused_without_waiting_for_it(variables, tmp_path, kind):
    path = tmp_path / "secrets" / "odd"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))  # the name of a socket is short
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    else:
        target = path if kind == "pipe" else tmp_path / "secrets" / "pipe"
        os.mkfifo(target)
        if target != path:
            path.symlink_to("pipe")
    with pytest.raises(Unfilled, match="leads out of" if kind == "link to a device" else "is not a file but a pipe, a device or a socket"):
        variables.fill("${file:odd}")


def test_each_purpose_may_have_a_folder_of_its_own(variables, tmp_path):
    (tmp_path / "secrets" / "halo").mkdir()
    (tmp_path / "secrets" / "halo" / "client_secret").write_text("key")
    assert variables.fill("${file:halo/client_secret}") == "key"
    for name in ("halo/../token", "halo/../../outside", "halo//client_secret", "/halo/client_secret", "halo/.hidden", "halo/"):
        with pytest.raises(Unfilled, match="is not the name of a secret"):
            variables.fill(f"${{file:{name}}}")


def test_secrets_that_kubernetes_mounts_by_links_are_read(variables, tmp_path):
    data = tmp_path / "secrets" / "..2026_11_26"
    data.mkdir()
    (data / "mounted").write_text("key")
    (tmp_path / "secrets" / "..data").symlink_to("..2026_11_26")
    (tmp_path / "secrets" / "mounted").symlink_to("..data/mounted")
    assert variables.fill("${file:mounted}") == "key"


@pytest.mark.parametrize("target", ["../outside", "/etc/hostname"])
def test_a_link_that_leads_out_of_the_folder_is_refused(variables, tmp_path, target):
    (tmp_path / "secrets" / "link").symlink_to(target)
    with pytest.raises(Unfilled, match="is a link that leads out of"):
        variables.fill("${file:link}")


def test_a_folder_of_secrets_may_itself_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "key").write_text("value")
    (tmp_path / "link").symlink_to("real")
    assert Variables({}, tmp_path / "link").fill("${file:key}") == "value"


@pytest.mark.parametrize("setting", ["WORKER_AMQP_URL_FILE", "WORKER_ANY_LATER_KEY_FILE"])
@pytest.mark.parametrize("way", ["itself", "by a link", "by a second name", "through a folder"])
def test_the_worker_s_own_secret_is_none_of_a_route_although_it_lies_among_them(tmp_path, setting, way):
    own = tmp_path / "broker"
    own.write_text("amqp://planted")
    match way:
        case "by a link":
            (tmp_path / "other").symlink_to("broker")
        case "by a second name":
            (tmp_path / "other").hardlink_to(own)
        case "through a folder":
            (tmp_path / "folder").symlink_to(".")
    name = {"itself": "broker", "through a folder": "folder/broker"}.get(way, "other")
    with pytest.raises(Unfilled, match=f"is the file of {setting}, which route files cannot read"):
        Variables({setting: str(own)}, tmp_path).fill(f"${{file:{name}}}")


@pytest.mark.parametrize("name", ["WORKER_AMQP_URL", "WORKER_AMQP_URL_FILE", "WORKER_INSTANCE", "WORKER_NOT_THERE"])
def test_the_settings_of_the_worker_are_none_of_a_route_and_no_name_is_betrayed(tmp_path, name):
    variables = Variables({"WORKER_AMQP_URL": "amqp://planted", "WORKER_INSTANCE": "planted"}, tmp_path)
    with pytest.raises(Unfilled, match="is a setting of the worker, which route files cannot read"):
        variables.fill(f"${{{name}}}")
    with pytest.raises(Unfilled, match=r"is not set$"):
        variables.fill("${ORKER_AMQP_URL}")
