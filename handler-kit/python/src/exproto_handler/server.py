"""The gRPC server that gateway pods call."""

import asyncio
import logging
import signal
from typing import Callable, Optional, Union

import grpc

from .adapter import Adapter
from .connection import Connection
from .generated import exproto_pb2_grpc as v1_rpc
from .generated import stream_pb2 as pb
from .generated import stream_pb2_grpc as rpc
from .handler import Handler
from .health import Health
from .stream import StreamService, Table
from .stream.lane import LIBRARY, VERSION
from .unary import UnaryService

log = logging.getLogger("exproto_handler")

#: Seconds that the last answers get to leave as the process goes.
LAST = 1


class Server:
    """Serves connections until it is told to stop.

    It serves `exproto.stream.v1.ConnectionStream`; with `adapter` also `emqx.exproto.v1.ConnectionUnaryHandler`. The
    gateway's `handler.service` says which one it calls. `grpc.health.v1` is served beside them.
    """

    def __init__(
        self,
        accept: Callable[[Connection], Handler],
        listen: str = "127.0.0.1:9001",
        *,
        adapter: Union[str, Adapter, None] = None,
        credentials: Optional[grpc.ServerCredentials] = None,
        max_events: int = 64,
        max_event_bytes: int = 256 * 1024,
        max_batch_bytes: int = 1024 * 1024,
        detached_timeout: float = 60.0,
        grace: float = 10.0,
    ):
        """`accept` makes the object for a connection: a subclass of `Handler`, or what returns an object of one.

        `listen`: host:port; port 0 takes one that is free. `adapter`: host:port of the gateway's adapter, which the
        unary service needs; an `Adapter` where it wants a token or TLS. `credentials`: serve with TLS.
        `max_events`, `max_event_bytes`: how much of a connection may wait here before its device is not read.
        `max_batch_bytes`: the largest batch that is taken, at least 256 KiB. `detached_timeout`: seconds that an object
        waits for its connection after a stream broke. `grace`: seconds that callbacks get to return in the end.
        """
        if max_batch_bytes < 256 * 1024:
            raise ValueError(f"max_batch_bytes is {max_batch_bytes}; at least {256 * 1024} are needed")
        self._accept = accept
        self._listen = listen
        self._adapter = Adapter(adapter) if isinstance(adapter, str) else adapter
        self._credentials = credentials
        self._detached_timeout = detached_timeout
        self._grace = grace
        self._hello = pb.HandlerHello(
            version=VERSION,
            max_events=max_events,
            max_event_bytes=max_event_bytes,
            max_batch_bytes=max_batch_bytes,
            library=LIBRARY,
        )
        #: The port, once it was started.
        self.port = 0

    def run(self) -> None:
        """Serves until SIGTERM or Ctrl-C. A second one ends the process at once."""
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """As `run`, in an event loop that runs already, on the main thread."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()

        def tell(number: int) -> None:
            loop.remove_signal_handler(number)
            told.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, tell, number)
        await self.start()
        await told.wait()
        await self.stop()

    async def start(self) -> int:
        """Starts to serve, and returns the port. Raises OSError where the address cannot be had."""
        self._table = Table(self._accept, self._detached_timeout)
        self._hello.instance = self._table.instance
        # Without so_reuseport=0 a second process on the same port would start, and share its calls.
        longest = max(4 * 1024 * 1024, self._hello.max_batch_bytes)
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", longest)]
        self._server = grpc.aio.server(options=options)
        rpc.add_ConnectionStreamServicer_to_server(StreamService(self._table, self._hello), self._server)
        services = ["exproto.stream.v1.ConnectionStream"]
        if self._adapter is not None:
            self._adapter.open()
            unary = UnaryService(self._accept, self._adapter)
            v1_rpc.add_ConnectionUnaryHandlerServicer_to_server(unary, self._server)
            services.append("emqx.exproto.v1.ConnectionUnaryHandler")
        self._health = Health(services)
        await self._health.start(self._server)
        try:
            if self._credentials is None:
                self.port = self._server.add_insecure_port(self._listen)
            else:
                self.port = self._server.add_secure_port(self._listen, self._credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._listen}: is another process there? {error}") from None
        await self._server.start()
        log.info("serving on %s", self._listen if self._listen[-2:] != ":0" else self.port)
        return self.port

    async def stop(self) -> None:
        """Stops: takes no new connections, lets callbacks return, ends the streams. Their connections stay open.

        Takes at most two times `grace` and four seconds: of what is still running then, nothing is acknowledged.
        """
        await asyncio.wait([asyncio.ensure_future(self._health.leave())], timeout=LAST)
        await self._table.drain(self._grace)
        self._health.end()
        await self._server.stop(self._grace)
        # grpcio stops a server once more as it is collected, for which the event loop must still be there.
        self._server = None
        if self._adapter is not None:
            await self._adapter.close()
        log.info("ended")
