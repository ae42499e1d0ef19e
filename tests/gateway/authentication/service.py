"""An authentication service: answers as the username says, and prints each question without its password.

Arguments: a certificate and its key, for HTTPS; and the authority whose certificates clients must show.
"""

import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

never = threading.Event()


def shown(connection):
    """The common name in the certificate that the client has shown."""
    certificate = isinstance(connection, ssl.SSLSocket) and connection.getpeercert()
    subject = certificate["subject"] if certificate else ()
    return dict(part[0] for part in subject).get("commonName")


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        right = question.pop("password") == "hunter2"
        question["authorization"] = self.headers.get("authorization")
        question["x-tenant"] = self.headers.get("x-tenant")
        question["shown"] = shown(self.connection)
        print("asked", json.dumps(question), flush=True)
        name = question["username"]
        if name == "hang":
            never.wait()
        elif name == "500":
            self.answer(500, b'{"result": "allow"}')
        elif name == "redirect":
            self.answer(302, b'{"result": "allow"}', {"location": "/elsewhere"})
        elif name == "much":
            self.answer(200, b'{"result": "allow"' + b" " * 10 * 1024 * 1024 + b"}")
        elif name == "rubbish":
            self.answer(200, b"allow")
        elif name == "204":
            self.answer(204, b"")
        elif name in ("deny", "ignore"):
            self.answer(200, json.dumps({"result": name}).encode())
        elif name == "full":
            granted = {
                "result": "allow",
                "client_attrs": {"tenant": "acme"},
                "expire_at": int(time.time()) + 2,
                "something": "else",
            }
            self.answer(200, json.dumps(granted).encode())
        else:
            self.answer(200, json.dumps({"result": "allow" if right else "deny"}).encode())

    def answer(self, status, body, headers={}):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
scheme = "http"
if sys.argv[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:3])
    if sys.argv[3:]:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https"
print(f"serving {scheme}://localhost:{server.server_port}/check", flush=True)
server.serve_forever()
