"""A fuzzer of bytes on the wire: the server and a second parser of HTTP must agree about them."""
