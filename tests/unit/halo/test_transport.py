"""What the connections to Halo are like."""

from __future__ import annotations

import socket

import pytest

from worker.halo.transport import giving_up_after


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can be told")
def test_what_halo_does_not_receive_in_time_is_dropped_and_does_not_arrive_later():
    with giving_up_after(2.5)((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
