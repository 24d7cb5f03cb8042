"""What the guard lets through: public addresses of its own host's port, and exactly what is listed."""

import socket

import pytest
from yarl import URL

from worker.halo.failures import AddressRefused
from worker.integrations.guard import canonical_host, guard_of


def admits(base, allow, address, port=443):
    try:
        guard_of(URL(base), allow).admit(address, port)
    except AddressRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("base", "allow", "address", "port"),
    [
        ("https://api.example.com", [], "8.8.8.8", 443),
        ("https://api.example.com", [], "2606:4700::1111", 443),
        ("https://api.example.com:8443", [], "8.8.8.8", 8443),
        ("http://erp.corp", [("erp.corp", None)], "10.1.2.3", 80),
        ("http://erp.corp:8080", [("erp.corp", 8080)], "10.1.2.3", 8080),
        ("http://ERP.corp.", [("erp.CORP", None)], "10.1.2.3", 80),
        ("http://[::1]:99", [("::1", None)], "::1", 99),
        ("http://[::1]:99", [("[::1]", 99)], "::1", 99),
        ("http://büro.example", [("büro.example", None)], "192.168.0.1", 80),
        ("http://büro.example", [("xn--bro-hoa.example", None)], "192.168.0.1", 80),
        ("http://erp.corp", [("10.1.2.3", None)], "10.1.2.3", 80),
        ("http://[::ffff:10.1.2.3]", [("10.1.2.3", None)], "::ffff:10.1.2.3", 80),
        ("http://169.254.169.254", [("169.254.169.254", None)], "169.254.169.254", 80),
    ],
)
def test_it_admits(base, allow, address, port):
    assert admits(base, allow, address, port)


@pytest.mark.parametrize(
    ("base", "allow", "address", "port"),
    [
        ("https://api.example.com", [], "10.1.2.3", 443),
        ("https://api.example.com", [], "::1", 443),
        ("https://api.example.com", [], "::ffff:127.0.0.1", 443),
        ("https://api.example.com", [], "8.8.8.8", 80),
        ("https://api.example.com", [], "api.example.com", 443),
        ("https://api.example.com", [("other.example.com", None)], "10.1.2.3", 443),
        ("https://api.example.com", [("example.com", None)], "10.1.2.3", 443),
        ("https://api.example.com", [("api.example.com", 80)], "10.1.2.3", 443),
        ("https://api.example.com", [("10.1.2.4", None)], "10.1.2.3", 443),
        ("https://api.example.com", [("10.1.2.3", 8443)], "10.1.2.3", 443),
        ("https://api.example.com", [("api.example.com", None)], "169.254.169.254", 443),
        ("https://api.example.com", [("api.example.com", None)], "fd00:ec2::254", 443),
        ("https://api.example.com", [("api.example.com", None)], "168.63.129.16", 443),
    ],
)
def test_it_refuses(base, allow, address, port):
    assert not admits(base, allow, address, port)


def test_a_refused_address_gets_no_socket(monkeypatch):
    def never(*_):
        raise AssertionError("a socket was made")

    monkeypatch.setattr("worker.integrations.guard.socket", never)
    with pytest.raises(AddressRefused):
        guard_of(URL("http://localhost"), []).new_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)))


@pytest.mark.parametrize(
    ("host", "one_spelling"),
    [
        ("EXAMPLE.com.", "example.com"),
        ("[::1]", "::1"),
        ("0:0::1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("Büro.example", "xn--bro-hoa.example"),
        ("a b", "a b"),
    ],
)
def test_hosts_have_one_spelling(host, one_spelling):
    assert canonical_host(host) == one_spelling
