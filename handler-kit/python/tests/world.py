"""What the tests end to end run: the gateway, handlers as processes, devices, and a proxy that breaks connections."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import List, Optional

from pod import DEADLINE

GATEWAY = os.environ.get("EXPROTO_GATEWAY")
TESTS = Path(__file__).resolve().parent

_given = set()


def free_port() -> int:
    """A port that nobody listens on, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


async def within(what: str, awaitable, seconds: float = DEADLINE):
    """Waits for it, and says what did not come."""
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except asyncio.TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


class Program:
    """A process, and the lines that it writes."""

    def __init__(self, process: asyncio.subprocess.Process):
        self.process = process
        self.lines: List[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, *arguments):
        """Starts it. What it writes to either stream is read."""
        return cls(await asyncio.create_subprocess_exec(
            *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 20,
        ))

    async def _read(self):
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().rstrip())
                self._changed.notify_all()

    async def says(self, text: str) -> str:
        """The first line with this text."""
        async def wait():
            async with self._changed:
                await self._changed.wait_for(lambda: any(text in line for line in self.lines))

        try:
            await asyncio.wait_for(wait(), DEADLINE)
        except asyncio.TimeoutError:
            raise AssertionError("\n".join([f"never says {text!r}:", *self.lines])) from None
        return next(line for line in self.lines if text in line)

    async def kill(self, number: int = signal.SIGKILL) -> int:
        """Sends it a signal, and waits for its end."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), DEADLINE)
        except asyncio.TimeoutError:
            self.process.kill()
            raise AssertionError("\n".join(["does not end:", *self.lines])) from None
        await self._reader
        return self.process.returncode


class World:
    """One gateway, and one handler at a time, on ports of their own."""

    def __init__(self, service: str, handler: str, framing: str, **settings):
        self.service = service
        self.handler_class = handler
        self.handler_port = free_port()
        self.adapter_port = free_port()
        #: Where the gateway finds the handler, if not there itself.
        self.handler_address = self.handler_port
        self.framing = framing
        self.settings = settings
        self.handler: Optional[Program] = None
        self.gateway: Optional[Program] = None
        self.port = 0
        self._devices: List["Device"] = []

    async def start(self) -> None:
        """Starts both."""
        await self.start_handler()
        await self.start_gateway()

    async def start_gateway(self) -> None:
        """Starts the gateway, and waits until it serves."""
        listener = {"name": "tcp", "transport": "tcp", "bind": "127.0.0.1:0", "first_byte_timeout": "off",
                    "framing": {"kind": self.framing}}
        config = {
            "listeners": [listener],
            "handler": {"service": self.service, "addresses": [f"http://127.0.0.1:{self.handler_address}"],
                        "backoff_min": "20ms", "backoff_max": "200ms", **self.settings},
            "adapter": {"bind": f"127.0.0.1:{self.adapter_port}"},
            "http": {"bind": "127.0.0.1:0"},
        }
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(json.dumps(config))
            file.flush()
            self.gateway = await Program.start(GATEWAY, "run", "--config", file.name)
            line = await self.gateway.says('"message":"serving"')
        self.port = int(re.search(r'tcp\\": 127\.0\.0\.1:(\d+)', line)[1])

    async def start_handler(self) -> None:
        """Starts the handler, and waits until it serves."""
        adapter = [f"127.0.0.1:{self.adapter_port}"] if self.service == "ConnectionUnaryHandler" else []
        if self.handler_class == "examples/echo.py":
            program = [str(TESTS.parent / self.handler_class)]
        else:
            program = [str(TESTS / "handlers.py"), self.handler_class]
        self.handler = await Program.start(sys.executable, *program, f"127.0.0.1:{self.handler_port}", *adapter)
        await self.handler.says("serving on")

    async def end(self) -> None:
        """Ends all, in order."""
        for device in self._devices:
            await device.close()
        try:
            if self.gateway is not None:
                await self.gateway.kill(signal.SIGTERM)
        finally:
            if self.handler is not None:
                await self.handler.kill(signal.SIGTERM)

    async def device(self) -> "Device":
        """A device connects."""
        device = Device(*await within("a device connects", asyncio.open_connection("127.0.0.1", self.port)))
        self._devices.append(device)
        return device


class Device:
    """One socket to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Sends without waiting."""
        self.writer.write(data)

    async def read(self, count: int) -> bytes:
        """So many bytes."""
        return await within(f"{count} bytes", self.reader.readexactly(count))

    async def line(self) -> str:
        """A line."""
        return (await within("a line", self.reader.readuntil(b"\n"))).decode()[:-1]

    async def ask(self, line: str) -> str:
        """Sends a line, and reads the answer."""
        self.send(f"{line}\n".encode())
        return await self.line()

    async def ends(self) -> bytes:
        """What comes before the gateway closes."""
        return await within("the gateway closes", self.reader.read())

    async def close(self) -> None:
        """Closes it."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


class Proxy:
    """Passes bytes between the gateway and the handler, and breaks off after as many as it is told."""

    def __init__(self, target: int):
        self.target = target
        self.breaks = 0
        #: How many bytes still pass before all connections break; None: no limit.
        self.left: Optional[int] = None
        self.broke = asyncio.Event()
        self._writers = set()
        self._server = None

    async def start(self) -> int:
        """Listens, and tells where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def break_after(self, count: int) -> None:
        """Breaks all connections once so many bytes have passed, in the middle of whatever that is."""
        self.broke.clear()
        self.left = count
        await within("the proxy breaks", self.broke.wait())

    async def _serve(self, reader, writer):
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except ConnectionError:
            writer.transport.abort()
            return
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(self._pass(reader, upstream_writer), self._pass(upstream_reader, writer))

    async def _pass(self, reader, writer):
        try:
            while True:
                data = await reader.read(1 << 16)
                if not data:
                    break
                if self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                writer.write(data)
                if self.left is not None and self.left <= 0:
                    # What is to pass passes; then both ends see a connection that broke.
                    await writer.drain()
                    self._break()
                    return
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()
        self._writers.discard(writer)

    def _break(self):
        self.left = None
        self.breaks += 1
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self.broke.set()

    async def end(self) -> None:
        """Ends it."""
        self._server.close()
        self._break()
