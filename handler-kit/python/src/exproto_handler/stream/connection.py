"""One connection on the ordered stream: shows its events to the user's object, one after another."""

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Deque, Optional, Tuple

from ..connection import Connection
from ..errors import ConnectionClosed
from ..generated import stream_pb2 as pb
from ..handler import Handler, accepted, messages_of
from .commands import Commands

if TYPE_CHECKING:
    from .lane import Lane
    from .table import Table

log = logging.getLogger("exproto_handler")

#: The most characters that the gateway is told of why a callback has failed.
MAX_REASON = 200


class StreamConnection(Connection):
    """Outlives the streams that it is attached to. One task shows its events, while there are any."""

    def __init__(self, attach: pb.Attach, table: "Table"):
        super().__init__(attach)
        self.number = attach.conn
        #: The attempt of the Attach that counts; `attempt` is that of the object's making.
        self.latest = attach.attempt
        self.commands = Commands(attach)
        # The stream that it is attached to, and the one that it was attached to before; None for none.
        self.lane: Optional["Lane"] = None
        self.left: Optional["Lane"] = None
        # It was shown its end.
        self.ended = False
        self.task: Optional[asyncio.Task] = None
        self._table = table
        self._handler: Optional[Handler] = None
        self._opened = False
        # Events, with their kinds. Bounded: the device's by the credits, results by the gateway.
        self._waiting: Deque[Tuple[pb.Event, Optional[str]]] = deque()
        # Events up to `_done` are done with, up to `_begun` shown, up to `_received` here.
        self._received = self._begun = self._done = attach.acknowledged
        # Why it closes: a callback has failed. Only its end is shown then.
        self._failed = ""
        self._reason: Optional[str] = None
        self._cut_off = False

    def attach(self, attach: pb.Attach, lane: "Lane") -> None:
        """Its events come from this stream now. Sends again what the gateway does not have."""
        self.lane, self.latest = lane, attach.attempt
        acked = self.commands.attach(attach, lane)
        if self._done > max(acked, attach.acknowledged) or self._failed:
            self.commands.leave([], self._done, self._failed)

    def detach(self) -> None:
        """Its stream has broken. What waits is sent again, here or elsewhere."""
        self.lane, self.left = None, self.lane
        self.commands.detach()
        self._waiting.clear()
        self._received = self._begun

    def take(self, event: pb.Event) -> None:
        """An event has come in."""
        if event.seq <= self._received:
            return
        if event.seq != self._received + 1:
            self._fail(f"event {event.seq} came after {self._received}")
            self.commands.leave([], self._done, self._failed)
            return
        self._received = event.seq
        kind = event.WhichOneof("kind")
        if kind == "result":
            # A callback may be waiting for it, and hold up all events before.
            self.commands.answer(event.result)
        elif kind == "closed":
            self._reason = event.closed.reason
            self.closed = True
            self.commands.end(f"the connection has ended: {self._reason}")
        self._waiting.append((event, kind))
        self.begin()

    def begin(self) -> None:
        """Shows what there is, unless that is being done, or the process is about to go."""
        if self.task is None and not self._table.going:
            self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        if not self._opened:
            self._opened = True
            await self._step(None, self._open)
        while self._waiting and not self._table.going:
            event, kind = self._waiting.popleft()
            self._begun = event.seq
            await self._show(event, kind)
        self.task = None

    async def _open(self) -> None:
        self._handler = accepted(self._table.accept, self)
        await self._handler.on_open()

    async def _show(self, event: pb.Event, kind: Optional[str]) -> None:
        handler = self._handler
        if kind == "closed":
            await self._close(event.seq, event.closed.reason)
            self._table.forget(self)
        elif handler is None or self._failed or kind is None or kind == "result":
            # A kind that is None is one that this version does not know; rule 20.
            self._done = event.seq
            self.commands.leave([], event.seq, self._failed)
        elif kind == "bytes":
            await self._step(event.seq, handler.on_bytes, event.bytes)
            self.offset += len(event.bytes)
        elif kind == "messages":
            await self._step(event.seq, handler.on_messages, messages_of(event.messages.messages))
        elif kind == "timer_timeout":
            await self._step(event.seq, handler.on_timer)

    async def _close(self, seq: Optional[int], reason: str) -> None:
        if self._handler is None:
            self.commands.leave([], seq)
        else:
            await self._step(seq, self._handler.on_close, reason)
        if seq is not None:
            self._done = seq
        self.ended = True

    async def _step(self, seq: Optional[int], callback, *args) -> None:
        """One callback. What it issues and the acknowledgement of its event leave in one batch."""
        step = self.commands.begin_step()
        try:
            await callback(*args)
        except Exception as error:
            self._blame(callback, error)
        except asyncio.CancelledError as error:
            if self._cut_off:
                step.close()
                raise
            self._blame(callback, error)
        if seq is not None:
            self._done = seq
        # on_open has no event: why it failed is said beside the last acknowledgement, which changes nothing.
        ack = self._done if seq is None and self._failed else seq
        self.commands.end_step(step, ack, self._failed)

    def _blame(self, callback, error: BaseException) -> None:
        if isinstance(error, ConnectionClosed) and self.closed:
            log.debug("%s: %s was waiting as the connection ended", self.id, _name(callback))
            return
        log.error("%s: %s has failed; the connection closes", self.id, _name(callback), exc_info=error)
        self._fail(f"{_name(callback)}: {type(error).__name__}: {error}")

    def _fail(self, reason: str) -> None:
        self._failed = self._failed or reason[:MAX_REASON]

    def drop(self, reason: str) -> None:
        """It has left this process: its object is told, once a callback that runs has returned."""
        self.closed = True
        self.commands.end(f"the connection has left this process: {reason}")
        if not self.ended:
            # Its end may have been here before its stream broke.
            end = self._say_goodbye(self.task, self._reason or reason)
            self.task = asyncio.get_running_loop().create_task(end)

    async def _say_goodbye(self, running: Optional[asyncio.Task], reason: str) -> None:
        if running is not None:
            await asyncio.wait([running])
        await self._close(None, reason)
        self.task = None

    def cut_off(self, why: str) -> None:
        """Ends the callback that runs. Its event is not acknowledged: whoever gets the connection next is shown it."""
        self.closed = self._cut_off = True
        self.commands.end(why)
        if self.task is not None:
            self.task.cancel()

    def flush(self) -> None:
        self.commands.flush()

    async def _carry_out(self, command: pb.Command, result: bool) -> Optional[pb.Result]:
        if self.closed and command.WhichOneof("kind") == "raw_publish" and self.lane is not None:
            # It needs no connection, only a way. Nothing follows the event Closed, so no result either.
            result = False
        elif self.closed:
            if result:
                raise ConnectionClosed("the connection has ended")
            return None
        try:
            return await self.commands.issue(command, result)
        except ConnectionClosed:
            if result:
                raise
            return None


def _name(callback) -> str:
    # The object is made and opened by one function of ours.
    return "on_open" if callback.__name__ == "_open" else callback.__name__
