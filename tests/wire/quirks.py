"""What is unusual in a stream, and how a server may or must react (RFC 9110 and 9112)."""

from enum import Enum


class Duty(Enum):
    """What the RFC allows or requires of a server."""

    MAY_CLOSE = "may close the connection after its answer"
    MAY_REFUSE = "may refuse"
    MUST_REFUSE = "must refuse"


CLOSE, MAY, MUST = Duty.MAY_CLOSE, Duty.MAY_REFUSE, Duty.MUST_REFUSE


class Quirk(Enum):
    """The only reasons for a refusal of what the second parser accepts.

    If that parser refuses as well, both agree and no reason is needed. `MUST` is for what it
    accepts and the server must not.
    """

    # 9112, 5.2: "A server that receives an obs-fold in a request message … MUST either reject the
    # message by sending a 400 … or replace each received obs-fold with one or more SP".
    FOLDED_LINE = (MAY, 1)
    # 9112, 2.2: "a recipient MAY recognize a single LF as a line terminator".
    BARE_LF = (MAY, 2)
    # 9112, 2.2: "a recipient of such a bare CR MUST consider that element to be invalid or replace
    # each bare CR with SP".
    BARE_CR = (MAY, 3)
    # 9110, 5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous";
    # other control characters MAY be retained "within a safe context".
    CONTROL = (MAY, 4)
    # 9110, 8.6: a list of equal numbers in Content-Length, or several such fields: the recipient
    # "MUST either reject the message as invalid or replace the duplicated" ones.
    REPEATED_LENGTH = (MAY, 5)
    # 9112, 6.3: with both framings "Transfer-Encoding overrides the Content-Length. Such a message
    # might indicate an attempt to perform request smuggling … and ought to be handled as an error".
    BOTH_FRAMINGS = (MAY, 6)
    # 9112, 6.1: "A server that receives a request message with a transfer coding it does not
    # understand SHOULD respond with 501".
    OTHER_CODING = (MAY, 7)
    # 9112, 6.1: the framing of an HTTP/1.0 message with Transfer-Encoding is faulty.
    OLD_CODING = (MUST, 8)
    # 9112, 7.1.1: chunk extensions; "a server ought to limit the total length of chunk extensions".
    # White space around them is "bad": no sender may generate it.
    CHUNK_EXTENSION = (MAY, 9)
    # 9110, 9.1: "an origin server that receives a request method that is unrecognized or not
    # implemented SHOULD respond with the 501".
    OTHER_METHOD = (MAY, 10)
    # 9110, 9.3.6: CONNECT is for proxies.
    TUNNEL = (MUST, 11)
    # 9112, 3.2: "A server MUST respond with a 400 … to any request message that lacks a Host header
    # field and to any … that contains more than one … or … an invalid field value".
    BAD_HOST = (MUST, 12)
    # 9110, 15.6.6: 505, "the server does not support, or refuses to support, the major version".
    OTHER_VERSION = (MUST, 13)
    # 9112, 3.2: a target that is in no form for this method. 9110, 4.2.1: "A recipient that
    # processes such a URI reference [an empty host] MUST reject it as invalid".
    BAD_TARGET = (MUST, 14)
    # 9112, 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at
    # least one empty line (CRLF) received prior to the request-line"; h11 does not.
    EMPTY_LINE = (MAY, 22)
    # 9112, 3: "recipients MAY instead parse on whitespace-delimited word boundaries". h11 does not:
    # it is shown one space.
    WIDE_SPACE = (MAY, 16)
    # 9110, 5.6.3: white space after a value may be tabs. llhttp takes them for a part of the value
    # where a field frames the body.
    TAB_AFTER_FRAMING = (MAY, 18)
    # 9110, 6.5.1: "a sender MUST NOT generate a trailer field unless the sender knows the
    # corresponding header field name's definition permits" it; those about framing never do.
    FRAMING_IN_TRAILER = (MAY, 19)
    # 9112, C.2.2: Proxy-Connection is what HTTP/1.0 clients sent to proxies. llhttp reads it as
    # Connection. A server may close any connection behind an answer (9112, 9.5).
    PROXY_CONNECTION = (CLOSE, 20)
    # 9110, 6.5.1: a trailer is no header; llhttp reads one about the connection as if it were.
    CONNECTION_IN_TRAILER = (CLOSE, 21)
    # After a body whose length is not that of its field, anything may follow.
    WRONG_LENGTH = (MAY, 15)
    # A byte changed at random, which may be any of those above.
    MUTATION = (MAY, 17)

    @property
    def reaches_on(self) -> bool:
        """Whether it can move the end of a request, so that anything may follow."""
        return self in {
            Quirk.FOLDED_LINE,
            Quirk.BARE_LF,
            Quirk.BARE_CR,
            Quirk.CONTROL,
            Quirk.REPEATED_LENGTH,
            Quirk.BOTH_FRAMINGS,
            Quirk.OTHER_CODING,
            Quirk.CHUNK_EXTENSION,
            Quirk.WRONG_LENGTH,
            Quirk.MUTATION,
        }

    @property
    def duty(self) -> Duty:
        return self.value[0]
