"""What goes wrong with a command."""

from .generated import exproto_pb2 as v1

NOT_ALIVE = "CONN_PROCESS_NOT_ALIVE"


class CommandError(Exception):
    """The gateway has refused a command, or could not carry it out."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}" if message else code)
        #: The name of a `ResultCode`: UNKNOWN, PERMISSION_DENY, PARAMS_TYPE_ERROR, …
        self.code = code
        #: What is wrong, for a person to read.
        self.message = message


class ConnectionClosed(CommandError):
    """The connection has ended, so the command was not carried out, or nobody knows whether it was."""

    def __init__(self, message: str):
        super().__init__(NOT_ALIVE, message)


def check(code: int, message: str) -> None:
    """Raises what a result code means, if it is not SUCCESS."""
    if code == v1.SUCCESS:
        return
    if code == v1.CONN_PROCESS_NOT_ALIVE:
        raise ConnectionClosed(message)
    known = code in v1.ResultCode.values()
    raise CommandError(v1.ResultCode.Name(code) if known else str(code), message)
