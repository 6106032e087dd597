"""Kernel receive stamps: asked for on a socket, and switched on before they are needed.

The kernel stamps segments only while some socket of the machine wants stamps. It turns
this on and off from a queue of work: on a busy machine many milliseconds after the
first such socket opened, or the last one closed. A server that closes each connection
would have it off between two requests, and their answers come without a stamp. So one
socket keeps it on for the whole of a run, and the run begins when a stamp was seen.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

__all__ = ["ask_for_stamps", "stamps_kept_on"]

_SO_TIMESTAMPNS = 35  # of Linux's asm-generic/socket.h; Python has no name for it
_ANCILLARY_BYTES = 64
# Usually the first try; where the kernel stamps nothing the run goes on without.
_WAIT_S = 2.0
_BETWEEN_S = 0.002


def ask_for_stamps(sock: socket.socket) -> None:
    """Let every read of a socket come with the kernel's receive stamp."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


@contextlib.contextmanager
def stamps_kept_on() -> Iterator[bool]:
    """Keep the kernel stamping meanwhile; says whether a stamp was seen before."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as held,
    ):
        peer, _ = listener.accept()
        with peer:
            ask_for_stamps(held)
            yield _seen(held, peer)


def _seen(held: socket.socket, peer: socket.socket) -> bool:
    """Send to ourselves until a byte comes with its stamp."""
    end = time.monotonic() + _WAIT_S
    while True:
        peer.send(b".")
        _, ancillary, _, _ = held.recvmsg(1, _ANCILLARY_BYTES)
        if ancillary or time.monotonic() > end:
            return bool(ancillary)
        time.sleep(_BETWEEN_S)
