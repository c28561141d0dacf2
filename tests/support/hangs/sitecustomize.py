"""Makes a process hang when it gets a signal: Python imports this from a folder on PYTHONPATH."""

import ctypes
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

FOREVER = 3600
# Its functions are called without releasing the GIL.
libc = ctypes.PyDLL(None)
pool = ThreadPoolExecutor()


def stay_in_a_call(_number: int, _frame: FrameType | None) -> None:
    """Keep the main thread, which has the event loop, while other threads run."""
    time.sleep(FOREVER)


def hold_the_gil(_number: int, _frame: FrameType | None) -> None:
    libc.sleep(FOREVER)


def start_an_endless_thread(_number: int, _frame: FrameType | None) -> None:
    """Start one for which Python waits before it ends."""
    pool.submit(time.sleep, FOREVER)


signal.signal(signal.SIGUSR1, stay_in_a_call)
signal.signal(signal.SIGUSR2, hold_the_gil)
signal.signal(signal.SIGWINCH, start_an_endless_thread)
