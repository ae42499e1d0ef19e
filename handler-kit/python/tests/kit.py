"""What the tests of the stream begin with: a server of the kit, and a pod that calls it."""

import asyncio
import logging
import unittest
from typing import Dict, List, Optional

from exproto_handler import Handler, Server

from pod import DEADLINE, Pod

#: Seconds for one test.
TEST_DEADLINE = 60


class Recorder(Handler):
    """Notes what is shown to it. Tests override what they are about."""

    def __init__(self, conn):
        super().__init__(conn)
        self.seen: List = []
        self.test.objects.setdefault(conn.id, []).append(self)

    test: "KitTest"

    async def on_open(self):
        await self.note("open")

    async def on_bytes(self, data):
        await self.note(data)

    async def on_message(self, message):
        await self.note(message)

    async def on_timer(self):
        await self.note("timer")

    async def on_close(self, reason):
        await self.note(("close", reason))

    async def note(self, what):
        self.seen.append(what)
        await self.test.noted()


class Echo(Recorder):
    """Sends back what comes."""

    async def on_bytes(self, data):
        await self.note(data)
        await self.conn.send(data)


#: grpcio is at home in one event loop of a process only.
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)


class AsyncTest(unittest.TestCase):
    """Tests that are coroutines, on the one event loop."""

    def setUp(self):
        LOOP.run_until_complete(self.begin())

    def tearDown(self):
        LOOP.run_until_complete(self.finish())

    def _callTestMethod(self, method):
        LOOP.run_until_complete(asyncio.wait_for(method(), TEST_DEADLINE))

    async def begin(self):
        """Before each test."""

    async def finish(self):
        """After each test."""


class KitTest(AsyncTest):
    """Serves one class of handlers at a time."""

    async def begin(self):
        #: The objects that were made, by the id of their connection, in the order of their making.
        self.objects: Dict[str, List[Recorder]] = {}
        self.pods: List[Pod] = []
        self.servers: List[Server] = []
        # Callbacks that fail do so on purpose.
        logging.getLogger("exproto_handler").setLevel(logging.CRITICAL)

    async def finish(self):
        for pod in self.pods:
            await pod.end()
        for server in self.servers:
            await asyncio.wait_for(server.stop(), DEADLINE)
        for pod in self.pods:
            self.assertEqual(pod.faults, [])

    async def serve(self, handler=Echo, **settings) -> Server:
        """A server for this class."""
        accept = type(handler.__name__, (handler,), {"test": self})
        server = Server(accept, "127.0.0.1:0", **settings)
        await server.start()
        self.servers.append(server)
        return server

    async def pod(self, server: Optional[Server] = None, **hello) -> Pod:
        """A pod that calls it."""
        pod = Pod((server or self.servers[-1]).port, **hello)
        self.pods.append(pod)
        return pod

    async def start(self, handler=Echo, settings=None, **hello):
        """A server, a pod, a stream, and a device on it."""
        await self.serve(handler, **(settings or {}))
        pod = await self.pod(**hello)
        lane = await pod.lane()
        device = pod.device(1)
        await pod.attach(lane, device)
        return pod, lane, device

    def object(self, device) -> Recorder:
        """The newest object of a device."""
        return self.objects[f"conn-{device.number}"][-1]

    def seen(self, device) -> List:
        """What was shown to it."""
        objects = self.objects.get(f"conn-{device.number}")
        return objects[-1].seen if objects else []

    async def noted(self):
        """An object has been shown something: whoever waits looks again."""
        for pod in self.pods:
            await pod.changed()

    async def until_seen(self, pod, device, *what):
        """Waits until exactly this was shown to the device's newest object."""
        try:
            await pod.until(f"{what} is shown", lambda: self.seen(device) == list(what))
        except AssertionError:
            self.assertEqual(self.seen(device), list(what))
