"""An authorization service to try the example with: requests with the header `x-token: s3cr3t` pass, as the user `alice`.

It needs `pip install grpcio`, and no `protoc`: the few bytes of the messages are written by hand.
"""

from concurrent import futures

import grpc


def field(number, value):
    """A field of bytes, shorter than 128."""
    return bytes([number << 3 | 2, len(value)]) + value


def header(name, value):
    """A `HeaderValueOption`."""
    return field(1, field(1, name) + field(2, value))


ALLOWED = field(3, field(2, header(b"x-user", b"alice")) + field(5, b"x-token"))
# Status 16, UNAUTHENTICATED; the answer has HTTP status 401 and a body.
DENIED = field(1, b"\x08\x10") + field(2, field(1, b"\x08\x91\x03") + field(3, b"who are you?\n"))


def check(request, context):
    # A map's entry: the key is field 1, the value field 2.
    return ALLOWED if field(1, b"x-token") + field(2, b"s3cr3t") in request else DENIED


server = grpc.server(futures.ThreadPoolExecutor(4))
methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", methods)])
server.add_insecure_port("127.0.0.1:9191")
server.start()
server.wait_for_termination()
