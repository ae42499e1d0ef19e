"""An issuer of tokens: signs what it is told to on its input, and serves its public keys over HTTP.

Each line of the input is JSON: {"claims": {…}, …} for a token, {"rotate": true} for new keys in place of the old ones,
{"serve": "keys" | "error" | "nothing" | "rubbish" | "much"} for what it serves, {"asked": true} for how often it was
asked, {"pem": kid} for a key, {"jwks": true} for all of them. A token is signed with the key "kid"; with "stranger" by
a key of that kind that nobody knows, with "secret" by HS256, with "unsigned" by nobody.

Arguments: a certificate and its key, for HTTPS.
"""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS = {
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "PS384": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "ES384": (lambda: ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "EdDSA": (lambda: ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm),
}


class Issuer:
    def __init__(self):
        self.generation = 0
        self.serve = "keys"
        self.asked = 0
        self.never = threading.Event()
        self.rotate()

    def rotate(self):
        self.generation += 1
        self.keys = {f"{name}-{self.generation}": make() for name, (make, _) in KINDS.items()}

    def algorithm(self, kid):
        return kid.split("-")[0]

    def sign(self, claims, kid=None, secret=None, stranger=False, unsigned=False):
        headers = {"kid": kid} if kid else {}
        if unsigned:
            return jwt.encode(claims, None, "none", headers)
        if secret:
            return jwt.encode(claims, secret, "HS256", headers)
        algorithm = self.algorithm(kid)
        key = KINDS[algorithm][0]() if stranger else self.keys[kid]
        return jwt.encode(claims, key, algorithm, headers)

    def pem(self, kid):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.keys[kid].public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def jwks(self):
        keys = [{"kty": "oct", "kid": "not-for-you", "k": "c2VjcmV0"}, {"kty": "of tomorrow", "kid": "?"}]
        for kid, key in self.keys.items():
            kind = KINDS[self.algorithm(kid)][1]
            public = json.loads(kind.to_jwk(key.public_key()))
            keys.append({**public, "kid": kid, "use": "sig", "alg": self.algorithm(kid)})
        return json.dumps({"keys": keys}).encode()


issuer = Issuer()


class Keys(BaseHTTPRequestHandler):
    def do_GET(self):
        issuer.asked += 1
        if issuer.serve == "nothing":
            issuer.never.wait()
        body = {
            "keys": issuer.jwks,
            "rubbish": lambda: b"<html>",
            "much": lambda: b'{"keys": [' + b" " * 10 * 1024 * 1024 + b"]}",
        }.get(issuer.serve, lambda: b"")()
        self.send_response(500 if issuer.serve == "error" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
server.daemon_threads = True
scheme, host = "http", "127.0.0.1"
if sys.argv[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme, host = "https", "localhost"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"serving {scheme}://{host}:{server.server_port}/jwks.json", flush=True)
for line in sys.stdin:
    said = json.loads(line)
    if "claims" in said:
        print("token", issuer.sign(**said), flush=True)
    elif "rotate" in said:
        issuer.rotate()
        print("rotated", flush=True)
    elif "serve" in said:
        issuer.serve = said["serve"]
        print("serves", issuer.serve, flush=True)
    elif "pem" in said:
        print("pem", json.dumps(issuer.pem(said["pem"])), flush=True)
    elif "jwks" in said:
        print("jwks", issuer.jwks().decode(), flush=True)
    elif "asked" in said:
        print("asked", issuer.asked, flush=True)
