"""The same objects behind EMQX's services: a gateway's callbacks, and an adapter that notes its calls."""

import asyncio
import contextlib
import unittest

import grpc
from exproto_handler import Adapter, CommandError
from exproto_handler.generated import exproto_pb2 as v1
from exproto_handler.generated import exproto_pb2_grpc as rpc

from kit import DEADLINE, Echo, KitTest, Recorder

ID = "conn-1"


class Calls(rpc.ConnectionAdapterServicer):
    """An adapter: notes what it is called with, and answers as it is told."""

    def __init__(self):
        self.calls = []
        self.metadata = []
        self.answers = {}

    async def answer(self, method, request, context):
        self.calls.append((method, request))
        self.metadata.append(dict(context.invocation_metadata()))
        if method == "Authenticate":
            context.set_trailing_metadata([("exproto-session-present", "true")])
        await asyncio.sleep(0)
        return v1.CodeResponse(**self.answers.get(method, {}))


def _method(name):
    async def method(self, request, context):
        return await self.answer(name, request, context)

    return method


for _name in ("Send", "Close", "Authenticate", "StartTimer", "Publish", "Subscribe", "Unsubscribe", "RawPublish"):
    setattr(Calls, _name, _method(_name))


class Unary(KitTest):
    async def begin(self):
        await super().begin()
        self.calls = Calls()
        self.adapter = grpc.aio.server()
        rpc.add_ConnectionAdapterServicer_to_server(self.calls, self.adapter)
        self.adapter_port = self.adapter.add_insecure_port("127.0.0.1:0")
        await self.adapter.start()
        self.channel = None

    async def finish(self):
        if self.channel is not None:
            await self.channel.close()
        await super().finish()
        await self.adapter.stop(None)
        del self.adapter

    async def gateway(self, handler=Echo):
        """What the gateway calls, once it has said that a device is there."""
        address = f"127.0.0.1:{self.adapter_port}"
        server = await self.serve(handler, adapter=Adapter(address, token="secret"))
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        stub = rpc.ConnectionUnaryHandlerStub(self.channel)
        await self.created(stub)
        return stub

    async def created(self, stub, **metadata):
        known = {"exproto-listener": "tcp", "exproto-transport": "tls", "exproto-attempt": "1", "exproto-offset": "0",
                 "exproto-tls-sni": "example.net", **metadata}
        conninfo = v1.ConnInfo(peername=v1.Address(host="192.0.2.1", port=5))
        request = v1.SocketCreatedRequest(conn=ID, conninfo=conninfo)
        await stub.OnSocketCreated(request, metadata=list(known.items()), timeout=DEADLINE)

    def last(self):
        return self.objects[ID][-1]

    async def test_events_and_commands_take_their_turns(self):
        class Commands(Recorder):
            async def on_bytes(self, data):
                conn = self.conn
                await self.note((data, conn.offset))
                await asyncio.gather(*(conn.send(b"%d" % number) for number in range(10)))
                await self.note(await conn.authenticate("c", password="p", session_expiry=60))
                await conn.start_timer(30)
                await conn.subscribe("down/#", qos=1)
                await conn.publish("up", b"x", qos=1, retain=True)
                await conn.raw_publish("raw", b"y")
                await conn.unsubscribe("down/#")
                await conn.close()

        gateway = await self.gateway(Commands)
        conn = self.last().conn
        self.assertEqual((conn.listener, conn.transport, conn.peer), ("tcp", "tls", ("192.0.2.1", 5)))
        self.assertEqual(conn.details, (("exproto-tls-sni", b"example.net"),))
        self.assertEqual((conn.detail("exproto-tls-sni"), conn.detail("exproto-cert-san")), (b"example.net", None))
        await gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn=ID, bytes=b"x"), metadata=[("exproto-offset", "7")])
        methods = [method for method, _ in self.calls.calls]
        self.assertEqual(methods, ["Send"] * 10 + ["Authenticate", "StartTimer", "Subscribe", "Publish", "RawPublish",
                                                   "Unsubscribe", "Close"])
        self.assertEqual([call.bytes for _, call in self.calls.calls[:10]], [b"%d" % number for number in range(10)])
        self.assertTrue(all(metadata["authorization"] == "Bearer secret" for metadata in self.calls.metadata))
        self.assertEqual(self.calls.metadata[10]["exproto-session-expiry"], "60")
        self.assertEqual(self.calls.metadata[13]["exproto-retain"], "true")
        await gateway.OnTimerTimeout(v1.TimerTimeoutRequest(conn=ID))
        await gateway.OnReceivedMessages(v1.ReceivedMessagesRequest(conn=ID, messages=[v1.Message(topic="t")]))
        await gateway.OnSocketClosed(v1.SocketClosedRequest(conn=ID, reason="normal"))
        seen = self.last().seen
        self.assertEqual(seen[:4], ["open", (b"x", 7), True, "timer"])
        self.assertEqual((seen[4].topic, seen[5]), ("t", ("close", "normal")))

    async def test_refusals_are_errors_and_a_send_that_fails_closes(self):
        class Refused(Recorder):
            async def on_bytes(self, data):
                try:
                    await self.conn.publish("t", data)
                except CommandError as error:
                    await self.note((error.code, error.message))
                await self.conn.send(data)

        gateway = await self.gateway(Refused)
        self.calls.answers = {
            "Publish": {"code": v1.PERMISSION_DENY, "message": "a rule says no"},
            "Send": {"code": v1.PARAMS_TYPE_ERROR, "message": "too large"},
        }
        await gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn=ID, bytes=b"x"))
        self.assertEqual(self.last().seen[1:], [("PERMISSION_DENY", "a rule says no")])
        self.assertEqual([method for method, _ in self.calls.calls], ["Publish", "Send", "Close"])

    async def test_an_adapter_that_is_away_is_an_error(self):
        class Asks(Recorder):
            async def on_bytes(self, data):
                with contextlib.suppress(CommandError):
                    await self.conn.subscribe("t")
                    await self.note("subscribed")
                await self.note("refused")

        gateway = await self.gateway(Asks)
        await self.adapter.stop(None)
        await gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn=ID, bytes=b"x"))
        self.assertEqual(self.last().seen[1:], ["refused"])

    async def test_a_failure_answers_an_error(self):
        class Fails(Recorder):
            async def on_bytes(self, data):
                raise ValueError("no such frame")

        gateway = await self.gateway(Fails)
        with self.assertRaises(grpc.aio.AioRpcError) as caught:
            await gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn=ID, bytes=b"x"))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INTERNAL)
        self.assertEqual(caught.exception.details(), "ValueError: no such frame")

    async def test_who_is_not_known_is_an_error_but_at_the_end(self):
        gateway = await self.gateway()
        with self.assertRaises(grpc.aio.AioRpcError) as caught:
            await gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn="conn-2", bytes=b"x"))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        await gateway.OnSocketClosed(v1.SocketClosedRequest(conn="conn-2", reason="normal"))

    async def test_an_introduction_makes_a_new_object(self):
        gateway = await self.gateway()
        await self.last().conn.set_state(b"parsed")
        self.assertEqual(self.last().conn.state, b"parsed")
        await self.created(gateway, **{"exproto-attempt": "2", "exproto-offset": "9"})
        old, new = self.objects[ID]
        self.assertEqual((old.seen, old.conn.closed), (["open"], True))
        self.assertEqual((new.conn.attempt, new.conn.offset, new.conn.state), (2, 9, b""))
        await gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn=ID, bytes=b"x"))
        self.assertEqual(new.seen, ["open", b"x"])

    async def test_callbacks_in_flight_return_before_the_end(self):
        class Waits(Recorder):
            async def on_bytes(self, data):
                await self.note("waits")
                await self.gate.wait()

        Waits.gate = asyncio.Event()
        gateway = await self.gateway(Waits)
        call = asyncio.ensure_future(gateway.OnReceivedBytes(v1.ReceivedBytesRequest(conn=ID, bytes=b"x")))
        while self.last().seen != ["open", "waits"]:
            await asyncio.sleep(0)
        stopped = asyncio.create_task(self.servers.pop().stop())
        await asyncio.sleep(0)
        Waits.gate.set()
        await asyncio.wait_for(stopped, DEADLINE)
        await call


if __name__ == "__main__":
    unittest.main()
