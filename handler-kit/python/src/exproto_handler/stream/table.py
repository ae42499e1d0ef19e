"""All connections of the ordered stream, and which stream each is attached to."""

import asyncio
import logging
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Set, Tuple

from ..connection import Connection
from ..generated import stream_pb2 as pb
from ..handler import Handler
from .connection import StreamConnection

if TYPE_CHECKING:
    from .lane import Lane

log = logging.getLogger("exproto_handler")

#: A pod's name and epoch, and the connection's number there.
Key = Tuple[str, int, int]

#: How many connections that have ended are remembered, in case their last acknowledgement was lost with its stream.
MAX_ENDED = 1024
#: Seconds for what follows the callbacks as the process goes: for the streams to end, and for on_close("detached").
LAST = 1


class Table:
    """Finds the object of a connection that a stream introduces, or makes one."""

    def __init__(self, accept: Callable[[Connection], Handler], detached_timeout: float):
        #: Names this process and its memory.
        self.instance = uuid.uuid4().hex
        self.accept = accept
        #: The process is about to go: no callback begins any more.
        self.going = False
        self.lanes: Set["Lane"] = set()
        self._detached_timeout = detached_timeout
        self._connections: Dict[Key, StreamConnection] = {}
        self._ended: "OrderedDict[Key, StreamConnection]" = OrderedDict()

    def hello(self, pod: str, epoch: int) -> None:
        """A pod has said hello: its connections of another epoch are gone."""
        for key, conn in list(self._connections.items()):
            if key[0] == pod and key[1] != epoch and conn.lane is None:
                self._drop(key, conn)

    def attach(self, lane: "Lane", attach: pb.Attach) -> None:
        """A connection's events go to this stream from now on."""
        key = (lane.hello.pod, lane.hello.epoch, attach.conn)
        conn = self._connections.get(key) or self._ended.get(key)
        if conn is not None and attach.attempt <= conn.latest:
            return  # It was read late: another stream has the connection by now.
        if conn is not None and conn.lane is not None:
            conn.lane.attached.pop(attach.conn, None)
        if conn is not None and attach.instance != self.instance:
            # Another process has acted for it meanwhile: what is known of it is old.
            conn.cut_off("the connection has been attached elsewhere")
            self._ended.pop(key, None)
            conn = None
        if conn is None:
            conn = StreamConnection(attach, self)
        conn.attach(attach, lane)
        if not conn.ended:
            self._connections[key] = conn
            lane.attached[attach.conn] = conn
            conn.begin()

    def detach(self, lane: "Lane") -> None:
        """A stream has ended. Its connections have `detached_timeout` to come back."""
        self.lanes.discard(lane)
        detached = list(lane.attached.values())
        lane.attached.clear()
        for conn in detached:
            conn.detach()
        if detached and not self.going:
            asyncio.get_running_loop().call_later(self._detached_timeout, self._expire, lane, detached)

    def _expire(self, lane: "Lane", detached: List[StreamConnection]) -> None:
        for conn in detached:
            key = (lane.hello.pod, lane.hello.epoch, conn.number)
            if conn.lane is None and conn.left is lane and self._connections.get(key) is conn:
                self._drop(key, conn)

    def _drop(self, key: Key, conn: StreamConnection) -> None:
        del self._connections[key]
        conn.drop("detached")

    def forget(self, conn: StreamConnection) -> None:
        """It was shown its end."""
        lane = conn.lane or conn.left
        if lane is None:
            return
        key = (lane.hello.pod, lane.hello.epoch, conn.number)
        if self._connections.get(key) is not conn:
            return
        del self._connections[key]
        lane.attached.pop(conn.number, None)
        self._ended[key] = conn
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    async def drain(self, grace: float) -> None:
        """The process is about to go: lets the callbacks that run return, ends all streams, tells all objects.

        What was received and not begun is not acknowledged, and so goes to whoever gets the connection next. Goodbye
        comes after the callbacks, as no results come after Goodbye, and they may be waiting for some.
        """
        self.going = True
        leaving = list(self._connections.values())
        # What they wait for does not come any more.
        self._drop_all(lambda conn: conn.lane is None)
        await _all([conn.task for conn in leaving], grace)
        for conn in leaving:
            if conn.task is not None:
                log.warning("%s: a callback has not returned within %s s, and was cut off", conn.id, grace)
                conn.cut_off("the handler is about to go")
        for lane in self.lanes:
            lane.end("the handler is about to go")
        await _all([lane.ended for lane in self.lanes], LAST)
        self._drop_all(lambda conn: True)
        await _all([conn.task for conn in leaving], LAST)

    def _drop_all(self, which: Callable[[StreamConnection], bool]) -> None:
        for key, conn in list(self._connections.items()):
            if which(conn):
                self._drop(key, conn)


async def _all(waiting: Iterable[Optional[asyncio.Future]], within: float) -> None:
    those = [each for each in waiting if each is not None]
    if those:
        await asyncio.wait(those, timeout=within)
