#!/usr/bin/env python3
"""Tracker: a protocol handler for vehicle trackers that speak in lines.

    LOGIN <id> <password>     who it is; everything else comes after it
    POS <lat> <lon> <speed>   where it is: published to up/<id>/position
    WATCH                     sends SEEN lines for all positions, to those who may see them
    BYE                       ends the connection

Each line is answered by OK or ERR. Commands, which are published to down/<id>, reach the tracker as CMD lines.
"""

import argparse
import json
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from adapter import add_options, connect, explain, pb, rpc

GRACE = 5  # seconds that callbacks in flight get at the end

log = logging.getLogger("tracker")


class BadLine(Exception):
    """What a device is told about a line that cannot be served."""


class Tracker(rpc.ConnectionUnaryHandlerServicer):
    """What the gateway calls: one callback of a connection at a time, in order.

    The gateway's framing cuts lines, so that each OnReceivedBytes is one, without its end.
    """

    def __init__(self, adapter, keepalive: int):
        self.adapter = adapter
        self.keepalive = keepalive
        self.ids = {}  # who a connection is, from its LOGIN to its end

    def OnSocketCreated(self, request, context):
        peer = request.conninfo.peername
        log.info("%s connected: %s port %d", request.conn, peer.host, peer.port)
        return pb.EmptySuccess()

    def OnReceivedBytes(self, request, context):
        word, *rest = request.bytes.decode(errors="replace").split(" ")
        lines = {"LOGIN": self.login, "POS": self.position, "WATCH": self.watch, "BYE": self.bye}
        try:
            if word not in lines:
                raise BadLine(f"a line begins with one of {', '.join(lines)}")
            lines[word](context, request.conn, rest)
        except BadLine as bad:
            self.send(context, request.conn, f"ERR {bad}")
        return pb.EmptySuccess()

    def OnReceivedMessages(self, request, context):
        """An error here would have the same messages sent again, those of QoS 1 and 2."""
        for message in request.messages:
            text = " ".join(message.payload.decode(errors="replace").split())  # one line, whoever published it
            if message.topic.startswith("down/"):
                self.send(context, request.conn, f"CMD {text}")
            else:
                self.send(context, request.conn, f"SEEN {message.topic} {text}")
        return pb.EmptySuccess()

    def OnTimerTimeout(self, request, context):
        """The device was silent for 1.5 times --keepalive. The gateway closes the connection after this."""
        self.send(context, request.conn, "ERR silent for too long")
        return pb.EmptySuccess()

    def OnSocketClosed(self, request, context):
        log.info("%s closed: %s, was %s", request.conn, request.reason, self.ids.pop(request.conn, "nobody"))
        return pb.EmptySuccess()

    def login(self, context, conn, rest):
        """Authenticate, look at the code, and only then the rest: what comes before it would be denied."""
        if len(rest) != 2:
            raise BadLine("write LOGIN <id> <password>")
        who, password = rest
        info = pb.ClientInfo(proto_name="tracker", proto_ver="1", clientid=who, username=who)
        answer = self.call(context, "Authenticate", pb.AuthenticateRequest(conn=conn, clientinfo=info, password=password))
        if answer.code == pb.UNKNOWN:  # who decides cannot be asked now: not the device's fault
            raise BadLine(f"come back later: {answer.message}")
        must(answer)  # else it is nobody still, and may try again until authentication_timeout
        self.ids[conn] = who
        must(self.call(context, "StartTimer", pb.TimerRequest(conn=conn, type=pb.KEEPALIVE, interval=self.keepalive)))
        must(self.call(context, "Subscribe", pb.SubscribeRequest(conn=conn, topic=f"down/{who}", qos=1)))
        log.info("%s is %s", conn, who)
        self.send(context, conn, "OK")

    def position(self, context, conn, rest):
        who = self.known(conn)
        try:
            lat, lon, speed = map(float, rest)
        except ValueError:
            raise BadLine("write POS <lat> <lon> <speed>, in numbers") from None
        if not (-90 <= lat <= 90 and -180 <= lon <= 180 and 0 <= speed <= 1000):
            raise BadLine("lat is from -90 to 90, lon from -180 to 180, speed from 0 to 1000")
        # Your back end is here: every position passes through. Published, it reaches clients of this gateway.
        payload = json.dumps({"lat": lat, "lon": lon, "speed": speed}).encode()
        topic = f"up/{who}/position"
        must(self.call(context, "Publish", pb.PublishRequest(conn=conn, topic=topic, qos=1, payload=payload)))
        self.send(context, conn, "OK")

    def watch(self, context, conn, rest):
        self.known(conn)
        must(self.call(context, "Subscribe", pb.SubscribeRequest(conn=conn, topic="up/+/position", qos=1)))
        self.send(context, conn, "OK")

    def bye(self, context, conn, rest):
        self.send(context, conn, "OK")
        self.call(context, "Close", pb.CloseSocketRequest(conn=conn))

    def known(self, conn) -> str:
        if conn not in self.ids:
            raise BadLine("LOGIN first")
        return self.ids[conn]

    def send(self, context, conn, line):
        answer = self.call(context, "Send", pb.SendBytesRequest(conn=conn, bytes=f"{line}\n".encode()))
        if answer.code not in (pb.SUCCESS, pb.CONN_PROCESS_NOT_ALIVE):  # who has left is no error
            self.fail(context, f"Send: {answer.message}")

    def call(self, context, method, request):
        try:
            return self.adapter.call(method, request)
        except grpc.RpcError as error:  # away, or it does not take our token
            self.fail(context, f"{method}: {explain(error)}")

    def fail(self, context, why):
        """Answers the callback with an error. That closes the connection; messages of QoS 1 are sent again first."""
        log.error("%s", why)
        context.abort(grpc.StatusCode.INTERNAL, why)


def must(answer):
    if answer.code != pb.SUCCESS:
        raise BadLine(answer.message)


def main():
    parser = argparse.ArgumentParser(description="Serves vehicle trackers.")
    parser.add_argument("--listen", default="127.0.0.1:9001", help="where the gateway calls us (%(default)s)")
    parser.add_argument("--workers", type=int, default=16, help="callbacks served at a time (%(default)s)")
    parser.add_argument("--keepalive", type=int, default=300, help="how often devices speak, in seconds (%(default)s)")
    add_options(parser, "tokens/tracker")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    tracker = Tracker(connect(arguments), arguments.keepalive)
    # Without so_reuseport=0 a second handler on the same port would start, and share its calls.
    server = grpc.server(ThreadPoolExecutor(arguments.workers), options=[("grpc.so_reuseport", 0)])
    rpc.add_ConnectionUnaryHandlerServicer_to_server(tracker, server)
    try:
        server.add_insecure_port(arguments.listen)
    except RuntimeError as error:
        sys.exit(f"cannot listen on {arguments.listen}: {error}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop(GRACE))
    server.start()
    log.info("serving on %s, adapter at %s", arguments.listen, arguments.adapter)
    server.wait_for_termination()
    log.info("ended")


if __name__ == "__main__":
    main()
