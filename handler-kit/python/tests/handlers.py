"""Handlers as processes, for the tests end to end: handlers.py CLASS LISTEN [ADAPTER]."""

import logging
import sys

from exproto_handler import CommandError, Handler, Server


class Echo(Handler):
    """Sends back what comes."""

    async def on_bytes(self, data):
        await self.conn.send(data)


class Chat(Handler):
    """Does what lines of text say, and answers with lines."""

    async def on_bytes(self, data):
        verb, *words = data.decode().split(" ")
        try:
            answer = await getattr(self, verb)(*words)
        except CommandError as error:
            answer = error.code
        if answer is not None:
            await self.conn.send(f"{answer}\n".encode())

    async def login(self, clientid):
        present = await self.conn.authenticate(clientid, proto_name="chat", proto_ver="1", session_expiry=60)
        return "present" if present else "new"

    async def sub(self, topic):
        await self.conn.subscribe(topic, qos=1)
        return "ok"

    async def unsub(self, topic):
        await self.conn.unsubscribe(topic)
        return "ok"

    async def pub(self, topic, payload):
        await self.conn.publish(topic, payload.encode(), qos=1)
        return "ok"

    async def raw(self, topic, payload):
        await self.conn.raw_publish(topic, payload.encode(), qos=1)
        return "ok"

    async def tell(self, topic, payload):
        # Without a result: it leaves with the acknowledgement.
        await self.conn.publish(topic, payload.encode(), qos=1, result=False)

    async def timer(self, interval):
        await self.conn.start_timer(int(interval))
        return "ok"

    async def count(self):
        count = int(self.conn.state or b"0") + 1
        await self.conn.set_state(b"%d" % count)
        return f"{count} {self.conn.attempt}"

    async def who(self):
        return f"{self.conn.listener} {self.conn.transport} {self.conn.client and self.conn.client.clientid}"

    async def fail(self):
        raise RuntimeError("as it was told")

    async def bye(self):
        await self.conn.send(b"bye\n")
        await self.conn.close()

    async def on_message(self, message):
        await self.conn.send(message.payload + b"\n")

    async def on_close(self, reason):
        await self.conn.raw_publish("gone", reason.encode(), qos=1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    name, listen, adapter = (sys.argv[1:] + [None])[:3]
    Server(globals()[name], listen, adapter=adapter).run()
