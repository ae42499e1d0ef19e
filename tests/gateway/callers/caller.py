"""Calls an adapter over TLS, as grpcio does it, and prints what came of each call.

Usage: caller.py ADDRESS SERVER TOKEN CA CHAIN KEY
"""

import sys
from pathlib import Path

import grpc
from exproto_pb2 import RawPublishRequest, ResultCode, SendBytesRequest
from exproto_pb2_grpc import ConnectionAdapterStub

address, server, token, ca, chain, key = sys.argv[1:]
ca, chain, key = (Path(file).read_bytes() for file in (ca, chain, key))
options = [("grpc.ssl_target_name_override", server)]


def adapter(credentials):
    return ConnectionAdapterStub(grpc.secure_channel(address, credentials, options))


def bearing(text):
    call = grpc.access_token_call_credentials(text)
    return grpc.composite_channel_credentials(grpc.ssl_channel_credentials(ca), call)


def say(what, call, request):
    try:
        print(what, ResultCode.Name(call(request, timeout=20).code))
    except grpc.RpcError as error:
        print(what, error.code().name)


publish = RawPublishRequest(topic="t", payload=b"x")
say("nothing", adapter(grpc.ssl_channel_credentials(ca)).RawPublish, publish)
say("bad token", adapter(bearing("x" * 32)).RawPublish, publish)
known = adapter(bearing(token))
say("token", known.RawPublish, publish)
say("token, other call", known.Send, SendBytesRequest(conn="x"))
say("token, large request", known.Send, SendBytesRequest(conn="x", bytes=bytes(8 << 20)))
named = adapter(grpc.ssl_channel_credentials(ca, key, chain))
say("certificate", named.RawPublish, publish)
