"""Credits, signs of life, faults, and what is served besides."""

import asyncio
import unittest

import grpc
from exproto_handler import Handler, Server
from exproto_handler.generated import stream_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kit import DEADLINE, Echo, KitTest, Recorder


class Credits(KitTest):
    async def test_commands_wait_for_credits(self):
        class Floods(Recorder):
            async def on_bytes(self, data):
                for number in range(20):
                    await self.conn.send(b"%d" % number)

        pod, _, device = await self.start(Floods, max_commands=8)
        pod.prompt = False
        await pod.happens(device, bytes=b"x")
        await pod.until("the credits are used up", lambda: len(device.commands) == 8)
        # The pod looks at each batch: more than that would be a fault.
        for count in (16, 20):
            await pod.carry_out(device)
            await pod.until("it goes on", lambda c=count: len(device.commands) == c)
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual(device.sent, [b"%d" % number for number in range(20)])

    async def test_bytes_wait_for_credits_and_one_command_may_be_larger(self):
        class Floods(Recorder):
            async def on_bytes(self, data):
                await self.conn.send(bytes(100_000))
                for _ in range(3):
                    await self.conn.send(bytes(30_000))

        pod, _, device = await self.start(Floods, max_command_bytes=64 * 1024)
        pod.prompt = False
        await pod.happens(device, bytes=b"x")
        for count in (1, 3, 4):
            await pod.until("it goes on", lambda c=count: len(device.commands) == c)
            await pod.carry_out(device)
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)

    async def test_many_tasks_may_wait_for_credits(self):
        pod, _, device = await self.start(Recorder, max_commands=4)
        await self.until_seen(pod, device, "open")
        conn = self.object(device).conn
        await asyncio.gather(*(conn.send(b"%d" % number) for number in range(200)))
        await pod.until("all is there", lambda: len(device.commands) == 200)
        self.assertEqual(device.sent, [b"%d" % number for number in range(200)])

    async def test_what_an_earlier_process_left_to_do_uses_credits(self):
        await self.serve(Echo)
        pod = await self.pod(max_commands=8, max_command_bytes=1000)
        lane = await pod.lane()
        device = pod.device(1)
        device.commands = [pb.Command(seq=number, send=bytes(300)) for number in (1, 2)]
        device.instance, device.attempt = "another", 1
        pod.prompt = False
        await pod.attach(lane, device)
        await pod.happens(device, bytes=bytes(500))
        await self.until_seen(pod, device, "open", bytes(500))
        self.assertEqual(len(device.commands), 2)
        await pod.carry_out(device)
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual(len(device.commands), 3)

    async def test_the_end_frees_who_waits_for_credits(self):
        class Floods(Recorder):
            async def on_bytes(self, data):
                for _ in range(5):
                    await self.conn.send(b"x")
                await self.note("freed")

        pod, _, device = await self.start(Floods, max_commands=2)
        pod.prompt = False
        await pod.happens(device, bytes=b"x")
        await pod.until("the credits are used up", lambda: len(device.commands) == 2)
        await pod.happens(device, closed=pb.Closed(reason="tcp_closed"))
        await pod.until("all is acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(self.seen(device), ["open", "freed", ("close", "tcp_closed")])


class Streams(KitTest):
    async def test_says_hello(self):
        _, lane, _ = await self.start(Echo, {"max_events": 7, "max_event_bytes": 9_000})
        hello = lane.handler
        self.assertEqual((hello.version, hello.max_events, hello.max_event_bytes), (1, 7, 9_000))
        self.assertEqual(hello.library, "exproto-handler-python/0.1.0")
        self.assertTrue(1 <= len(hello.instance) <= 64)

    async def test_gives_signs_of_life_and_wants_some(self):
        pod, lane, _ = await self.start(heartbeat_ms=50)
        beats = asyncio.create_task(self.beat(lane))
        await pod.until("signs of life", lambda: sum(1 for batch in lane.batches if batch.heartbeat) >= 5)
        self.assertIsNone(lane.status)
        # Not cancelled: grpcio would cancel the call along with a write.
        self.beating = False
        await beats
        self.assertEqual(await lane.ended(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertIn("nothing was heard", lane.details)

    async def beat(self, lane):
        number, self.beating = 0, True
        while self.beating:
            number += 1
            await lane.write(pb.GatewayBatch(heartbeat=number))
            await asyncio.sleep(0.02)

    async def test_faults_of_the_stream_end_it(self):
        pod, lane, _ = await self.start()
        await lane.write(pb.GatewayBatch(hello=pod.hello))
        self.assertEqual(await lane.ended(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(lane.details, "hello came a second time")

        async def refused(**fields):
            with self.assertRaises(grpc.RpcError) as caught:
                hello = pb.GatewayHello()
                hello.CopyFrom(pod.hello)
                for name, value in fields.items():
                    setattr(hello, name, value)
                await pod.lane(hello)
            pod.lanes.pop()
            return caught.exception.code(), caught.exception.details()

        code, details = await refused(version=0)
        self.assertEqual(code, grpc.StatusCode.FAILED_PRECONDITION)
        self.assertIn("hello.version is 0", details)
        code, details = await refused(max_commands=0)
        self.assertEqual((code, details), (grpc.StatusCode.INVALID_ARGUMENT, "hello.max_commands is 0"))
        # A newer pod speaks the lower version.
        newer = pb.GatewayHello()
        newer.CopyFrom(pod.hello)
        newer.version = 9
        self.assertEqual((await pod.lane(newer)).handler.version, 1)

    async def test_a_gap_in_the_events_closes_the_connection(self):
        pod, lane, device = await self.start()
        await self.until_seen(pod, device, "open")
        await lane.write(pb.GatewayBatch(events=[pb.Event(conn=1, seq=3, bytes=b"x")]))
        await pod.until("it fails", lambda: device.error)
        self.assertEqual(device.error, "event 3 came after 0")

    async def test_health_is_served(self):
        server = await self.serve()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for service in ("", "exproto.stream.v1.ConnectionStream"):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
                self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)
            watch = health.Watch(health_pb2.HealthCheckRequest())
            self.assertEqual((await watch.read()).status, health_pb2.HealthCheckResponse.SERVING)
            stopped = asyncio.create_task(self.servers.pop().stop())
            self.assertEqual((await watch.read()).status, health_pb2.HealthCheckResponse.NOT_SERVING)
            # A watch does not hold up the end for `grace`.
            await asyncio.wait_for(stopped, 5)

    async def test_a_port_that_is_taken_is_an_error(self):
        server = await self.serve()
        with self.assertRaisesRegex(OSError, f"cannot listen on 127.0.0.1:{server.port}"):
            await Server(Echo, f"127.0.0.1:{server.port}").start()

    async def test_what_cannot_be_a_handler_is_an_error(self):
        with self.assertRaisesRegex(TypeError, "on_bytes must be an 'async def'"):
            class Plain(Handler):
                def on_bytes(self, data):
                    pass

    async def test_the_stream_is_served_beside_the_unary_service(self):
        pod, _, device = await self.start(Echo, {"adapter": "127.0.0.1:1"})
        await pod.happens(device, bytes=b"x")
        await pod.until("it is echoed", lambda: device.sent == [b"x"])


if __name__ == "__main__":
    unittest.main()
