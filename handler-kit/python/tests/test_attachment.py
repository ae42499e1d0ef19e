"""What becomes of connections, their commands and their events when streams break."""

import asyncio
import random
import unittest

from exproto_handler.generated import stream_pb2 as pb

from kit import Echo, KitTest, Recorder


class Attachment(KitTest):
    async def test_an_attached_connection_is_as_the_gateway_knows_it(self):
        await self.serve()
        pod = await self.pod()
        lane = await pod.lane()
        device = pod.device(5)
        device.events = [pb.Event(conn=5, seq=1, bytes=b"before")]
        device.commands = [pb.Command(conn=5, seq=1, send=b"BEFORE")]
        device.acknowledged = device.shown = device.done = device.attempt = 1
        device.state, device.client = b"parsed", pb.Client(clientid="c", username="u")
        device.instance = "another"
        await pod.attach(lane, device)
        await pod.happens(device, bytes=b"after")
        await pod.until("it goes on", lambda: device.sent == [b"BEFORE", b"after"])
        conn = self.object(device).conn
        self.assertEqual((conn.id, conn.peer), ("conn-5", ("192.0.2.1", 5)))
        self.assertEqual((conn.listener, conn.transport), ("tcp", "tcp"))
        self.assertEqual((conn.attempt, conn.state, tuple(conn.client)), (2, b"parsed", ("c", "u")))
        await pod.until("it is acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(conn.offset, len(b"before") + len(b"after"))

    async def test_an_object_goes_on_where_its_stream_broke(self):
        pod, lane, device = await self.start()
        await pod.happens(device, bytes=b"1")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        # The answer to 2 is lost on its way; 3 is never shown.
        lane.deaf = True
        await pod.happens(device, bytes=b"2")
        await pod.until("the answer is lost", lambda: lane.batches[-1].acks[0].seq == 2)
        await lane.cut()
        await pod.happens(device, bytes=b"3")
        again = await pod.lane()
        self.assertEqual(again.handler.instance, lane.handler.instance)
        await pod.attach(again, device)
        await pod.until("all is acknowledged", lambda: device.acknowledged == 3)
        self.assertEqual(device.sent, [b"1", b"2", b"3"])
        self.assertEqual(self.seen(device), ["open", b"1", b"2", b"3"])
        # What was lost comes again as it was: in one batch.
        first = again.batches[0]
        self.assertEqual(([c.seq for c in first.commands][0], first.commands[0].send), (2, b"2"))
        self.assertGreaterEqual(first.acks[0].seq, 2)

    async def test_an_acknowledgement_without_commands_is_owed_after_a_break(self):
        pod, lane, device = await self.start(Recorder)
        lane.deaf = True
        await pod.happens(device, bytes=b"1")
        await pod.until("the answer is lost", lambda: lane.batches)
        await lane.cut()
        await pod.attach(await pod.lane(), device)
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual(self.seen(device), ["open", b"1"])

    async def test_acknowledgements_after_the_last_command_are_owed_too(self):
        class First(Recorder):
            async def on_bytes(self, data):
                await self.note(data)
                if data == b"1":
                    await self.conn.send(data)

        pod, lane, device = await self.start(First)
        lane.deaf = True
        await pod.happens(device, bytes=b"1")
        await pod.happens(device, bytes=b"2")
        await pod.until("the answers are lost", lambda: lane.batches and lane.batches[-1].acks[0].seq == 2)
        await lane.cut()
        await pod.attach(await pod.lane(), device)
        await pod.until("both are acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(device.sent, [b"1"])

    async def test_a_callback_may_outlast_its_stream(self):
        class Waits(Echo):
            async def on_bytes(self, data):
                await self.note("waits")
                await self.gate.wait()
                await super().on_bytes(data)

        Waits.gate = asyncio.Event()
        pod, lane, device = await self.start(Waits)
        await pod.all_happen(device, [{"bytes": b"1"}, {"bytes": b"2"}])
        await self.until_seen(pod, device, "open", "waits")
        await lane.cut()
        await pod.attach(await pod.lane(), device)
        Waits.gate.set()
        await pod.until("all is acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(device.sent, [b"1", b"2"])
        self.assertEqual(self.seen(device), ["open", "waits", b"1", "waits", b"2"])

    async def test_a_result_may_come_on_another_stream(self):
        class Login(Recorder):
            async def on_bytes(self, data):
                await self.note(await self.conn.authenticate("c"))

        pod, lane, device = await self.start(Login)
        pod.prompt = False
        await pod.happens(device, bytes=b"login")
        await pod.until("it asks", lambda: len(device.commands) == 1)
        await lane.cut()
        await pod.carry_out(device)
        await pod.attach(await pod.lane(), device)
        await pod.until("all is acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(self.seen(device), ["open", False])

    async def test_an_object_that_was_elsewhere_is_dropped_without_a_word(self):
        pod, lane, device = await self.start()
        await pod.happens(device, bytes=b"1")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        stale = self.object(device)
        await lane.cut()
        device.instance, device.commands, device.done = "another", device.commands + [pb.Command(send=b"X")], 2
        await pod.happens(device, bytes=b"2")
        await pod.attach(await pod.lane(), device)
        await pod.until("it is acknowledged", lambda: device.acknowledged == 2)
        self.assertIsNot(self.object(device), stale)
        self.assertEqual((stale.seen, stale.conn.closed), (["open", b"1"], True))
        self.assertEqual(self.seen(device), ["open", b"2"])
        self.assertEqual(device.sent, [b"1", b"X", b"2"])

    async def test_a_newer_stream_takes_over_from_an_older_one_that_stands(self):
        pod, lane, device = await self.start()
        newer = await pod.lane()
        await pod.attach(newer, device)
        # What the older one brings late is not the device's any more.
        late = pb.Event(conn=1, seq=1, bytes=b"late")
        other = pod.device(2)
        await pod.attach(lane, other)
        await lane.write(pb.GatewayBatch(events=[late]))
        await pod.happens(other, bytes=b"x")
        await pod.until("the older stream was read", lambda: other.acknowledged == 1)
        await pod.happens(device, bytes=b"1")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual(self.seen(device), ["open", b"1"])
        await lane.cut()
        await pod.happens(device, bytes=b"2")
        await pod.until("it goes on", lambda: device.sent == [b"1", b"2"])

    async def test_an_attach_that_is_read_late_is_ignored(self):
        await self.serve()
        pod = await self.pod()
        old, lane = await pod.lane(), await pod.lane()
        device, other = pod.device(1), pod.device(2)
        device.attempt = 1
        await pod.attach(lane, device)
        await pod.happens(device, bytes=b"1")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        late = pb.GatewayBatch(events=[pb.Event(conn=1, seq=2, bytes=b"late")])
        late.attaches.add(conn=1, id="conn-1", attempt=1)
        late.attaches.add(conn=1, id="conn-1", attempt=2, instance="another", acknowledged=1)
        await old.write(late)
        await pod.attach(old, other)
        await pod.happens(other, bytes=b"x")
        await pod.until("the older stream was read", lambda: other.acknowledged == 1)
        await pod.happens(device, bytes=b"2")
        await pod.until("it goes on", lambda: device.sent == [b"1", b"2"])
        self.assertEqual([each.seen for each in self.objects["conn-1"]], [["open", b"1", b"2"]])

    async def test_an_object_goes_on_after_lost_attempts_if_nobody_else_has_acted(self):
        for actor, objects in (("", 1), ("another", 2)):
            with self.subTest(actor):
                self.objects.clear()
                pod, lane, device = await self.start()
                await pod.happens(device, bytes=b"1")
                await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
                await lane.cut()
                device.attempt, device.instance = 2, actor or device.instance
                await pod.attach(await pod.lane(), device)
                await pod.happens(device, bytes=b"2")
                await pod.until("it goes on", lambda: device.sent == [b"1", b"2"])
                self.assertEqual(len(self.objects["conn-1"]), objects)

    async def test_an_object_that_nobody_comes_back_for_is_dropped(self):
        pod, lane, device = await self.start(Echo, {"detached_timeout": 0.05})
        await self.until_seen(pod, device, "open")
        await lane.cut()
        await self.until_seen(pod, device, "open", ("close", "detached"))
        stale = self.object(device)
        await pod.attach(await pod.lane(), device)
        await pod.happens(device, bytes=b"1")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertIsNot(self.object(device), stale)

    async def test_another_epoch_drops_what_is_detached(self):
        pod, lane, device = await self.start()
        await self.until_seen(pod, device, "open")
        await lane.cut()
        restarted = await self.pod(epoch=2)
        await restarted.lane()
        await self.until_seen(pod, device, "open", ("close", "detached"))

    async def test_the_end_is_shown_once_though_its_acknowledgement_was_lost(self):
        class Last(Echo):
            async def on_close(self, reason):
                await super().on_close(reason)
                await self.conn.raw_publish("gone", b"", result=False)

        pod, lane, device = await self.start(Last)
        lane.deaf = True
        await pod.happens(device, closed=pb.Closed(reason="tcp_closed"))
        await pod.until("the answer is lost", lambda: lane.batches)
        await lane.cut()
        await pod.attach(await pod.lane(), device)
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual([command.raw_publish.topic for command in device.commands], ["gone"])
        self.assertEqual([each.seen for each in self.objects["conn-1"]], [["open", ("close", "tcp_closed")]])

    async def test_state_is_kept_with_the_step(self):
        class Counts(Recorder):
            async def on_bytes(self, data):
                count = int(self.conn.state or b"0") + 1
                await self.conn.set_state(b"%d" % count)
                await self.conn.send(b"%d" % count)

        pod, lane, device = await self.start(Counts)
        await pod.happens(device, bytes=b"x")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 1)
        self.assertEqual(device.state, b"1")
        await lane.cut()
        device.instance = "another"
        await pod.attach(await pod.lane(), device)
        await pod.happens(device, bytes=b"x")
        await pod.until("it is acknowledged", lambda: device.acknowledged == 2)
        self.assertEqual(device.sent, [b"1", b"2"])
        with self.assertRaises(ValueError):
            await self.object(device).conn.set_state(bytes(4097))

    async def test_streams_that_break_anywhere_lose_and_double_nothing(self):
        await self.serve(Sluggish)
        pod = await self.pod(max_commands=4)
        devices = await self.break_at_random(pod, [pod.port])
        for device in devices:
            sent = [event.bytes for event in device.events if event.bytes and event.bytes[-2:] != b"0 "]
            expected = b"".join(b"<" + chunk + b">" for chunk in sent)
            self.assertEqual(b"".join(device.sent), expected)
            self.assertEqual(len(self.objects[f"conn-{device.number}"]), 1)

    async def test_connections_that_move_between_processes_lose_and_double_nothing(self):
        ports = [(await self.serve(Counts)).port for _ in range(3)]
        pod = await self.pod(max_commands=4)
        devices = await self.break_at_random(pod, ports)
        for device in devices:
            expected = [b"%d " % number + event.bytes for number, event in enumerate(device.events, 1)]
            self.assertEqual(device.sent, expected)
            self.assertGreater(len(self.objects[f"conn-{device.number}"]), 1)

    async def break_at_random(self, pod, ports):
        """Devices send, while their streams break, and they are attached to streams to any of the processes."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ")
        chance = random.Random(seed)

        async def lane():
            pod.port = chance.choice(ports)
            return await pod.lane()

        devices = [pod.device(number) for number in range(1, 6)]
        lanes = [await lane(), await lane()]
        for device in devices:
            await pod.attach(chance.choice(lanes), device)
        for round_ in range(80):
            for device in devices:
                chunks = [b"%d.%d " % (round_, each) for each in range(chance.randrange(4))]
                await pod.all_happen(device, [{"bytes": chunk} for chunk in chunks])
            if chance.random() < 0.5:
                broken = chance.randrange(2)
                old = lanes[broken]
                old.deaf = chance.random() < 0.7
                await asyncio.sleep(chance.random() / 200)  # not to wait for anything: to break it anywhere
                lost = [device for device in devices if device.lane is old]
                await old.cut()
                lanes[broken] = await lane()
                for device in lost:
                    await pod.attach(chance.choice(lanes), device)
        for device in devices:
            await pod.until("all is acknowledged", lambda d=device: d.acknowledged == len(d.events))
        return devices


class Sluggish(Echo):
    """Takes its time, now and then; sends what comes in pairs of commands, and of some events nothing by itself."""

    async def on_bytes(self, data):
        if data[-2:] == b"0 ":
            return
        await self.conn.send(b"<" + data)
        if data[-2:] == b"1 ":
            await asyncio.sleep(0.001)
        if data[-2:] == b"2 ":
            await self.conn.publish("t", data)
        await self.conn.send(b">")


class Counts(Recorder):
    """Numbers what comes, as far as its state knows."""

    async def on_bytes(self, data):
        count = int(self.conn.state or b"0") + 1
        await self.conn.set_state(b"%d" % count)
        if count % 3 == 0:
            await asyncio.sleep(0.001)
        await self.conn.send(b"%d " % count + data)


if __name__ == "__main__":
    unittest.main()
