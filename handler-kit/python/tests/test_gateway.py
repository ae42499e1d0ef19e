"""End to end: the real gateway, named by EXPROTO_GATEWAY, with handlers of the kit as processes."""

import asyncio
import random
import signal
import unittest

from kit import AsyncTest
from world import GATEWAY, Proxy, World


class GatewayTest(AsyncTest):
    """A gateway and a handler for each test."""

    service = ""
    settings = {}

    async def begin(self):
        self.world = None

    async def finish(self):
        if self.world is not None:
            await self.world.end()

    def _callTestMethod(self, method):
        try:
            super()._callTestMethod(method)
        except BaseException:
            for program in (self.world.gateway, self.world.handler):
                print("\n".join(program.lines[-60:] if program else []))
            raise

    async def start(self, handler="Chat", framing="line"):
        self.world = World(self.service, handler, framing, **self.settings)
        await self.world.start()
        return self.world


class Everywhere:
    """What holds with both services."""

    async def test_the_example_echoes(self):
        world = await self.start("examples/echo.py", "none")
        device = await world.device()
        chunks = [b"%d\n" % number * number for number in range(200)]
        for chunk in chunks:
            device.send(chunk)
        everything = b"".join(chunks)
        self.assertEqual(await device.read(len(everything)), everything)
        await world.handler.says("connected: 127.0.0.1 port")
        await device.close()
        await world.handler.says("closed: tcp_closed")

    async def test_clients_talk_to_each_other(self):
        world = await self.start()
        one, two = await world.device(), await world.device()
        self.assertEqual(await one.ask("pub a x"), "PERMISSION_DENY")
        self.assertEqual(await one.ask("login one"), "new")
        self.assertEqual(await two.ask("login two"), "new")
        self.assertEqual(await one.ask("who"), "tcp tcp one")
        self.assertEqual(await two.ask("sub news/+"), "ok")
        self.assertEqual(await one.ask("pub news/a hello"), "ok")
        self.assertEqual(await two.line(), "hello")
        self.assertEqual(await one.ask("raw news/b there"), "ok")
        self.assertEqual(await two.line(), "there")
        self.assertEqual(await two.ask("unsub news/+"), "ok")
        self.assertEqual(await one.ask("pub news/a unheard"), "ok")
        self.assertEqual(await two.ask("timer 60"), "ok")
        self.assertEqual(await two.ask("timer 0"), "PARAMS_TYPE_ERROR")

    async def test_a_session_is_there_again(self):
        world = await self.start()
        device = await world.device()
        self.assertEqual(await device.ask("login one"), "new")
        self.assertEqual(await device.ask("sub t"), "ok")
        await device.close()
        other = await world.device()
        self.assertEqual(await other.ask("login other"), "new")
        self.assertEqual(await other.ask("raw t kept"), "ok")
        again = await world.device()
        again.send(b"login one\n")
        self.assertEqual(sorted([await again.line(), await again.line()]), ["kept", "present"])

    async def test_a_failure_closes_its_connection_alone(self):
        world = await self.start()
        one, two = await world.device(), await world.device()
        self.assertEqual(await two.ask("who"), "tcp tcp None")
        one.send(b"fail\n")
        self.assertEqual(await one.ends(), b"")
        self.assertEqual(await two.ask("bye"), "bye")
        self.assertEqual(await two.ends(), b"")

    async def test_the_end_may_publish(self):
        world = await self.start()
        one, two = await world.device(), await world.device()
        self.assertEqual(await one.ask("login one"), "new")
        self.assertEqual(await one.ask("sub gone"), "ok")
        self.assertEqual(await two.ask("login two"), "new")
        await two.close()
        self.assertEqual(await one.line(), "tcp_closed")

    async def test_a_thousand_connections(self):
        world = await self.start("Echo", "none")
        devices = await asyncio.gather(*(world.device() for _ in range(1000)))

        async def talk(number, device):
            for round_ in range(5):
                text = b"%d of %d\n" % (round_, number)
                device.send(text)
                self.assertEqual(await device.read(len(text)), text)

        await asyncio.gather(*(talk(*each) for each in enumerate(devices)))
        await asyncio.gather(*(device.close() for device in devices))


@unittest.skipUnless(GATEWAY, "EXPROTO_GATEWAY is not set")
class Unary(Everywhere, GatewayTest):
    service = "ConnectionUnaryHandler"
    settings = {"on_handler_loss": "rebind"}

    async def test_a_device_stays_while_its_handler_restarts(self):
        # The first callback may be without an answer yet as the handler is killed: then it comes again.
        self.settings = {"on_handler_loss": "rebind", "retry_unacknowledged": True}
        world = await self.start()
        device = await world.device()
        self.assertEqual(await device.ask("count"), "1 1")
        await world.handler.kill()
        await world.start_handler()
        # What the unary service knows of a connection does not outlive the handler.
        self.assertEqual(await device.ask("count"), "1 2")

    async def test_who_is_not_known_any_more_is_closed(self):
        self.settings = {"on_handler_loss": "close"}
        world = await self.start()
        device = await world.device()
        self.assertEqual(await device.ask("count"), "1 1")
        await world.handler.kill()
        self.assertEqual(await device.ends(), b"")


@unittest.skipUnless(GATEWAY, "EXPROTO_GATEWAY is not set")
class Stream(Everywhere, GatewayTest):
    service = "ConnectionStream"

    async def echoes(self, devices, disturb):
        """The devices send all the time, while something disturbs; each must get back just what it has sent."""
        done = asyncio.Event()

        async def talk(number, device):
            sent = bytearray()
            received = bytearray()

            async def read():
                while not done.is_set() or len(received) < len(sent):
                    data = await device.reader.read(1 << 16)
                    self.assertNotEqual(data, b"", "the device was closed")
                    received.extend(data)
                    self.assertEqual(bytes(sent[: len(received)]), bytes(received))

            reading = asyncio.ensure_future(read())
            count = 0
            while not done.is_set() or len(received) == len(sent):
                text = b"%d.%d " % (number, count)
                sent.extend(text)
                device.send(text)
                await device.writer.drain()
                await asyncio.sleep(0.002)  # not to wait for anything: a device's pace
                count += 1
            await asyncio.wait_for(reading, 30)
            return count

        talking = [asyncio.ensure_future(talk(*each)) for each in enumerate(devices)]
        disturbing = asyncio.ensure_future(disturb())
        finished, _ = await asyncio.wait([disturbing, *talking], return_when=asyncio.FIRST_COMPLETED)
        done.set()
        for each in finished:
            each.result()
        self.assertTrue(disturbing.done())
        counts = await asyncio.gather(*talking)
        self.assertGreater(min(counts), 10)

    async def several_devices(self, world):
        return [await world.device() for _ in range(5)]

    async def test_a_killed_handler_loses_and_doubles_nothing(self):
        world = await self.start("Echo", "none")
        devices = await self.several_devices(world)

        async def disturb():
            for _ in range(5):
                await asyncio.sleep(random.random() / 4)  # not to wait for anything: to kill it anywhere
                await world.handler.kill()
                await world.start_handler()
            await self.all_echo(world)

        await self.echoes(devices, disturb)

    async def test_a_handler_that_goes_in_order_loses_and_doubles_nothing(self):
        world = await self.start("Echo", "none")
        devices = await self.several_devices(world)

        async def disturb():
            for _ in range(5):
                await asyncio.sleep(random.random() / 4)  # not to wait for anything: to end it anywhere
                self.assertEqual(await world.handler.kill(signal.SIGTERM), 0)
                await world.start_handler()
            await self.all_echo(world)

        await self.echoes(devices, disturb)

    async def test_streams_that_break_lose_and_double_nothing(self):
        self.world = world = World(self.service, "Echo", "none", **self.settings)
        proxy = Proxy(world.handler_port)
        world.handler_address = await proxy.start()
        await world.start()
        devices = await self.several_devices(world)

        async def disturb():
            for _ in range(20):
                await proxy.break_after(random.randrange(1, 5000))
            await self.all_echo(world)

        try:
            await self.echoes(devices, disturb)
        finally:
            await proxy.end()
        text = "\n".join(world.handler.lines)
        self.assertNotIn("Traceback", text)

    async def all_echo(self, world):
        """A device that comes now is served."""
        device = await world.device()
        device.send(b"now")
        self.assertEqual(await device.read(3), b"now")

    async def test_what_is_published_without_a_result_comes_once(self):
        world = await self.start()
        one, two = await world.device(), await world.device()
        self.assertEqual(await two.ask("login two"), "new")
        self.assertEqual(await two.ask("sub t"), "ok")
        self.assertEqual(await one.ask("login one"), "new")
        expected = [str(number) for number in range(600)]

        async def tell():
            for number in expected:
                one.send(f"tell t {number}\n".encode())
                await asyncio.sleep(0.002)  # not to wait for anything: a device's pace

        telling = asyncio.ensure_future(tell())
        for _ in range(3):
            await asyncio.sleep(random.random() / 4)  # not to wait for anything: to kill it anywhere
            await world.handler.kill()
            await world.start_handler()
        await telling
        self.assertEqual([await two.line() for _ in expected], expected)

    async def test_state_and_client_outlive_the_handler(self):
        world = await self.start()
        device = await world.device()
        self.assertEqual(await device.ask("login one"), "new")
        self.assertEqual(await device.ask("count"), "1 1")
        await world.handler.kill()
        await world.start_handler()
        count, attempt = (await device.ask("count")).split(" ")
        # The gateway may have tried to attach it to the process that was just gone.
        self.assertEqual((count, int(attempt) > 1), ("2", True))
        self.assertEqual(await device.ask("who"), "tcp tcp one")


if __name__ == "__main__":
    unittest.main()
