"""A small gateway pod, which speaks the stream by its rules, and notes where the kit does not."""

import asyncio
import contextlib
from typing import Dict, List, Optional

import grpc

from exproto_handler.generated import exproto_pb2 as v1
from exproto_handler.generated import stream_pb2 as pb
from exproto_handler.generated import stream_pb2_grpc as rpc

#: Seconds after which a test that waits has failed.
DEADLINE = 20


class Device:
    """A connection: what happened to it, and what the handler wanted done with it."""

    def __init__(self, number: int):
        self.number = number
        self.events: List[pb.Event] = []
        self.commands: List[pb.Command] = []
        self.acknowledged = 0
        self.shown = 0
        self.done = 0
        self.attempt = 0
        #: The handler's process that acted last, or while none has, the one that was told last.
        self.instance = ""
        self.has_acted = False
        self.state = b""
        self.error = ""
        self.client: Optional[pb.Client] = None
        self.lane: Optional["Lane"] = None

    @property
    def sent(self) -> List[bytes]:
        """What the handler has sent to it."""
        return [command.send for command in self.commands if command.WhichOneof("kind") == "send"]

    def acts(self, handler: pb.HandlerHello) -> None:
        """A handler has acknowledged an event, or given a command."""
        self.instance, self.has_acted = handler.instance, True

    def waiting_bytes(self) -> int:
        """How much of the credits is used."""
        return sum(64 + _contents(command) for command in self.commands[self.done :])

    def received(self) -> int:
        """How many bytes the acknowledged events held."""
        return sum(len(event.bytes) for event in self.events[: self.acknowledged])


def _contents(command: pb.Command) -> int:
    value = getattr(command, command.WhichOneof("kind"))
    return len(value) if isinstance(value, (bytes, str)) else value.ByteSize()


class Pod:
    """Opens streams to a handler, and attaches devices to them."""

    def __init__(self, port: int, *, name="pod-a", epoch=1, max_commands=16, max_command_bytes=64 * 1024,
                 max_batch_bytes=256 * 1024, heartbeat_ms=10_000):
        self.hello = pb.GatewayHello(
            version=1, pod=name, epoch=epoch, max_commands=max_commands, max_command_bytes=max_command_bytes,
            max_batch_bytes=max_batch_bytes, heartbeat_ms=heartbeat_ms,
        )
        self.port = port
        self.devices: Dict[int, Device] = {}
        self.lanes: List["Lane"] = []
        #: Where the kit has broken a rule.
        self.faults: List[str] = []
        #: Carries commands out as they come, and answers those that want it.
        self.prompt = True
        self._changed = asyncio.Condition()

    async def lane(self, hello: Optional[pb.GatewayHello] = None) -> "Lane":
        """A new stream, on which both sides have said hello."""
        lane = Lane(self)
        self.lanes.append(lane)
        await lane.open(hello or self.hello)
        return lane

    def device(self, number: int) -> Device:
        """A device has connected."""
        return self.devices.setdefault(number, Device(number))

    async def attach(self, lane: "Lane", *devices: Device) -> None:
        """Attaches them to the stream, and sends again what was not acknowledged."""
        batch = pb.GatewayBatch()
        for device in devices:
            device.lane = lane
            device.attempt += 1
            batch.attaches.add(
                conn=device.number, id=f"conn-{device.number}", listener="tcp", transport="tcp",
                conninfo=v1.ConnInfo(peername=v1.Address(host="192.0.2.1", port=device.number)),
                attempt=device.attempt, instance=device.instance, acknowledged=device.acknowledged,
                commands_accepted=len(device.commands), commands_done=device.done, state=device.state,
                client=device.client, offset=device.received(),
            )
            if not device.has_acted:
                device.instance = lane.handler.instance
            for event in device.events[device.acknowledged :]:
                batch.events.append(event)
                batch.events[-1].resent = True
            device.shown = max(device.shown, len(device.events))
        await lane.write(batch)

    async def happens(self, device: Device, **kind) -> pb.Event:
        """Something happens to a device: tells the handler, if the device is attached."""
        (event,) = await self.all_happen(device, [kind])
        return event

    async def all_happen(self, device: Device, kinds) -> List[pb.Event]:
        """Several things happen, which make one batch."""
        events = []
        for kind in kinds:
            events.append(pb.Event(conn=device.number, seq=len(device.events) + 1, **kind))
            device.events.append(events[-1])
        if device.lane is not None:
            device.shown = len(device.events)
            await device.lane.write(pb.GatewayBatch(events=events))
        return events

    async def carry_out(self, device: Device, code=v1.SUCCESS, message="") -> None:
        """Carries out what was accepted, and says so."""
        fresh, device.done = device.commands[device.done :], len(device.commands)
        for command in fresh:
            if command.WhichOneof("kind") == "state":
                device.state = command.state
            if command.result:
                await self.happens(device, result=pb.Result(command=command.seq, code=code, message=message))
        if fresh and device.lane is not None:
            progress = [pb.Progress(conn=device.number, done=device.done)]
            await device.lane.write(pb.GatewayBatch(progress=progress))

    async def accept(self, lane: "Lane", batch: pb.HandlerBatch) -> None:
        """A batch has come: commands first, then acknowledgements."""
        touched = set()
        if batch.ByteSize() > self.hello.max_batch_bytes:
            self.faults.append(f"a batch of {batch.ByteSize()} bytes")
        for command in batch.commands:
            device = self.devices[command.conn]
            if device.lane is not lane:
                continue
            if command.seq > len(device.commands) + 1:
                self.faults.append(f"command {command.seq} after {len(device.commands)}")
            if command.seq == len(device.commands) + 1:
                device.commands.append(command)
                device.acts(lane.handler)
                touched.add(command.conn)
            self._look_at_credits(device)
        for ack in batch.acks:
            device = self.devices[ack.conn]
            if device.lane is not lane:
                continue
            if ack.seq > device.shown:
                self.faults.append(f"event {ack.seq} was acknowledged, and {device.shown} was the last one shown")
            if ack.seq > device.acknowledged:
                device.acknowledged = ack.seq
                device.acts(lane.handler)
            device.error = device.error or ack.error
        if self.prompt:
            for number in touched:
                await self.carry_out(self.devices[number])
        await self.changed()

    def _look_at_credits(self, device: Device) -> None:
        waiting = len(device.commands) - device.done
        if waiting > self.hello.max_commands:
            self.faults.append(f"{waiting} commands wait")
        if waiting > 1 and device.waiting_bytes() > self.hello.max_command_bytes:
            self.faults.append(f"{device.waiting_bytes()} bytes of commands wait")

    async def changed(self) -> None:
        """Wakes who waits in `until`."""
        async with self._changed:
            self._changed.notify_all()

    async def until(self, what: str, holds) -> None:
        """Waits until it holds; it is looked at after each batch, and after `changed`."""
        async def wait():
            async with self._changed:
                await self._changed.wait_for(holds)

        try:
            await asyncio.wait_for(wait(), DEADLINE)
        except asyncio.TimeoutError:
            raise AssertionError(f"never: {what}") from None

    async def end(self) -> None:
        """Ends all streams."""
        for lane in self.lanes:
            await lane.cut()


class Lane:
    """One stream to the handler."""

    def __init__(self, pod: Pod):
        self.pod = pod
        self.handler = pb.HandlerHello()
        #: All that the handler has said after its hello.
        self.batches: List[pb.HandlerBatch] = []
        #: What comes in is lost, as on a wire that is about to break.
        self.deaf = False
        self.status: Optional[grpc.StatusCode] = None
        self.details = ""
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{pod.port}", options=[
            # Else two lanes would share a TCP connection.
            ("grpc.use_local_subchannel_pool", 1),
        ])
        self._call = rpc.ConnectionStreamStub(self._channel).Run()
        self._turn = asyncio.Lock()
        self._reader: Optional[asyncio.Task] = None

    async def open(self, hello: pb.GatewayHello) -> None:
        """Says hello, and waits for the answer."""
        await self.write(pb.GatewayBatch(hello=hello))
        first = await asyncio.wait_for(self._call.read(), DEADLINE)
        assert first is not grpc.aio.EOF, await self._call.details()
        self.handler = first.hello
        self._reader = asyncio.create_task(self._read())

    async def write(self, batch: pb.GatewayBatch) -> None:
        """Says something."""
        async with self._turn:
            with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
                await self._call.write(batch)

    async def _read(self) -> None:
        try:
            while True:
                batch = await self._call.read()
                if batch is grpc.aio.EOF:
                    break
                self.batches.append(batch)
                if not self.deaf:
                    await self.pod.accept(self, batch)
                await self.pod.changed()
        except (grpc.RpcError, asyncio.CancelledError):
            # A call that was cancelled says so as if it were the task.
            pass
        self.status, self.details = await self._call.code(), await self._call.details()
        await self.pod.changed()

    async def ended(self) -> grpc.StatusCode:
        """The status that the handler has ended the stream with."""
        await self.pod.until("the stream ends", lambda: self.status is not None)
        return self.status

    async def cut(self) -> None:
        """Breaks the stream. Its devices are attached to nothing then."""
        for device in self.pod.devices.values():
            if device.lane is self:
                device.lane = None
        self._call.cancel()
        if self._reader is not None:
            await self._reader
        await self._channel.close()
