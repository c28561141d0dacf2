"""A fuzzer of bytes on the wire: the server and a second HTTP parser must agree."""
