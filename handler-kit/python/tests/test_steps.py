"""What leaves together, in which order things are shown, and what becomes of failures."""

import asyncio
import unittest

import grpc
from exproto_handler import CommandError, ConnectionClosed, Message
from exproto_handler.generated import exproto_pb2 as v1
from exproto_handler.generated import stream_pb2 as pb

from kit import Echo, KitTest, Recorder


class Steps(KitTest):
    async def test_echoes_in_order(self):
        pod, _, device = await self.start()
        chunks = [b"%d" % number for number in range(500)]
        for chunk in chunks:
            await pod.happens(device, bytes=chunk)
        await pod.until("all is echoed", lambda: device.sent == chunks)
        await pod.until("all is acknowledged", lambda: device.acknowledged == 500)
        self.assertEqual(self.object(device).conn.offset, sum(map(len, chunks)))

    async def test_a_callback_and_its_acknowledgement_are_one_batch(self):
        class Three(Recorder):
            async def on_bytes(self, data):
                for part in (b"a", b"b"):
                    await self.conn.send(part)
                    await asyncio.sleep(0)
                await self.conn.publish("t", data, result=False)

        pod, lane, device = await self.start(Three)
        await pod.happens(device, bytes=b"x")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        (batch,) = [batch for batch in lane.batches if batch.commands or batch.acks]
        self.assertEqual([command.WhichOneof("kind") for command in batch.commands], ["send", "send", "publish"])
        self.assertEqual([command.seq for command in batch.commands], [1, 2, 3])
        self.assertEqual([(ack.conn, ack.seq) for ack in batch.acks], [(1, 1)])

    async def test_a_full_batch_parts_no_step(self):
        await self.serve(max_batch_bytes=4 << 20)
        pod = await self.pod(max_command_bytes=1 << 20)
        lane = await pod.lane()
        # Two of them fill a batch, some of these pairs to its last bytes.
        devices = [pod.device(number) for number in range(1, 31)]
        await pod.attach(lane, *devices)
        events = [pb.Event(conn=device.number, seq=1, bytes=bytes(129_900 + 8 * device.number)) for device in devices]
        for device, event in zip(devices, events):
            device.events.append(event)
            device.shown = 1
        await lane.write(pb.GatewayBatch(events=events))
        await pod.until("all is acknowledged", lambda: all(device.acknowledged for device in devices))
        for batch in lane.batches:
            self.assertEqual({command.conn for command in batch.commands}, {ack.conn for ack in batch.acks})

    async def test_events_of_one_batch_are_acknowledged_at_once(self):
        pod, lane, device = await self.start()
        await pod.all_happen(device, [{"bytes": b"%d" % number} for number in range(10)])
        await pod.until("all is acknowledged", lambda: device.acknowledged == 10)
        self.assertEqual([len(batch.acks) for batch in lane.batches if batch.acks], [1])

    async def test_results_overtake_the_callback_that_waits_for_them(self):
        class Login(Recorder):
            async def on_bytes(self, data):
                await self.conn.send(b"wait")
                await self.note(await self.conn.authenticate("c1", password="secret", session_expiry=9))
                await self.conn.send(b"welcome")

        pod, lane, device = await self.start(Login)
        pod.prompt = False
        await pod.all_happen(device, [{"bytes": b"login"}, {"bytes": b"more"}])
        await pod.until("it asks", lambda: len(device.commands) == 2)
        self.assertEqual(device.acknowledged, 0)
        asked = device.commands[1].authenticate
        self.assertEqual((asked.clientinfo.clientid, asked.password, asked.session_expiry), ("c1", "secret", 9))
        # Of the second event, which waits, nothing may be seen yet.
        await pod.happens(device, result=pb.Result(command=2, session_present=True))
        await pod.until("it goes on", lambda: device.sent == [b"wait", b"welcome", b"wait"])
        self.assertEqual((self.object(device).conn.client.clientid, device.acknowledged), ("c1", 1))
        await pod.happens(device, result=pb.Result(command=5))
        await pod.until("all is acknowledged", lambda: device.acknowledged == 4)
        self.assertEqual(self.seen(device), ["open", True, False])

    async def test_a_refusal_is_an_error_with_its_code(self):
        class Subscriber(Recorder):
            async def on_bytes(self, data):
                try:
                    await self.conn.subscribe("secret/#")
                except CommandError as error:
                    await self.note((error.code, error.message))

        pod, _, device = await self.start(Subscriber)
        pod.prompt = False
        await pod.happens(device, bytes=b"x")
        await pod.until("it asks", lambda: len(device.commands) == 1)
        await pod.carry_out(device, v1.PERMISSION_DENY, "a rule says no")
        await self.until_seen(pod, device, "open", ("PERMISSION_DENY", "a rule says no"))

    async def test_a_failure_closes_its_connection_and_no_other(self):
        class Fails(Echo):
            async def on_bytes(self, data):
                await self.conn.send(b"bad frame")
                if data == b"bad":
                    raise ValueError("no such frame")

        pod, lane, device = await self.start(Fails)
        other = pod.device(2)
        await pod.attach(lane, other)
        await pod.all_happen(device, [{"bytes": b"bad"}, {"bytes": b"more"}])
        await pod.until("it fails", lambda: device.acknowledged == 2)
        self.assertEqual(device.error, "on_bytes: ValueError: no such frame")
        self.assertEqual(device.sent, [b"bad frame"])
        await pod.happens(other, bytes=b"good")
        await pod.until("the other goes on", lambda: other.acknowledged == 1)
        await pod.happens(device, closed=pb.Closed(reason="handler_error"))
        await self.until_seen(pod, device, "open", ("close", "handler_error"))
        await pod.until("its end is acknowledged", lambda: device.acknowledged == 3)
        self.assertEqual(other.error, "")

    async def test_on_open_may_fail(self):
        class Fails(Echo):
            async def on_open(self):
                raise KeyError("no such device")

        pod, _, device = await self.start(Fails)
        await pod.until("it fails", lambda: device.error)
        self.assertEqual(device.error, "on_open: KeyError: 'no such device'")
        await pod.happens(device, bytes=b"x")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual(self.seen(device), [])

    async def test_a_connection_waits_for_no_other(self):
        class Waits(Echo):
            gate = asyncio.Event()

            async def on_bytes(self, data):
                if self.conn.id == "conn-1":
                    await self.gate.wait()
                await super().on_bytes(data)

        Waits.gate = asyncio.Event()
        pod, lane, device = await self.start(Waits)
        other = pod.device(2)
        await pod.attach(lane, other)
        await pod.all_happen(device, [{"bytes": b"1"}, {"bytes": b"2"}])
        await pod.happens(other, bytes=b"3")
        await pod.until("the other is echoed", lambda: other.sent == [b"3"])
        self.assertEqual(device.sent, [])
        Waits.gate.set()
        await pod.until("it goes on", lambda: device.sent == [b"1", b"2"])

    async def test_commands_from_outside_leave_at_once(self):
        class Waits(Recorder):
            async def on_bytes(self, data):
                await self.conn.send(b"inside")
                await self.note("waits")
                await self.gate.wait()

        Waits.gate = asyncio.Event()
        pod, _, device = await self.start(Waits)
        await pod.happens(device, bytes=b"x")
        await self.until_seen(pod, device, "open", "waits")
        await self.object(device).conn.send(b"outside")
        await pod.until("it is there", lambda: device.sent == [b"outside"])
        self.object(device).conn.flush()
        await pod.until("the step is flushed", lambda: device.sent == [b"outside", b"inside"])
        Waits.gate.set()
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)

    async def test_tasks_of_a_callback_belong_to_its_step(self):
        class Gathers(Recorder):
            async def on_bytes(self, data):
                await self.conn.send(b"first")
                await asyncio.gather(*(self.conn.publish("t", b"%d" % number) for number in range(3)))
                await asyncio.wait_for(self.conn.send(b"last"), 9)

        pod, lane, device = await self.start(Gathers)
        await pod.happens(device, bytes=b"x")
        await pod.until("it is acknowledged", lambda: device.acknowledged >= 1)
        self.assertEqual(device.commands[0].send, b"first")
        last = next(batch for batch in lane.batches if batch.acks)
        self.assertEqual([command.send for command in last.commands], [b"last"])

    async def test_a_large_step_is_split(self):
        class Large(Recorder):
            async def on_bytes(self, data):
                for number in range(5):
                    await self.conn.send(bytes([number]) * 60_000)

        pod, lane, device = await self.start(Large, max_command_bytes=1 << 20)
        await pod.happens(device, bytes=b"x")
        await pod.until("all is sent", lambda: device.acknowledged == 1)
        self.assertEqual([data[0] for data in device.sent], [0, 1, 2, 3, 4])
        self.assertGreater(len(lane.batches), 1)

    async def test_a_command_that_no_batch_can_hold_is_an_error(self):
        class Large(Recorder):
            async def on_bytes(self, data):
                await self.conn.send(bytes(300_000))

        pod, _, device = await self.start(Large)
        await pod.happens(device, bytes=b"x")
        await pod.until("it fails", lambda: device.error)
        self.assertIn("the gateway takes at most", device.error)

    async def test_messages_and_timers_are_shown(self):
        pod, _, device = await self.start()
        message = v1.Message(topic="t", payload=b"p", qos=1, id="7", node="pod", timestamp=5, **{"from": "c"})
        await pod.happens(device, messages=pb.Messages(messages=[message, message]))
        await pod.happens(device, timer_timeout=pb.TimerTimeout())
        # A kind that nobody knows yet looks like none.
        await pod.happens(device)
        await pod.until("all is acknowledged", lambda: device.acknowledged == 3)
        expected = Message(topic="t", payload=b"p", qos=1, sender="c", id="7", node="pod", timestamp=5)
        self.assertEqual(self.seen(device), ["open", expected, expected, "timer"])

    async def test_the_end_frees_who_waits_for_a_result(self):
        class Waits(Recorder):
            async def on_bytes(self, data):
                try:
                    await self.conn.subscribe("t")
                except ConnectionClosed:
                    await self.note("freed")
                    await self.conn.send(b"into the void")
                    raise

            async def on_close(self, reason):
                await super().on_close(reason)
                await self.conn.raw_publish("gone", self.conn.id.encode())

        pod, _, device = await self.start(Waits)
        pod.prompt = False
        await pod.happens(device, bytes=b"x")
        await pod.until("it asks", lambda: len(device.commands) == 1)
        await pod.happens(device, closed=pb.Closed(reason="tcp_closed"))
        await pod.until("its end is acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(self.seen(device), ["open", "freed", ("close", "tcp_closed")])
        self.assertEqual((device.error, device.sent), ("", []))
        self.assertEqual(device.commands[-1].raw_publish.topic, "gone")


class Going(KitTest):
    async def test_stop_lets_callbacks_return_and_ends_the_streams(self):
        class Waits(Recorder):
            async def on_bytes(self, data):
                await self.conn.publish("t", data)
                await self.note("published")
                await self.gate.wait()
                await self.conn.send(data)

        Waits.gate = asyncio.Event()
        pod, lane, device = await self.start(Waits)
        await pod.all_happen(device, [{"bytes": b"1"}, {"bytes": b"2"}])
        await self.until_seen(pod, device, "open", "published")
        # What the pod said to a stream that has just ended would be an error of its own.
        pod.prompt = False
        server = self.servers.pop()
        stopped = asyncio.create_task(server.stop())
        while not server._table.going:
            await asyncio.sleep(0)
        Waits.gate.set()
        self.assertEqual(await lane.ended(), grpc.StatusCode.OK, lane.details)
        await stopped
        # The second event was not begun: it is for whoever comes next.
        self.assertEqual((device.sent, device.acknowledged), ([b"1"], 1))
        self.assertEqual(lane.batches[-1].goodbye.reason, "the handler is about to go")
        self.assertEqual(self.seen(device), ["open", "published", ("close", "detached")])

    async def test_stop_cuts_off_a_callback_that_does_not_return(self):
        class Hangs(Recorder):
            async def on_bytes(self, data):
                await self.note("hangs")
                await asyncio.Event().wait()

        pod, lane, device = await self.start(Hangs, {"grace": 0.05})
        await pod.happens(device, bytes=b"x")
        await self.until_seen(pod, device, "open", "hangs")
        await self.servers.pop().stop()
        self.assertEqual(await lane.ended(), grpc.StatusCode.OK, lane.details)
        self.assertEqual((device.acknowledged, device.error), (0, ""))


if __name__ == "__main__":
    unittest.main()
