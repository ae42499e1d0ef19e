"""`grpc.health.v1`: whether the process takes connections."""

import asyncio
from typing import List, Set

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


class Health(health.aio.HealthServicer):
    """grpcio's own, but for its watches: they end with the server, which would wait for them."""

    def __init__(self, services: List[str]):
        super().__init__()
        self._services = ["", *services]
        self._watches: Set[asyncio.Task] = set()

    async def start(self, server: grpc.aio.Server) -> None:
        """Serves it, and says SERVING."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)
        for service in self._services:
            await self.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def leave(self) -> None:
        """Says NOT_SERVING, from now on."""
        await self.enter_graceful_shutdown()

    def end(self) -> None:
        """Ends the watches."""
        for watch in self._watches:
            watch.cancel()

    async def Watch(self, request, context) -> None:
        """Tells the status of a service, and each change."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        self._watches.add(watch)
        try:
            # Not awaited itself: a call whose own task is cancelled has no end.
            await asyncio.wait([watch])
        finally:
            watch.cancel()
            self._watches.discard(watch)
