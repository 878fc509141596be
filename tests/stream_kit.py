"""Clients of a stream over plain sockets, and a worker's hand: what tests of streams share."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from typing import Any

from tests.redis_kit import NOON_MS, Shop

ALL = "/api/v1/stream?scope=all&window=5m"
# So many that an answer is larger than what a socket holds back for long.
CURRENCIES = " ".join(f"{a}{b}X" for a in "ABCDE" for b in "ABCDEFGH")


def sell(shop: Shop, at_ms: int = NOON_MS - 1, kind: str = "all", value: str = "", items: int = 1) -> None:
    """What a worker does: figures, and a token that says that something was written."""
    shop.book(at_ms, kind, value, items=items)
    shop.meta(0, token=secrets.token_hex(16))


class Listener:
    """A client that reads a stream line by line; `ids` and `answers` are what it was told so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.ids: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.comments = 0

    @classmethod
    async def open(cls, host: str, port: int, path: str = ALL, **headers: str) -> Listener:
        """Asks, and reads the head of the answer, which must be a stream's."""
        reader, writer = await asyncio.open_connection(host, port, limit=2**22)
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *(f"{n}: {v}" for n, v in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 200 ") and "text/event-stream" in head, head
        return cls(reader, writer)

    async def next(self) -> Listener:
        """Reads on until the next message or comment is complete. Raises EOFError at the end."""
        event = ""
        # Each message is a chunk of its own; the lines of its size and end are no lines of an event.
        while line := (await self.reader.readline()).decode():
            name, _, text = line.rstrip("\r\n").partition(": ")
            match name:
                case "event":
                    event = text
                case "id":
                    self.ids.append(text)
                case "data" if event == "error":
                    self.errors.append(json.loads(text)["error"])
                    return self
                case "data":
                    self.answers.append(json.loads(text))
                    return self
                case "" if text == "keep-alive":
                    self.comments += 1
                    return self
        raise EOFError

    async def until(self, items: int) -> Listener:
        """Reads on until it is told of so many items."""
        while not self.answers or self.answers[-1]["items"] != items:
            await self.next()
        return self

    def close(self) -> None:
        """Goes without a word."""
        self.writer.transport.abort()


def deaf_client(host: str, port: int, path: str = ALL) -> socket.socket:
    """A client that asks and never reads."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    deaf.connect((host, port))
    deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return deaf
