"""What the user writes: a class whose objects are one connection each."""

import inspect
from abc import ABC, abstractmethod
from typing import List, NamedTuple

from .connection import Connection
from .generated import exproto_pb2 as v1


class Message(NamedTuple):
    """A message of one of the client's subscriptions."""

    #: Without the mountpoint.
    topic: str
    payload: bytes
    #: As published: 0, 1 or 2.
    qos: int
    #: The publisher's clientid, or "exproto" for a raw publish.
    sender: str
    #: Differs for each message.
    id: str
    #: The pod on which it was published.
    node: str
    #: When it was published, in milliseconds since 1970-01-01 UTC.
    timestamp: int


class Handler(ABC):
    """One connection. Subclass it, and give the subclass to `Server`, which makes an object for each connection.

    The callbacks of one object run one after another, in the order of the connection's events; those of different
    objects at the same time, on one thread. A callback that raises closes its connection, and no other.
    """

    #: What is known of the connection, and what may be done with it.
    conn: Connection

    def __init__(self, conn: Connection):
        self.conn = conn

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in ("on_open", "on_bytes", "on_message", "on_messages", "on_timer", "on_close"):
            if not inspect.iscoroutinefunction(getattr(cls, name)):
                raise TypeError(f"{cls.__name__}.{name} must be an 'async def'")

    async def on_open(self) -> None:
        """The connection is there. It may have been there before, with another handler: see `conn.attempt`."""

    @abstractmethod
    async def on_bytes(self, data: bytes) -> None:
        """The device has sent this: some bytes of a stream, or one datagram, frame or WebSocket message."""

    async def on_message(self, message: Message) -> None:
        """A message of one of the client's subscriptions."""

    async def on_messages(self, messages: List[Message]) -> None:
        """All messages of one event, oldest first. Unless overridden, gives each of them to `on_message`."""
        for message in messages:
            await self.on_message(message)

    async def on_timer(self) -> None:
        """The keepalive has run out. The connection closes next; what is sent here is still delivered."""

    async def on_close(self, reason: str) -> None:
        """The connection has ended, or has left this process ("detached"). Nothing is called after it."""


def messages_of(messages) -> List[Message]:
    """Messages as they come in, as the user sees them."""
    return [message_of(message) for message in messages]


def message_of(message: v1.Message) -> Message:
    """A message as it comes in, as the user sees it."""
    sender = getattr(message, "from")  # a word of Python
    return Message(
        message.topic, message.payload, message.qos, sender, message.id, message.node, message.timestamp
    )


def accepted(accept, conn: Connection) -> Handler:
    """The object for a connection, made by what the user gave to `Server`."""
    handler = accept(conn)
    if not isinstance(handler, Handler):
        raise TypeError(f"{accept!r} must return a Handler, and has returned {handler!r}")
    return handler
