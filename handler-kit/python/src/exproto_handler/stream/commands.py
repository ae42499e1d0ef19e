"""The commands of one connection: their numbers, their credits, and what may have to be sent again."""

import asyncio
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Deque, Dict, List, NamedTuple, Optional

from ..errors import ConnectionClosed
from ..generated import stream_pb2 as pb

if TYPE_CHECKING:
    from .lane import Lane

#: What a command counts beside its contents; rule 12.
COST = 64
#: The most that a command's number and its place in a batch add to its size.
ENVELOPE = 17
#: Kept free in each batch, for its acknowledgement's reason, a heartbeat and a goodbye.
RESERVE = 2048

#: The step that runs here: a callback's own code, and the tasks that it starts.
_current: ContextVar[Optional["Step"]] = ContextVar("exproto_step", default=None)


class Parcel(NamedTuple):
    """What must reach the gateway in one batch, so that both or neither count."""

    conn: int
    commands: List[pb.Command]
    #: How much of a batch the commands take, at most.
    size: int
    #: The event that is done with.
    ack: Optional[int] = None
    #: Why its callback has failed.
    error: str = ""


class Step:
    """What a callback has issued, held back until it returns."""

    def __init__(self, commands: "Commands"):
        self.commands = commands
        self.held: List[pb.Command] = []
        self.size = 0
        self.open = True
        self._token = _current.set(self)

    def close(self) -> List[pb.Command]:
        """The callback has returned: what is issued from here on leaves at once."""
        self.open = False
        _current.reset(self._token)
        held, self.held = self.held, []
        return held


class Commands:
    """Numbers commands as they leave, and keeps them until the gateway is known to have accepted them."""

    def __init__(self, attach: pb.Attach):
        self._conn = attach.conn
        self._last = attach.commands_accepted
        self._done = attach.commands_done
        self._unaccepted: Deque[Parcel] = deque()
        self._results: Dict[int, asyncio.Future] = {}
        # The step of the callback that runs.
        self._step: Optional[Step] = None
        # Where parcels leave; None while no stream has the connection.
        self._lane: Optional["Lane"] = None
        self._limits = pb.GatewayHello()
        self._ended: Optional[str] = None
        # The last command of an earlier process. Nobody here knows how many bytes those hold that are not carried out,
        # so nothing leaves until they are; rule 12.
        self._inherited = self._last
        # What each command of this process counts that is not known to be carried out.
        self._costs: Deque[int] = deque()
        self._used = self._used_bytes = 0
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()

    def attach(self, attach: pb.Attach, lane: "Lane") -> int:
        """A stream has the connection: sends again what was not accepted. Tells up to which event that acknowledges."""
        self._lane, self._limits = lane, lane.hello
        acked = 0
        self.progress(attach.commands_done)
        for parcel in self._unaccepted:
            commands = [command for command in parcel.commands if command.seq > attach.commands_accepted]
            if commands:
                lane.put(parcel._replace(commands=commands))
                acked = parcel.ack or acked
        return acked

    def detach(self) -> None:
        """The stream has broken: what leaves is kept until there is another."""
        self._lane = None

    def end(self, why: str) -> None:
        """No result will come any more."""
        self._ended = why
        for future in self._results.values():
            if not future.done():
                future.set_exception(ConnectionClosed(why))
        self._results.clear()
        self._room.set()

    def begin_step(self) -> Step:
        """A callback starts in this task."""
        self._step = Step(self)
        return self._step

    def end_step(self, step: Step, ack: Optional[int], error: str) -> None:
        """It has returned: its commands and its acknowledgement leave together."""
        self._step = None
        self.leave(step.close(), ack, error)

    def flush(self) -> None:
        """Lets what the step holds leave now."""
        step = self._step
        if step is not None and step.held:
            held, step.held, step.size = step.held, [], 0
            self.leave(held)

    def leave(self, commands: List[pb.Command], ack: Optional[int] = None, error: str = "") -> None:
        """Numbers the commands, and puts them into the stream's next batch."""
        size = 4 * len(error)
        for command in commands:
            content = command.ByteSize()
            size += content + ENVELOPE
            self._costs.append(content + COST)
            self._last += 1
            command.seq = self._last
        parcel = Parcel(self._conn, commands, size, ack, error)
        if commands:
            self._unaccepted.append(parcel)
        if self._lane is not None and (commands or ack is not None):
            self._lane.put(parcel)

    async def issue(self, command: pb.Command, result: bool) -> Optional[pb.Result]:
        """Has a command carried out, as soon as there are credits."""
        command.conn = self._conn
        command.result = result
        size = command.ByteSize()
        if size > self._limits.max_batch_bytes - RESERVE:
            most = self._limits.max_batch_bytes - RESERVE
            raise ValueError(f"the command has {size} bytes; the gateway takes at most {most}")
        # Whoever waits for room is ahead of whoever comes later.
        if self._turn.locked() or not self._has_room(size + COST):
            async with self._turn:
                await self._wait_for_room(size + COST)
        self._used += 1
        self._used_bytes += size + COST
        self._dispatch(command, size)
        if not result:
            return None
        self.flush()
        future = self._results[command.seq] = asyncio.get_running_loop().create_future()
        try:
            return await future
        finally:
            self._results.pop(command.seq, None)

    def _dispatch(self, command: pb.Command, size: int) -> None:
        step = _current.get()
        if step is None or step.commands is not self or not step.open:
            self.leave([command])
            return
        # A step has at most half a batch; a larger one is split.
        half = self._limits.max_batch_bytes // 2
        if step.size + size + ENVELOPE > half:
            self.flush()
        step.held.append(command)
        step.size += size + ENVELOPE
        if step.size > half or self._turn.locked():
            self.flush()

    def _has_room(self, cost: int) -> bool:
        if self._done < self._inherited:
            return False
        if self._used == 0:
            return True
        limits = self._limits
        return self._used < limits.max_commands and self._used_bytes + cost <= limits.max_command_bytes

    async def _wait_for_room(self, cost: int) -> None:
        while not self._has_room(cost):
            if self._ended is not None:
                raise ConnectionClosed(self._ended)
            # The step may hold what the credits are used up by.
            self.flush()
            self._room.clear()
            await self._room.wait()

    def progress(self, done: int) -> None:
        """The gateway has carried out all commands up to this one: their credits are free."""
        while self._done < min(done, self._last):
            self._done += 1
            if self._done > self._inherited:
                self._used -= 1
                self._used_bytes -= self._costs.popleft()
        while self._unaccepted and self._unaccepted[0].commands[-1].seq <= done:
            self._unaccepted.popleft()
        self._room.set()

    def answer(self, result: pb.Result) -> None:
        """What became of a command. A result that nobody waits for is one that was seen before."""
        self.progress(result.command)
        future = self._results.pop(result.command, None)
        if future is not None and not future.done():
            future.set_result(result)
