"""Which hosts are internal, and what an entry of `allow_hosts` means."""

from ipaddress import ip_address

import pytest

from tests.tools.every import every
from worker.config.hosts import host_entry, is_allowed, is_internal, is_numeric_host, local


@every(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "ff0e::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2001:db8::1",
    ],
)
def test_an_address_inside_is_internal(address):
    assert is_internal(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_an_address_of_the_public_internet_is_not(address):
    assert not is_internal(ip_address(address))


@every(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("db.localhost", True),
        ("10.0.0.1", True),
        ("fe80::1%eth0", True),
        ("example.com", False),
        ("localhost.example", False),
        ("8.8.8.8", False),
    ],
)
def test_a_host_that_is_written_as_internal_is_seen(host, expected):
    assert local(host) is expected


@every(
    ("host", "expected"),
    [
        ("127.1", True),
        ("2130706433", True),
        ("0x7f000001", True),
        ("0x7f.1", True),
        ("0177.0.0.1", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("a.b", False),
        ("1.example", False),
    ],
)
def test_odd_spellings_of_addresses_are_seen(host, expected):
    assert is_numeric_host(host) is expected


@every(
    ("entry", "expected"),
    [
        ("a.b", ("a.b", None)),
        (" A.b:80 ", ("a.b", 80)),
        ("localhost.", ("localhost", None)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
        ("0:0:0:0:0:0:0:1", ("::1", None)),
        ("10.0.0.5:8080", ("10.0.0.5", 8080)),
        ("münchen.example", ("xn--mnchen-3ya.example", None)),
    ],
)
def test_an_entry_is_a_host_and_perhaps_a_port(entry, expected):
    assert host_entry(entry) == expected


@every("entry", ["", "http://x", "x:99999", "x:0", "x:y", "x y", "*.a", "10.0.0.0/8", "x?y", "x#y", "u@x", "[::1", "127.1", "2130706433", ":80"])
def test_what_is_no_host_is_refused_with_a_sentence(entry):
    with pytest.raises(ValueError, match=r"^must be `host`|^must be an address|^is an ambiguous address"):
        host_entry(entry)


def test_an_entry_with_a_port_opens_that_port_only():
    assert [is_allowed("a", port, (("a", 80),)) for port in (80, 81)] == [True, False]
    assert [is_allowed(host, 5, (("a", None),)) for host in ("a", "A.", "b")] == [True, True, False]
