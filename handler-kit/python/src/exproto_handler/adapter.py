"""The gateway's `ConnectionAdapter`, for handlers that are served by the unary service."""

from typing import Optional

import grpc

from .generated import exproto_pb2 as v1
from .generated import exproto_pb2_grpc as rpc
from .generated import stream_pb2 as pb


class Adapter:
    """Where the adapter listens, and how it is called."""

    def __init__(
        self,
        address: str,
        *,
        token: Optional[str] = None,
        ca: Optional[bytes] = None,
        timeout: float = 5.0,
    ):
        """`address` is host:port.

        `token`: of one of the gateway's `adapter.callers`. `ca`: the certificate of who signed the adapter's, as PEM;
        without it there is no TLS. `timeout`: seconds that a call may take.
        """
        self.address = address
        self._token = token
        self._ca = ca
        self._timeout = timeout
        self._channel: Optional[grpc.aio.Channel] = None

    def open(self) -> None:
        """Makes the channel, which belongs to the event loop that runs. Nothing is called yet."""
        if self._ca is None:
            self._channel = grpc.aio.insecure_channel(self.address)
        else:
            self._channel = grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(self._ca))
        self._stub = rpc.ConnectionAdapterStub(self._channel)

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def carry_out(self, conn: str, command: pb.Command) -> pb.Result:
        """Calls the method that does what the command says. Never raises: an adapter that fails is a result, too."""
        kind = command.WhichOneof("kind")
        method, request, metadata = _REQUESTS[kind](self._stub, conn, getattr(command, kind))
        if self._token is not None:
            metadata.append(("authorization", f"Bearer {self._token}"))
        call = method(request, timeout=self._timeout, metadata=metadata)
        try:
            answer = await call
            present = await _session_present(call) if kind == "authenticate" else False
        except grpc.aio.AioRpcError as error:
            message = f"the adapter at {self.address} has not answered: {error.code().name}: {error.details()}"
            return pb.Result(code=v1.UNKNOWN, message=message)
        return pb.Result(code=answer.code, message=answer.message, session_present=present)


async def _session_present(call: grpc.aio.UnaryUnaryCall) -> bool:
    metadata = [*(await call.initial_metadata() or ()), *(await call.trailing_metadata() or ())]
    return ("exproto-session-present", "true") in ((key, value) for key, value in metadata)


def _authenticate(stub, conn, command):
    request = v1.AuthenticateRequest(conn=conn, clientinfo=command.clientinfo, password=command.password)
    metadata = []
    if command.HasField("session_expiry"):
        metadata.append(("exproto-session-expiry", str(command.session_expiry)))
    return stub.Authenticate, request, metadata


def _publish(stub, conn, command):
    request = v1.PublishRequest(conn=conn, topic=command.topic, qos=command.qos, payload=command.payload)
    return stub.Publish, request, _retain(command)


def _raw_publish(stub, _conn, command):
    request = v1.RawPublishRequest(topic=command.topic, qos=command.qos, payload=command.payload)
    return stub.RawPublish, request, _retain(command)


def _retain(command):
    return [("exproto-retain", "true")] if command.retain else []


# By the kind of command: the method, its request, its metadata.
_REQUESTS = {
    "send": lambda stub, conn, data: (stub.Send, v1.SendBytesRequest(conn=conn, bytes=data), []),
    "close": lambda stub, conn, _: (stub.Close, v1.CloseSocketRequest(conn=conn), []),
    "authenticate": _authenticate,
    "start_timer": lambda stub, conn, command: (
        stub.StartTimer,
        v1.TimerRequest(conn=conn, type=v1.KEEPALIVE, interval=command.interval),
        [],
    ),
    "publish": _publish,
    "raw_publish": _raw_publish,
    "subscribe": lambda stub, conn, command: (
        stub.Subscribe,
        v1.SubscribeRequest(conn=conn, topic=command.topic, qos=command.qos),
        [],
    ),
    "unsubscribe": lambda stub, conn, topic: (
        stub.Unsubscribe,
        v1.UnsubscribeRequest(conn=conn, topic=topic),
        [],
    ),
}
