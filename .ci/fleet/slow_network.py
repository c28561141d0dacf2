"""A network with latency on this machine: loopback has none, which hides some failures."""

import ctypes
import fcntl
import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from processes import BenchmarkFailed, run

# A packet to FAR comes back to this machine with FAR as its sender.
NEAR, FAR = "10.213.77.1", "10.213.77.2"
DEVICE = "slow"
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SOURCE, DESTINATION = slice(12, 16), slice(16, 20)
PACKET_BYTES = 65536


@contextmanager
def slow_network(one_way_seconds: float) -> Generator[str]:
    """Move this process into a network namespace of its own; yields the address behind the network.

    Raises:
        BenchmarkFailed: it is not root, or the kernel has no TUN devices.

    """
    try:
        _leave_the_network()
        device = _tun()
    except OSError as error:
        raise BenchmarkFailed(f"a network of its own needs root and TUN: {error}") from None
    for command in (
        ["link", "set", "lo", "up"],
        ["address", "add", f"{NEAR}/24", "dev", DEVICE],
        ["link", "set", DEVICE, "up"],
    ):
        run(["ip", *command], seconds=5)
    over = threading.Event()
    reflecting = threading.Thread(target=_reflect, args=(device, one_way_seconds, over))
    reflecting.start()
    try:
        yield FAR
    finally:
        over.set()
        reflecting.join()
        os.close(device)


def _leave_the_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _tun() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return device


def _reflect(device: int, one_way_seconds: float, over: threading.Event) -> None:
    """Send each packet back after the delay, with its two addresses swapped.

    Its checksums are sums over both addresses, and stay valid when these are swapped.
    """
    waiting = deque[tuple[float, bytes]]()
    while not over.is_set():
        pause = waiting[0][0] - time.monotonic() if waiting else 0.1
        if select.select([device], [], [], max(0, pause))[0]:
            packet = bytearray(os.read(device, PACKET_BYTES))
            packet[SOURCE], packet[DESTINATION] = packet[DESTINATION], packet[SOURCE]
            waiting.append((time.monotonic() + one_way_seconds, bytes(packet)))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(device, waiting.popleft()[1])
