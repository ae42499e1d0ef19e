#!/usr/bin/env python3
"""Echo: a protocol handler that sends every byte back to the device it came from.

The gateway calls us (ConnectionUnaryHandler), and we call the gateway (ConnectionAdapter).
"""

import argparse
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parent / "stubs"))  # made by generate.sh

import exproto_pb2 as pb
import exproto_pb2_grpc as rpc

CALL_TIMEOUT = 5  # seconds that a call to the adapter may take
GRACE = 5  # seconds that callbacks in flight get at the end

log = logging.getLogger("echo")


class Echo(rpc.ConnectionUnaryHandlerServicer):
    """What the gateway calls: one callback of a connection at a time, in order.

    An exception closes the connection that the callback is about.
    """

    def __init__(self, adapter: rpc.ConnectionAdapterStub, metadata):
        self.adapter = adapter
        self.metadata = metadata  # of each call: our token, if we have one

    def OnSocketCreated(self, request, context):
        peer = request.conninfo.peername
        log.info("%s connected: %s port %d", request.conn, peer.host, peer.port)
        return pb.EmptySuccess()

    def OnReceivedBytes(self, request, context):
        send = pb.SendBytesRequest(conn=request.conn, bytes=request.bytes)
        answer = self.adapter.Send(send, timeout=CALL_TIMEOUT, metadata=self.metadata)
        if answer.code != pb.SUCCESS:
            log.warning("%s not sent: %s %s", request.conn, pb.ResultCode.Name(answer.code), answer.message)
        return pb.EmptySuccess()

    def OnSocketClosed(self, request, context):
        log.info("%s closed: %s", request.conn, request.reason)
        return pb.EmptySuccess()


def credentials(arguments):
    """A channel to the adapter, and the metadata of each call."""
    try:
        lines = Path(arguments.token_file).read_text().splitlines() if arguments.token_file else []
        ca = Path(arguments.ca_file).read_bytes() if arguments.ca_file else None
    except OSError as error:
        sys.exit(f"cannot read {error.filename}: {error.strerror}")
    tokens = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if arguments.token_file and not tokens:
        sys.exit(f"{arguments.token_file} holds no token")
    metadata = [("authorization", f"Bearer {token}") for token in tokens[:1]]
    if ca is None:
        return grpc.insecure_channel(arguments.adapter), metadata
    return grpc.secure_channel(arguments.adapter, grpc.ssl_channel_credentials(ca)), metadata


def main():
    parser = argparse.ArgumentParser(description="Sends every byte back to the device it came from.")
    parser.add_argument("--listen", default="127.0.0.1:9001", help="where the gateway calls us (%(default)s)")
    parser.add_argument("--adapter", default="127.0.0.1:9100", help="where we call the gateway (%(default)s)")
    parser.add_argument("--token-file", help="a file with our token, where the gateway has adapter.callers")
    parser.add_argument("--ca-file", help="who signed the adapter's certificate, where the gateway has adapter.tls")
    parser.add_argument("--workers", type=int, default=16, help="callbacks served at a time (%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    # Without so_reuseport=0 a second handler on the same port would start, and share its calls.
    server = grpc.server(ThreadPoolExecutor(arguments.workers), options=[("grpc.so_reuseport", 0)])
    channel, metadata = credentials(arguments)
    with channel:
        echo = Echo(rpc.ConnectionAdapterStub(channel), metadata)
        rpc.add_ConnectionUnaryHandlerServicer_to_server(echo, server)
        server.add_insecure_port(arguments.listen)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop(GRACE))
        server.start()
        log.info("serving on %s, adapter at %s", arguments.listen, arguments.adapter)
        server.wait_for_termination()
    log.info("ended")


if __name__ == "__main__":
    main()
