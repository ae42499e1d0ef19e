"""The same objects, served by EMQX's `ConnectionUnaryHandler`: one call for each event, one for each command."""

import asyncio
import logging
from typing import Callable, Dict, Optional, Set

import grpc

from .adapter import Adapter
from .connection import Connection
from .errors import ConnectionClosed
from .generated import exproto_pb2 as v1
from .generated import exproto_pb2_grpc as rpc
from .generated import stream_pb2 as pb
from .handler import Handler, accepted, messages_of

log = logging.getLogger("exproto_handler")

#: Metadata that says something about the callback; all other keys with the prefix are details of the device.
_PREFIX = "exproto-"
_NO_DETAILS = {
    _PREFIX + name for name in ("listener", "transport", "adapter-address", "offset", "attempt")
}


class UnaryConnection(Connection):
    """A connection whose commands are calls to the adapter, one after another."""

    def __init__(self, attach: pb.Attach, adapter: Adapter):
        super().__init__(attach)
        self.handler: Optional[Handler] = None
        #: One callback at a time, also while the gateway repeats one.
        self.callback = asyncio.Lock()
        self._adapter = adapter
        # One call at a time, as the order of calls on one channel says nothing.
        self._call = asyncio.Lock()

    def flush(self) -> None:
        """Nothing is held back here."""

    async def _carry_out(self, command: pb.Command, result: bool) -> Optional[pb.Result]:
        kind = command.WhichOneof("kind")
        if kind == "state":
            _say_once("set_state: the unary service keeps it in memory only, until this process ends")
            return None
        if self.closed and kind != "raw_publish":
            if result:
                raise ConnectionClosed("the connection has ended")
            return None
        async with self._call:
            answer = await self._adapter.carry_out(self.id, command)
            if not result and answer.code not in (v1.SUCCESS, v1.CONN_PROCESS_NOT_ALIVE):
                log.warning("%s: %s has failed: %s", self.id, kind, answer.message)
                if kind == "send":
                    # As the ordered stream does: what follows must not be written without it.
                    await self._adapter.carry_out(self.id, pb.Command(close=pb.Close()))
        return answer if result else None


class UnaryService(rpc.ConnectionUnaryHandlerServicer):
    """`ConnectionUnaryHandler`, as the gateway calls it."""

    def __init__(self, accept: Callable[[Connection], Handler], adapter: Adapter):
        self._accept = accept
        self._adapter = adapter
        self._connections: Dict[str, UnaryConnection] = {}

    async def OnSocketCreated(self, request, context):
        """Makes the object; anew where the gateway introduces the connection once more."""
        conn = UnaryConnection(_attach(request, context), self._adapter)
        old = self._connections.get(conn.id)
        self._connections[conn.id] = conn
        if old is not None:
            old.closed = True

        async def on_open():
            conn.handler = accepted(self._accept, conn)
            await conn.handler.on_open()

        return await _call(conn, context, on_open)

    async def OnReceivedBytes(self, request, context):
        """Some bytes, or one message of the device."""
        conn = await self._find(request.conn, context)

        async def on_bytes():
            conn.offset = int(_metadata(context).get(_PREFIX + "offset", conn.offset))
            await conn.handler.on_bytes(request.bytes)
            # For gateways that do not tell.
            conn.offset += len(request.bytes)

        return await _call(conn, context, on_bytes)

    async def OnReceivedMessages(self, request, context):
        """Messages of the client's subscriptions."""
        conn = await self._find(request.conn, context)
        return await _call(conn, context, lambda: conn.handler.on_messages(messages_of(request.messages)))

    async def OnTimerTimeout(self, request, context):
        """The keepalive has run out."""
        conn = await self._find(request.conn, context)
        return await _call(conn, context, conn.handler.on_timer)

    async def OnSocketClosed(self, request, context):
        """The end. Of a connection that is not known here there is nothing to do, and so nothing wrong."""
        conn = self._connections.pop(request.conn, None)
        if conn is None or conn.handler is None:
            return v1.EmptySuccess()
        conn.closed = True
        return await _call(conn, context, lambda: conn.handler.on_close(request.reason))

    async def _find(self, name: str, context) -> UnaryConnection:
        conn = self._connections.get(name)
        if conn is None or conn.handler is None:
            reason = f"no connection {name}: this handler was not told of it, or has restarted"
            raise await context.abort(grpc.StatusCode.NOT_FOUND, reason)
        return conn


async def _call(conn: UnaryConnection, context, callback) -> v1.EmptySuccess:
    async with conn.callback:
        try:
            await callback()
            return v1.EmptySuccess()
        except ConnectionClosed as error:
            log.debug("%s: a callback was waiting as the connection ended: %s", conn.id, error)
            return v1.EmptySuccess()
        except Exception as error:
            log.error("%s: a callback has failed; the connection closes", conn.id, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
    raise await context.abort(grpc.StatusCode.INTERNAL, reason)


def _attach(request: v1.SocketCreatedRequest, context) -> pb.Attach:
    """What OnSocketCreated and its metadata tell, in the form of the ordered stream."""
    known = _metadata(context)
    details = [
        pb.Detail(name=key, value=value if isinstance(value, bytes) else value.encode())
        for key, value in context.invocation_metadata() or ()
        if key.startswith(_PREFIX) and key not in _NO_DETAILS
    ]
    return pb.Attach(
        id=request.conn,
        conninfo=request.conninfo,
        listener=known.get(_PREFIX + "listener", ""),
        transport=known.get(_PREFIX + "transport", ""),
        details=details,
        attempt=int(known.get(_PREFIX + "attempt", 1)),
        offset=int(known.get(_PREFIX + "offset", 0)),
    )


def _metadata(context) -> Dict[str, str]:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


_said: Set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        log.warning(text)
