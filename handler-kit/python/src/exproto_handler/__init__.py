"""Protocol handlers for ExProto Gateway: one object per connection, on asyncio.

Read `handler.py` (what you write), `connection.py` (what you may do), `server.py` (how it is served), in this order.
The rest is how it gets there: `stream/` for the ordered stream, `unary.py` and `adapter.py` for the services of EMQX.
"""

from .adapter import Adapter
from .connection import Client, Connection
from .errors import CommandError, ConnectionClosed
from .handler import Handler, Message
from .server import Server

__all__ = [
    "Adapter",
    "Client",
    "CommandError",
    "Connection",
    "ConnectionClosed",
    "Handler",
    "Message",
    "Server",
]
