"""One stream of a gateway pod: what comes in, what goes out, and signs of life."""

import asyncio
import logging
from collections import deque
from typing import Deque, Dict, Optional

import grpc

from ..generated import stream_pb2 as pb
from ..generated import stream_pb2_grpc as rpc
from .commands import RESERVE, Parcel
from .connection import StreamConnection
from .table import Table

log = logging.getLogger("exproto_handler")

#: The version that is spoken here; rule 21.
VERSION = 1
#: What this kit is, in the gateway's logs.
LIBRARY = "exproto-handler-python/0.1.0"
#: The most that an acknowledgement without a reason takes of a batch.
ACK = 32
#: Seconds within which a pod must say hello.
HELLO_TIMEOUT = 10


class StreamService(rpc.ConnectionStreamServicer):
    """`ConnectionStream`, as the gateway calls it."""

    def __init__(self, table: Table, hello: pb.HandlerHello):
        self._table = table
        self._hello = hello

    async def Run(self, _requests, context: grpc.aio.ServicerContext):
        """One lane, until one side goes."""
        try:
            hello = await _hello(context)
            if self._table.going:
                raise Fault(grpc.StatusCode.UNAVAILABLE, "the handler is about to go")
            await Lane(self._table, context, hello).run(self._hello)
        except Fault as fault:
            log.warning("stream of %s: %s", context.peer(), fault)
            await context.abort(fault.code, str(fault))


class Fault(Exception):
    """What is wrong about a stream; rule 15."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code


class Lane:
    """One stream. Sends at once what there is; what comes up while a batch is on its way goes into the next one."""

    def __init__(self, table: Table, context: grpc.aio.ServicerContext, hello: pb.GatewayHello):
        self.hello = hello
        #: The connections whose events come from here, by their numbers.
        self.attached: Dict[int, StreamConnection] = {}
        loop = asyncio.get_running_loop()
        #: Done once the stream has ended.
        self.ended: asyncio.Future = loop.create_future()
        self._clock = loop.time
        self._table = table
        self._context = context
        # Bounded by the credits of the connections: commands in all, and one acknowledgement for each event.
        self._outbox: Deque[Parcel] = deque()
        self._wake = asyncio.Event()
        self._heartbeats = 0
        self._heartbeat_due = False
        # Why it is about to end; None: it is not.
        self._goodbye: Optional[str] = None
        self._heard = self._sent = loop.time()

    def put(self, parcel: Parcel) -> None:
        """Has this sent with the next batch."""
        self._outbox.append(parcel)
        self._wake.set()

    def end(self, reason: str) -> None:
        """Says goodbye, sends what is there, and ends the stream."""
        self._goodbye = reason
        self._wake.set()

    async def run(self, hello: pb.HandlerHello) -> None:
        """Runs until one side goes; raises `Fault` where the gateway breaks the rules."""
        name = f"{self.hello.pod}, lane {self.hello.lane}"
        self._table.lanes.add(self)
        tasks = []
        try:
            await self._context.write(pb.HandlerBatch(hello=hello))
            self._table.hello(self.hello.pod, self.hello.epoch)
            log.info("stream of %s: is there", name)
            create_task = asyncio.get_running_loop().create_task
            tasks = [create_task(self._read()), create_task(self._write()), create_task(self._watch())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            count = len(self.attached)
            self._table.detach(self)
            self.ended.set_result(None)
            log.info("stream of %s: has ended, with %d connections", name, count)

    async def _read(self) -> None:
        while True:
            batch = await self._context.read()
            if batch is grpc.aio.EOF:
                return
            self._heard = self._clock()
            self._take(batch)

    def _take(self, batch: pb.GatewayBatch) -> None:
        if batch.HasField("hello"):
            raise Fault(grpc.StatusCode.INVALID_ARGUMENT, "hello came a second time")
        for attach in batch.attaches:
            self._table.attach(self, attach)
        # A connection that is not here has ended, or is attached to another stream by now.
        attached = self.attached
        for event in batch.events:
            conn = attached.get(event.conn)
            if conn is not None:
                conn.take(event)
        for progress in batch.progress:
            conn = attached.get(progress.conn)
            if conn is not None:
                conn.commands.progress(progress.done)
        if batch.HasField("drain"):
            log.info("pod %s is about to go, within %d ms", self.hello.pod, batch.drain.within_ms)

    async def _write(self) -> None:
        while self._goodbye is None:
            if self._outbox or self._heartbeat_due:
                await self._send(self._gather())
            else:
                self._wake.clear()
                await self._wake.wait()
        last = self._gather()
        while self._outbox:
            await self._send(last)
            last = self._gather()
        last.goodbye.reason = self._goodbye
        await self._send(last)

    async def _send(self, batch: pb.HandlerBatch) -> None:
        self._sent = self._clock()
        await self._context.write(batch)

    def _gather(self) -> pb.HandlerBatch:
        """What there is to send, as far as it has room in one batch."""
        outbox = self._outbox
        batch = pb.HandlerBatch()
        commands = batch.commands
        acks: Dict[int, Parcel] = {}
        room = self.hello.max_batch_bytes - RESERVE
        while outbox and (outbox[0].size <= room or not (commands or acks)):
            parcel = outbox.popleft()
            room -= parcel.size + ACK
            commands.extend(parcel.commands)
            if parcel.ack is not None:
                # Acknowledgements are cumulative: the last one of a connection says it all.
                acks[parcel.conn] = parcel
        for conn, parcel in acks.items():
            batch.acks.add(conn=conn, seq=parcel.ack, error=parcel.error)
        if self._heartbeat_due:
            self._heartbeat_due = False
            self._heartbeats += 1
            batch.heartbeat = self._heartbeats
        return batch

    async def _watch(self) -> None:
        """Signs of life; rule 16."""
        period = self.hello.heartbeat_ms / 1000
        while True:
            now = self._clock()
            if now - self._heard >= 3 * period:
                raise Fault(grpc.StatusCode.DEADLINE_EXCEEDED, f"nothing was heard for {3 * period} s")
            if now - self._sent >= period:
                self._sent = now
                self._heartbeat_due = True
                self._wake.set()
            await asyncio.sleep(min(self._sent + period, self._heard + 3 * period) - now)


async def _hello(context: grpc.aio.ServicerContext) -> pb.GatewayHello:
    """The gateway's hello, if it is one to go on with."""
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    try:
        batch = await asyncio.wait_for(context.read(), HELLO_TIMEOUT)
    except asyncio.TimeoutError:
        raise Fault(grpc.StatusCode.DEADLINE_EXCEEDED, f"no hello within {HELLO_TIMEOUT} s") from None
    if batch is grpc.aio.EOF or not batch.HasField("hello"):
        raise Fault(invalid, "the first batch has no hello")
    hello = batch.hello
    if hello.version < VERSION:
        raise Fault(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"hello.version is {hello.version}; this handler speaks {VERSION} and no older one",
        )
    for field in ("max_commands", "max_command_bytes", "max_batch_bytes", "heartbeat_ms"):
        if getattr(hello, field) == 0:
            raise Fault(invalid, f"hello.{field} is 0")
    if hello.max_batch_bytes <= 2 * RESERVE:
        raise Fault(invalid, f"hello.max_batch_bytes is {hello.max_batch_bytes}; more than {2 * RESERVE} are needed")
    return hello
