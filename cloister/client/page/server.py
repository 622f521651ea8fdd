"""Serves the page on 127.0.0.1 until Ctrl-C."""

import asyncio
import importlib.util
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from cloister.client.files.keys import Key
from cloister.client.page.machines import WatchedMachine
from cloister.client.waiting.next_steps import StepReader
from cloister.errors import InputError

if TYPE_CHECKING:
    import uvicorn

_PACKAGES = ("starlette", "uvicorn")
_MAX_CONNECTIONS = 128
_MAX_HEADERS = 16 * 1024
"""Bytes of a request's headers."""

_LAST_SECONDS = 0.5
"""How long the watchers' last attempts are waited for. A process with an open gRPC channel takes two seconds to end."""


def serve_page(
    machines: Sequence[WatchedMachine],
    key: Key,
    *,
    port: int = 0,
    reader: StepReader | None = None,
    opened: Callable[[str], None],
) -> None:
    """Watch machines, and serve their page on 127.0.0.1 until the process gets SIGINT or SIGTERM.

    The key is used for the calls Status and Events only. The browser gets neither the key nor a session.

    Args:
        machines: the machines.
        key: the party's key.
        port: the port; 0 for one that is free.
        reader: how commands on the page begin; None for ``cloister`` without options.
        opened: called with the address when the page can be opened. The address works once.

    Raises:
        InputError: a package is missing, or the port is in use.
        KeyboardInterrupt: after Ctrl-C, when everything has ended.
    """
    server = PageServer(machines, key, port=port, reader=reader, opened=opened)
    server.run()


class PageServer:
    """The page before it is served, and while it is. Arguments are those of :func:`serve_page`."""

    def __init__(
        self,
        machines: Sequence[WatchedMachine],
        key: Key,
        *,
        port: int = 0,
        reader: StepReader | None = None,
        opened: Callable[[str], None],
    ) -> None:
        require_page_packages()
        from cloister.client.page.app import application, style
        from cloister.client.page.gate import Gate, new_root
        from cloister.client.page.live import Hub
        from cloister.client.page.watcher import Watcher

        self._listener = _listen(port)
        self._hub, root = Hub(), new_root()
        self.watchers = [Watcher(machine, key, self._hub.notify) for machine in machines]
        pages = application(self.watchers, reader or StepReader(), self._hub, root)
        self._gate = Gate(pages, self._listener.getsockname()[1], root, style())
        self._opened = opened
        self._server = self._make_server()

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or :meth:`stop`. Raises KeyboardInterrupt after SIGINT."""
        try:
            self._server.run([self._listener])
        finally:
            for watcher in self.watchers:
                watcher.stop()
            until = time.monotonic() + _LAST_SECONDS
            for watcher in self.watchers:
                watcher.join(max(0.0, until - time.monotonic()))
            self._listener.close()

    def stop(self) -> None:
        """End it, from any thread."""
        self._hub.close()
        self._server.should_exit = True

    def _make_server(self) -> "uvicorn.Server":
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol

        page = self

        class FewConnections(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                # Uvicorn counts what has sent a request: others would take all files that this process may open.
                if len(self.connections) > _MAX_CONNECTIONS:
                    transport.abort()

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                page.start()

            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                page.stop()
                super().handle_exit(sig, frame)

        configuration = uvicorn.Config(
            self._gate,
            loop="asyncio",
            http=FewConnections,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,  # no one stands before it
            server_header=False,
            date_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=0,  # streams are told, and all else takes a moment
            h11_max_incomplete_event_size=_MAX_HEADERS,
        )
        return Server(configuration)

    def start(self) -> None:
        """Watch the machines. Called in the server's loop."""
        self._hub.attach()
        for watcher in self.watchers:
            watcher.start()
        self._opened(self._gate.address())


def require_page_packages() -> None:
    """Raise InputError when what serves the page is not installed."""
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"The page needs packages that are not installed: {', '.join(missing)}.",
            hint="Install the platform team's wheel again, with what the page needs: pip install './WHEEL[page]' "
            "(or: pipx install --force './WHEEL[page]').",
        )


def _listen(port: int) -> socket.socket:
    if not 0 <= port < 2**16:
        raise InputError(f"{port} is not a port.", hint="Choose one from 1024 to 65535, or 0 for one that is free.")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InputError(
            f"The page cannot use port {port}: {error.strerror}.", hint="Choose another with --port, or omit it."
        ) from error
