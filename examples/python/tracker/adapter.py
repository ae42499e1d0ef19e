"""How the gateway's adapter is called: with a token, over TLS where there is an authority's file."""

import sys
from pathlib import Path
from typing import Optional

import grpc

sys.path.append(str(Path(__file__).resolve().parent / "stubs"))  # made by generate.sh

try:
    import exproto_pb2 as pb
    import exproto_pb2_grpc as rpc
except ImportError as error:
    sys.exit(f"{error}: run ./generate.sh first, and this program with .venv/bin/python")

CALL_TIMEOUT = 5  # seconds that a call may take


class Adapter:
    """The adapter at an address. Its calls answer with a `CodeResponse`, or raise `grpc.RpcError`."""

    def __init__(self, address: str, token: str, ca: Optional[bytes] = None):
        # Without `ca`, the token and all bytes are readable on the way: for the same machine only.
        secure = ca and grpc.ssl_channel_credentials(ca)
        self.channel = grpc.secure_channel(address, secure) if secure else grpc.insecure_channel(address)
        self.stub = rpc.ConnectionAdapterStub(self.channel)
        self.metadata = [("authorization", f"Bearer {token}")]

    def call(self, method: str, request):
        """Calls a method by its name."""
        return getattr(self.stub, method)(request, timeout=CALL_TIMEOUT, metadata=self.metadata)


def add_options(parser, token_file: str):
    """The options of whoever calls the adapter."""
    parser.add_argument("--adapter", default="127.0.0.1:9100", help="where the gateway is called (%(default)s)")
    parser.add_argument("--token-file", default=token_file, help="a file with our token (%(default)s)")
    parser.add_argument("--ca-file", help="who signed the adapter's certificate; without it, no TLS")


def connect(arguments) -> Adapter:
    """The adapter as the options say. Ends the program where a file is missing."""
    try:
        ca = Path(arguments.ca_file).read_bytes() if arguments.ca_file else None
        token = read_token(arguments.token_file)
    except OSError as error:
        sys.exit(f"cannot read {error.filename}: {error.strerror}")
    return Adapter(arguments.adapter, token, ca)


def read_token(path: str) -> str:
    """The first token of a file that is written as the gateway reads it."""
    lines = [line.strip() for line in Path(path).read_text().splitlines()]
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        sys.exit(f"{path} holds no token; make one: openssl rand -hex 32 > {path}")
    return tokens[0]


def explain(error: grpc.RpcError) -> str:
    """What went wrong with a call, in one line."""
    return f"{error.code().name}: {error.details()}"
