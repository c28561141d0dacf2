"""The applications that are fuzzed, and how their answers are read."""

from tests.wire import portico
from tests.wire.servers import echo_of, label_of_echo
from tests.wire.verdict import Application

ECHOES = {
    "ours": Application(label_of_echo, echo_of, gives_up=True, refuses_early=False),
    "h11": Application(label_of_echo, echo_of, gives_up=False, refuses_early=True),
}
PORTICO = Application(portico.label_in, portico.label_for, gives_up=False, refuses_early=True)
