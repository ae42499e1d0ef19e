#!/usr/bin/env python3
"""Fleet: a back end that sends commands to trackers, by RawPublish.

It has no connection, so it is no client: it can publish to any topic, and cannot subscribe. Its token needs the
scope `raw`.
"""

import argparse
import sys

import grpc

from adapter import add_options, connect, explain, pb


def main():
    parser = argparse.ArgumentParser(description="Sends a command to a tracker.")
    parser.add_argument("id", help="the tracker's id")
    parser.add_argument("command", nargs="+", help="what it shall do")
    add_options(parser, "tokens/fleet")
    arguments = parser.parse_args()
    if not arguments.id or set(arguments.id) & set("/+#"):
        sys.exit(f"{arguments.id!r} is no tracker's id: none is empty or holds / + #")

    command = " ".join(arguments.command).encode()
    request = pb.RawPublishRequest(topic=f"down/{arguments.id}", qos=1, payload=command)
    try:
        answer = connect(arguments).call("RawPublish", request)
    except grpc.RpcError as error:
        sys.exit(f"not sent: {explain(error)}")
    if answer.code != pb.SUCCESS:
        sys.exit(f"not sent: {pb.ResultCode.Name(answer.code)}: {answer.message}")
    print(f"published to {request.topic}")


if __name__ == "__main__":
    main()
