"""A managed identity endpoint, as on an Azure VM, with tokens that Azurite accepts.

Microsoft, "How to use managed identities for App Service", REST endpoint reference.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HEADER = "a-secret-of-the-machine"


@contextmanager
def managed_identity(
    audience: str | None = "https://storage.azure.com", asked: list[str] | None = None
) -> Iterator[dict[str, str]]:
    """The environment of a process on such a VM. Tokens are for ``audience``; with None the endpoint has no identity.

    ``asked`` collects the paths of the requests.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(audience, [] if asked is None else asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}/token",
            "IDENTITY_HEADER": _HEADER,
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(audience: str | None, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["X-IDENTITY-HEADER"] != _HEADER:
                self.send_error(401)
                return
            asked.append(self.path)
            if audience is None:
                self.send_error(400)
                return
            now = int(time.time())
            claims = {"aud": audience, "iss": "https://sts.windows.net/", "iat": now, "nbf": now - 60, "exp": now + 600}
            token = ".".join([_encoded({"alg": "none"}), _encoded(claims), "x"])
            body = json.dumps({"access_token": token, "expires_on": str(now + 600), "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler


def _encoded(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
