#!/usr/bin/env python3
"""A back end: gets what devices publish, and publishes to them, by the gateway's service for back ends.

    backend.py watch 'fleet/#'         prints what is published, from where it was when it last ended
    backend.py publish fleet/1         publishes each line that it reads
"""

import argparse
import itertools
import logging
import os
import sys
import time
from collections import OrderedDict
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parent / "stubs"))  # made by generate.sh

from exproto.gateway.v1 import backend_pb2 as pb
from exproto.gateway.v1 import backend_pb2_grpc as rpc

PAUSE = 1  # seconds between two tries
REMEMBERED = 100_000  # messages that are known when they come again

# Worth another try, at another pod. All else is for a human.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN)

log = logging.getLogger("backend")


class Watch:
    """Messages, each once, also where the gateway, a pod or this program was away."""

    def __init__(self, filters, file):
        self.filters = filters
        self.file = Path(file) if file else None
        self.position = self.file.read_bytes() if self.file and self.file.exists() else b""
        self.seen = OrderedDict()

    def run(self, stub, metadata):
        """One subscription, to its end."""
        request = pb.SubscribeRequest(filters=self.filters, position=self.position)
        for answer in stub.Subscribe(request, metadata=metadata):
            if answer.HasField("subscribed"):
                log.info("subscribed%s", "" if answer.subscribed.resumable else ", and cannot go on after an end")
            if answer.HasField("gap"):
                log.warning("messages may be missing: %s", answer.gap.reason)
            for message in answer.messages:
                if self.is_new(message):
                    print(message.topic, message.payload.decode(errors="replace"), flush=True)
            if answer.position:  # all before it is printed
                self.keep(answer.position)

    def is_new(self, message):
        if message.id in self.seen:
            return False
        self.seen[message.id] = None
        if len(self.seen) > REMEMBERED:
            self.seen.popitem(last=False)
        return True

    def keep(self, position):
        self.position = position
        if self.file:
            new = self.file.with_suffix(".new")
            new.write_bytes(position)
            os.replace(new, self.file)


def watch(arguments, pods, metadata):
    watching = Watch(arguments.filters, arguments.position_file)
    for stub in itertools.cycle(pods):
        try:
            watching.run(stub, metadata)
        except grpc.RpcError as error:
            if error.code() not in PASSING:
                sys.exit(f"{error.code().name}: {error.details()}")
            log.warning("%s: %s", error.code().name, error.details())
        time.sleep(PAUSE)


def publish(arguments, pods, metadata):
    lines = sys.stdin.buffer
    messages = (pb.PublishRequest(topic=arguments.topic, qos=1, payload=line.rstrip(b"\n")) for line in lines)
    published = 0
    try:
        for progress in pods[0].PublishStream(messages, metadata=metadata):
            published = progress.published
    except grpc.RpcError as error:
        # With the lines in a file, one would go on behind these.
        sys.exit(f"{published} published, then {error.code().name}: {error.details()}")
    print(f"{published} published")


def main():
    parser = argparse.ArgumentParser(description="Gets what devices publish, and publishes to them.")
    parser.add_argument("--gateway", action="append", help="adapter.bind of a pod, 127.0.0.1:9100 unless told; may be repeated")
    parser.add_argument("--token-file", help="a file with our token, where the gateway has adapter.callers")
    commands = parser.add_subparsers(required=True)
    watching = commands.add_parser("watch")
    watching.add_argument("filters", nargs="+", help="MQTT topic filters")
    watching.add_argument("--position-file", help="where to keep how far we are, to go on after an end")
    watching.set_defaults(run=watch)
    publishing = commands.add_parser("publish")
    publishing.add_argument("topic", help="where to")
    publishing.set_defaults(run=publish)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    token = Path(arguments.token_file).read_text().strip() if arguments.token_file else ""
    metadata = [("authorization", f"Bearer {token}")] if token else []
    addresses = arguments.gateway or ["127.0.0.1:9100"]
    # A pod that vanishes is noticed although nothing comes.
    options = [("grpc.keepalive_time_ms", 30_000)]
    pods = [rpc.BackendStub(grpc.insecure_channel(address, options)) for address in addresses]
    try:
        arguments.run(arguments, pods, metadata)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
