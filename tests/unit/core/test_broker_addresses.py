"""Several addresses of one broker: what is taken, and what is refused without quoting a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.broker_addresses import addresses_of, mistake_in, place_of, virtual_host
from worker.core.redaction import redact_text

PLANTED = "hunter2secret"
COMMA = "a comma separates addresses, and each begins with amqp:// or amqps://; write a comma inside an address as %2C, also in a user name or password"


@pytest.mark.parametrize(
    "text",
    [
        "amqp://u:p@a",
        "amqp://u:p@a/v,amqp://u:p@b/v",
        "amqp://u:p@a:5672/v , amqp://u:p@a:5673/v",
        "amqps://u:p@a/v?cafile=/ca.pem,amqps://u:p@b/v?cafile=/other.pem",
        "amqp://a,amqp://b/",
        "amqp://u:p%2Cw@a,amqp://u:p%2Cw@b",
        "amqp://u:p@[::1]/,amqp://u:p@[::1]:5673/",
    ],
)
def test_the_nodes_of_one_cluster_are_taken(text):
    assert mistake_in(text) is None


def test_the_addresses_keep_their_order_and_lose_the_spaces_around_them():
    assert addresses_of(" amqp://a , amqp://b\n") == ("amqp://a", "amqp://b")


@every(
    ("text", "said"),
    [
        (f"amqp://u:{PLANTED},{PLANTED}@a/v", f"address 2 of 2: it is not an address; {COMMA}"),
        (f"amqp://u:{PLANTED}@a,", f"address 2 of 2: it is empty; {COMMA}"),
        (f"amqp://u:{PLANTED}@a,b", f"address 2 of 2: it is not an address; {COMMA}"),
        (f"amqp://u:{PLANTED}@a,http://u:{PLANTED}@b", "address 2 of 2: it is not an address of a broker; valid are amqp://"),
        (f"amqp://u:{PLANTED}@a,amqp://u:x@{PLANTED}@b", "address 2 of 2: its user name or password is not percent-encoded: "),
        (f"amqp://u:{PLANTED}@a,memory://", "memory:// exists within one process and has no other address"),
        (f"amqp://u:{PLANTED}@a/v,amqp://u:{PLANTED}@b/w", "addresses 1 and 2 name different virtual hosts; "),
        (f"amqp://u:{PLANTED}@a,amqp://u:{PLANTED}@b/v", "addresses 1 and 2 name different virtual hosts; "),
        (f"amqp://u:{PLANTED}@a,amqp://u:{PLANTED}@b,amqp://u:other{PLANTED}@c", "addresses 1 and 3 have different users or passwords; "),
        (f"amqp://u:{PLANTED}@a,amqps://u:{PLANTED}@b", "addresses 1 and 2 mix amqp:// and amqps://; "),
        (f"amqp://u:{PLANTED}@a,amqp://u:{PLANTED}@b:5673,amqp://u:{PLANTED}@a:5672", "addresses 1 and 3 name the same host and port: name each node once"),
    ],
)
def test_what_is_no_list_of_nodes_is_refused_and_nothing_of_it_is_quoted(text, said):
    mistake = mistake_in(text)
    assert mistake is not None
    assert mistake.startswith(said)
    assert PLANTED not in mistake


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_makes_anything_but_a_sentence(one, other):
    mistake_in(f"amqp://u:{one}@a,{other}")
    mistake_in(one)


@pytest.mark.parametrize("between", [",", ", "])
def test_no_password_of_a_list_is_written_down_an_unencoded_one_neither(between):
    for password in (PLANTED, f"{PLANTED},{PLANTED}", f"{PLANTED}/@{PLANTED}"):
        text = between.join(f"amqp://user:{password}@{host}/v" for host in ("a", "b", "c"))
        assert PLANTED not in redact_text(f"connecting to {text} failed")


@pytest.mark.parametrize(
    ("url", "vhost"), [("amqp://a", "/"), ("amqp://a/", "/"), ("amqp://a/%2F", "/"), ("amqp://a/v,amqp://b/v", "v"), ("amqp://a/x%2Cy", "x,y")]
)
def test_the_virtual_host_is_that_of_all_addresses(url, vhost):
    assert virtual_host(url) == vhost


@pytest.mark.parametrize(("url", "place"), [("amqp://u:p@a", "a:5672"), ("amqps://u:p@a", "a:5671"), ("amqp://u:p@[::1]:7/v", "[::1]:7")])
def test_what_is_shown_of_an_address_is_its_host_and_port(url, place):
    assert place_of(url) == place
