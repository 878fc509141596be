"""The proxy with real sockets: passes bytes on, resets, stalls, forgets, and heals."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.chaos.proxy import Background, Proxy

SHORT_S = 0.3


class Echo:
    """A server that says back what it hears, with its name before it."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                connection = self._listener.accept()[0]
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # reset by the proxy
            while heard := connection.recv(65_536):
                self.heard += heard
                connection.sendall(self._name + heard)

    def close(self) -> None:
        """Takes no further connection."""
        self._listener.close()


@pytest.fixture
def background() -> Iterator[Background]:
    """A loop for proxies."""
    made = Background()
    yield made
    made.stop()


@pytest.fixture
def echo() -> Iterator[Echo]:
    """The server behind the proxy."""
    made = Echo(b"")
    yield made
    made.close()


@pytest.fixture
def proxy(background: Background, echo: Echo) -> Iterator[Proxy]:
    """The proxy before it."""
    made = Proxy(background, echo.port)
    yield made
    made.close()


@pytest.fixture
def dial(proxy: Proxy) -> Iterator[Callable[[], socket.socket]]:
    """Opens connections through it."""
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        plug = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        opened.append(plug)
        return plug

    yield connect
    for plug in opened:
        plug.close()


def _says(plug: socket.socket, text: bytes) -> bytes:
    plug.sendall(text)
    return plug.recv(65_536)


def _is_silent(plug: socket.socket) -> bool:
    plug.settimeout(SHORT_S)
    try:
        plug.recv(1)
    except TimeoutError:
        return True
    finally:
        plug.settimeout(5)
    return False


Dial = Callable[[], socket.socket]


def test_bytes_pass_whole_and_in_order(dial: Dial) -> None:
    """Also many more than fit into any buffer on the way."""
    plug = dial()
    sent = bytes(range(256)) * 20_000
    threading.Thread(target=plug.sendall, args=(sent,), daemon=True).start()
    got = b""
    while len(got) < len(sent):
        got += plug.recv(65_536)
    assert got == sent


def test_a_cut_resets_and_refuses_until_healed(proxy: Proxy, dial: Dial) -> None:
    """What was open is reset, not closed in order; what is new gets no word; after it all is well."""
    plug = dial()
    assert _says(plug, b"a") == b"a"
    proxy.cut(1, 1.0, refuse=True)
    with pytest.raises(ConnectionResetError):
        plug.recv(1)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _says(dial(), b"b")
    proxy.heal()
    assert _says(dial(), b"c") == b"c"


def test_a_cut_hits_the_share_that_its_seed_draws(proxy: Proxy, dial: Dial) -> None:
    """About half of the connections; the others do not notice."""
    plugs = [dial() for _ in range(40)]
    for plug in plugs:
        assert _says(plug, b"a") == b"a"
    proxy.cut(1, 0.5, refuse=False)
    alive = 0
    for plug in plugs:
        with suppress(ConnectionResetError, BrokenPipeError):
            alive += _says(plug, b"b") == b"b"
    assert 5 < alive < 35


def test_what_is_stalled_arrives_in_the_end(proxy: Proxy, dial: Dial) -> None:
    """A write that its sender has long given up on is carried out after healing; so are new connections."""
    plug = dial()
    assert _says(plug, b"a") == b"a"
    proxy.stall()
    plug.sendall(b"late")
    new = dial()
    new.sendall(b"new")
    assert _is_silent(plug) and _is_silent(new)
    proxy.heal()
    assert plug.recv(10) == b"late"
    assert new.recv(10) == b"new"


def test_what_is_forgotten_stays_dead_and_nobody_is_told(proxy: Proxy, echo: Echo, dial: Dial) -> None:
    """Neither an end nor a reset, not even after healing; the server never hears of it; new ones work."""
    plug = dial()
    assert _says(plug, b"a") == b"a"
    proxy.forget(1, 1.0)
    plug.sendall(b"lost")
    assert _is_silent(plug)
    assert _says(dial(), b"new") == b"new"
    proxy.heal()
    assert _is_silent(plug)
    assert b"lost" not in echo.heard


def test_another_target_gets_what_comes_next(proxy: Proxy, dial: Dial) -> None:
    """As after a failover: connections to the old one are reset."""
    plug = dial()
    assert _says(plug, b"a") == b"a"
    other = Echo(b"other:")
    proxy.retarget(other.port)
    with pytest.raises(ConnectionResetError):
        plug.recv(1)
    assert _says(dial(), b"b") == b"other:b"
    other.close()


def test_a_target_that_is_down_resets(proxy: Proxy, echo: Echo, dial: Dial) -> None:
    """A client learns at once that nobody listens there."""
    echo.close()
    proxy.retarget(1)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _says(dial(), b"a")
    assert proxy.connections == 0
