"""Who counts as one peer, behind proxies too, and who is remembered."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.tools.every import every
from worker.web import peers
from worker.web.peers import KnownPeers, Proxies, peer_of

BEHIND = Proxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_or_what_one_provider_gives_to_one_subscriber(host, peer):
    assert peer_of(host) == peer


@every(
    ("host", "forwarded", "peer"),
    [
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.7, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.7", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("fd00::1", ["[2001:db8::5]:4711"], "2001:db8::/64"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["10.1.1.1"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_caller_and_nobody_else_does(host, forwarded, peer):
    assert BEHIND.caller(host, forwarded) == peer


def test_an_admitted_peer_is_known_for_a_day():
    time = [0.0]
    known = KnownPeers(lambda: time[0])
    known.add("a")
    assert (known.knows("a"), known.knows("b")) == (True, False)
    time[0] = peers.KNOWN_SECONDS + 1
    assert not known.knows("a")


def test_only_so_many_peers_are_remembered_the_newest(monkeypatch):
    monkeypatch.setattr(peers, "KNOWN_PEERS", 2)
    known = KnownPeers(lambda: 0.0)
    for peer in "abac":
        known.add(peer)
    assert [known.knows(peer) for peer in "abc"] == [True, False, True]
