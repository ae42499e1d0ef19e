"""Echo: sends every byte back to the device it came from.

Usage: echo.py [LISTEN [ADAPTER]]

LISTEN is where the gateway calls us, as host:port (127.0.0.1:9001). With ADAPTER, where we call the gateway, its
`handler.service` may be ConnectionUnaryHandler; without it, it is ConnectionStream.
"""

import logging
import sys

from exproto_handler import Handler, Server

log = logging.getLogger("echo")


class Echo(Handler):
    async def on_open(self):
        log.info("%s connected: %s port %d", self.conn.id, *self.conn.peer)

    async def on_bytes(self, data):
        await self.conn.send(data)

    async def on_close(self, reason):
        log.info("%s closed: %s", self.conn.id, reason)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    listen, adapter = (sys.argv[1:] + [None, None])[:2]
    Server(Echo, listen or "127.0.0.1:9001", adapter=adapter).run()
