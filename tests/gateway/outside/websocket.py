"""A WebSocket client for the tests: `websocket.py URL [NAME=VALUE...]`.

Connects, prints `connected`, and then does what each line of standard input says; what comes of it is printed as one
line. The refusal of a connection is printed, too.
"""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError


async def main(url, ca=None, host=None, port=None, protocols=None):
    """Connects, and serves the lines."""
    options = {"proxy": None, "open_timeout": 30, "ping_interval": None}
    if ca:
        options["ssl"] = ssl.create_default_context(cafile=ca)
    if protocols:
        options["subprotocols"] = protocols.split(",")
    try:
        async with connect(url, host=host, port=port, **options) as socket:
            print("connected", socket.subprotocol, flush=True)
            await serve(socket)
    except InvalidStatus as refused:
        print("status", refused.response.status_code, flush=True)
    except NegotiationError as refused:
        print("negotiation", refused, flush=True)


async def serve(socket):
    """Does what the lines say, until one of them ends it."""
    lines = asyncio.get_running_loop()
    try:
        while line := await lines.run_in_executor(None, sys.stdin.readline):
            word, _, rest = line.strip().partition(" ")
            if word == "binary":
                await socket.send(rest.encode())
            elif word == "large":
                await socket.send(bytes(int(rest)))
            elif word == "pieces":
                await socket.send(piece.encode() for piece in rest.split(" "))
            elif word == "text":
                await socket.send(rest)
            elif word == "ping":
                await (await socket.ping(rest))
                print("pong", rest, flush=True)
            elif word == "close":
                await socket.close(int(rest))
                print("closed", socket.close_code, flush=True)
                return
            elif word == "receive":
                message = await socket.recv()
                size = len(message) if isinstance(message, bytes) else "text"
                print("received", size, message[:40], flush=True)
    except ConnectionClosed as closed:
        print("closed by gateway", closed.rcvd.code if closed.rcvd else None, flush=True)


named = dict(argument.split("=", 1) for argument in sys.argv[2:])
asyncio.run(main(sys.argv[1], **named))
