"""Lets the kernel drop the SYN of new connections, and everything else of a listening socket pass.

A listening socket that closes resets the connections whose handshake is under way: as many as begin
within one round trip to the proxy. To the proxy these connections were made: it has sent a request,
cannot know that nobody read it, and must not send a mutation again. Over loopback a handshake takes
no time, so only a network with a round trip shows it:

    PYTHONPATH=benchmarks python .ci/fleet/restarts.py --round-trip 10

restarts two processes behind `deploy/nginx.conf` three times under load. Without this filter 20 of
156,051 requests failed there ("recv() failed (104: Connection reset by peer)"), with it none of
136,770. The price: a request that needs a new connection at that moment takes a second longer.
"""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

# Of `asm-generic/socket.h`; Python has no name for it.
SO_ATTACH_FILTER = 26
# `struct sock_filter`: operation, jump if true, jump if false, operand.
INSTRUCTION = struct.Struct("HBBI")
LOAD_BYTE, JUMP_IF_BIT_SET, RETURN = 0x30, 0x45, 0x06
TCP_FLAGS_OFFSET, SYN = 13, 0x02
DROP, KEEP_ALL = 0, 0xFFFFFFFF
DROP_SYN = (
    (LOAD_BYTE, 0, 0, TCP_FLAGS_OFFSET),
    (JUMP_IF_BIT_SET, 0, 1, SYN),
    (RETURN, 0, 0, DROP),
    (RETURN, 0, 0, KEEP_ALL),
)


def drop_new_connections(listener: socket.socket) -> None:
    """Begin no connection any more; those whose handshake is under way are still completed.

    A client gets no answer, sends its SYN again after a second, and is refused if the socket is
    closed by then: a proxy knows that nothing was sent, and asks another server. Only on Linux;
    elsewhere, or where the kernel refuses the filter, the socket stays as it is.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(INSTRUCTION.pack(*each) for each in DROP_SYN))
    # `struct sock_fprog`: the number of instructions, and where they are.
    option = struct.pack("HP", len(DROP_SYN), ctypes.addressof(program))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
