"""A connection, as its handler sees it: who it is, and what may be done with it."""

from abc import ABC, abstractmethod
from typing import NamedTuple, Optional, Tuple, Union

from . import errors
from .generated import exproto_pb2 as v1
from .generated import stream_pb2 as pb

Bytes = Union[bytes, bytearray, memoryview]

#: The most that `set_state` keeps, in bytes.
MAX_STATE = 4096


class Client(NamedTuple):
    """Who a connection is, once it was authenticated."""

    clientid: str
    username: str


class Connection(ABC):
    """One device's socket. Belongs to the event loop: other threads use `asyncio.run_coroutine_threadsafe`.

    Each command has `result`. With `result=True` it waits until the gateway has carried it out, and raises
    `CommandError` where that failed. With `result=False` it returns at once, or waits until there are credits for it;
    the gateway logs failures, and a `send` that fails closes the connection.

    What a callback issues with `result=False` leaves together with the acknowledgement of its event, when it returns:
    a *step*, which happens once or not at all. See the README for its limits.
    """

    def __init__(self, attach: pb.Attach):
        #: Its name, which says nothing but which connection it is.
        self.id: str = attach.id
        #: Its two ends, and its certificate: `socktype`, `peername`, `sockname`, `peercert`.
        self.conninfo: v1.ConnInfo = attach.conninfo
        #: The name of its listener.
        self.listener: str = attach.listener
        #: tcp, tls, udp, dtls, ws or wss.
        self.transport: str = attach.transport
        #: What else is known of the device, as (name, value); a name may come more than once. See docs/listeners.md.
        self.details: Tuple[Tuple[str, bytes], ...] = tuple((item.name, item.value) for item in attach.details)
        #: 1, and one more each time that the connection is shown to another handler: then `on_open` is not its first.
        self.attempt: int = attach.attempt
        #: Who it is; None until it was authenticated.
        self.client: Optional[Client] = None
        if attach.HasField("client"):
            self.client = Client(attach.client.clientid, attach.client.username)
        #: In `on_bytes`: how many bytes of the connection came before these.
        self.offset: int = attach.offset
        #: It has ended. Commands raise `ConnectionClosed` where a result is asked for, and else do nothing.
        self.closed: bool = False
        self._state: bytes = attach.state

    def __repr__(self) -> str:
        return f"<Connection {self.id}>"

    @property
    def peer(self) -> Tuple[str, int]:
        """The device's address: host and port."""
        return self.conninfo.peername.host, self.conninfo.peername.port

    @property
    def state(self) -> bytes:
        """What `set_state` has kept last, be it by an earlier process; empty if nothing."""
        return self._state

    def detail(self, name: str) -> Optional[bytes]:
        """The first of the `details` that has this name."""
        return next((value for key, value in self.details if key == name), None)

    async def send(self, data: Bytes, *, result: bool = False) -> None:
        """Writes bytes to the device: on a datagram transport or WebSocket, as one message."""
        await self._issue(pb.Command(send=_bytes(data)), result)

    async def close(self, *, result: bool = False) -> None:
        """Writes what was sent, and closes the connection."""
        await self._issue(pb.Command(close=pb.Close()), result)

    async def authenticate(
        self,
        clientid: str,
        *,
        username: str = "",
        password: str = "",
        proto_name: str = "",
        proto_ver: str = "",
        session_expiry: Optional[int] = None,
    ) -> bool:
        """Makes the connection a client, and tells whether the client's session was there before.

        `session_expiry`: for how many seconds the session outlives the connection; 0: there is none; None: as the
        listener says. After a refusal the connection stays open.
        """
        info = v1.ClientInfo(proto_name=proto_name, proto_ver=proto_ver, clientid=clientid, username=username)
        command = pb.Authenticate(clientinfo=info, password=password, session_expiry=session_expiry)
        answer = await self._issue(pb.Command(authenticate=command), True)
        self.client = Client(clientid, username)
        return answer.session_present

    async def start_timer(self, interval: int, *, result: bool = True) -> None:
        """Starts or replaces the keepalive: `on_timer` after one and a half times so many seconds without a byte."""
        await self._issue(pb.Command(start_timer=pb.StartTimer(interval=interval)), result)

    async def publish(
        self, topic: str, payload: Bytes, *, qos: int = 0, retain: bool = False, result: bool = True
    ) -> None:
        """Publishes a message in the client's name. `retain`: it is kept for whoever subscribes later."""
        await self._issue(pb.Command(publish=_publish(topic, payload, qos, retain)), result)

    async def raw_publish(
        self, topic: str, payload: Bytes, *, qos: int = 0, retain: bool = False, result: bool = True
    ) -> None:
        """Publishes a message in nobody's name: no mountpoint, and no question of what the client may do."""
        await self._issue(pb.Command(raw_publish=_publish(topic, payload, qos, retain)), result)

    async def subscribe(self, topic: str, *, qos: int = 0, result: bool = True) -> None:
        """Subscribes the client to a topic filter: its messages come to `on_message`."""
        await self._issue(pb.Command(subscribe=pb.Subscribe(topic=topic, qos=qos)), result)

    async def unsubscribe(self, topic: str, *, result: bool = True) -> None:
        """Ends the subscription to a topic filter."""
        await self._issue(pb.Command(unsubscribe=topic), result)

    async def set_state(self, state: Bytes, *, result: bool = False) -> None:
        """Keeps at most 4 KiB with the gateway, for whoever gets the connection next, in place of what was kept.

        With the unary service it is kept in memory only, and does not outlive this process.
        """
        state = _bytes(state)
        if len(state) > MAX_STATE:
            raise ValueError(f"the state has {len(state)} bytes; at most {MAX_STATE} are kept")
        await self._issue(pb.Command(state=state), result)
        self._state = state

    @abstractmethod
    def flush(self) -> None:
        """Lets what the callback has issued so far leave now: for one that goes on to wait for something else.

        It ends the guarantee of the step: if the process is killed later in the callback, it may happen twice.
        """

    async def _issue(self, command: pb.Command, result: bool) -> pb.Result:
        """Has a command carried out; raises if a result was asked for and is no success."""
        answer = await self._carry_out(command, result)
        if answer is None:
            return pb.Result()
        errors.check(answer.code, answer.message)
        return answer

    @abstractmethod
    async def _carry_out(self, command: pb.Command, result: bool) -> Optional[pb.Result]:
        """The way to the gateway. The answer only where one was asked for."""


def _bytes(data: Bytes) -> bytes:
    # By way of a memoryview, as bytes(5) would be five zeros.
    return data if isinstance(data, bytes) else bytes(memoryview(data))


def _publish(topic: str, payload: Bytes, qos: int, retain: bool) -> pb.Publish:
    return pb.Publish(topic=topic, qos=qos, payload=_bytes(payload), retain=retain)
