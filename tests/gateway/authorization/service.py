"""Services of authentication and authorization: answer as username and topic say, and print each question.

Arguments: a certificate and its key, for HTTPS.
"""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

never = threading.Event()

GRANTED = {
    "plain": {},
    "super": {"is_superuser": True},
    "red": {"client_attrs": {"team": "red"}},
    "granted": {
        "acl": [
            {"permission": "deny", "action": "subscribe", "topic": "own/secret/#"},
            {"permission": "allow", "topics": ["own/#"]},
        ]
    },
    "broken": {"acl": [{"permission": "allow", "topic": "a/#/b"}]},
}


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/authenticate":
            granted = GRANTED[question["username"]]
            return self.answer(200, json.dumps({"result": "allow", **granted}).encode())
        print("asked", json.dumps(question), flush=True)
        word = question["topic"].split("/")[0]
        if word == "hang":
            never.wait()
        elif word == "204":
            self.answer(204, b"")
        elif word in ("403", "404", "500"):
            self.answer(int(word), b'{"result": "allow"}')
        elif word == "much":
            self.answer(200, b'{"result": "allow"' + b" " * 10 * 1024 * 1024 + b"}")
        elif word == "rubbish":
            self.answer(200, b"allow")
        else:
            self.answer(200, json.dumps({"result": word}).encode())

    def answer(self, status, body):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
scheme, host = "http", "127.0.0.1"
if sys.argv[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme, host = "https", "localhost"
print(f"serving {scheme}://{host}:{server.server_port}", flush=True)
server.serve_forever()
