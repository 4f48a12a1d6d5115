"""A peer that asks for much and reads nothing, by either transport."""

import base64
import json
import os
import socket
import time
from typing import Any

from websockets.frames import Frame, Opcode

RECEIVE_BUFFER_BYTES = 4_096
ANSWER_BYTES = 300
# A hundred kilobytes an event where customers write at length.
WIDE = """
    subscription ($about: ID!, $after: String) {{
        queueChanged(queueId: $about, after: $after) {{
            __typename
            ... on LoggedEvent {{ seq }}
            ... on ConversationEvent {{ conversation {{ {aliases} }} }}
        }}
    }}
""".format(aliases=" ".join(f"c{number}: lastMessage {{ text }}" for number in range(30)))
TEXT = "x" * 4_000


def websocket(port: int, token: str, variables: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    """What opens a connection, and all that is said once it is open."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    said: list[object] = [
        {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
    ]
    for number, these in enumerate(variables):
        payload = {"query": WIDE, "variables": these}
        said.append({"type": "subscribe", "id": str(number), "payload": payload})
    frames = [Frame(Opcode.TEXT, json.dumps(it).encode()).serialize(mask=True) for it in said]
    return head.encode(), b"".join(frames)


def event_stream(port: int, token: str, variables: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    """The same by server-sent events, of which a connection carries one."""
    body = json.dumps({"query": WIDE, "variables": variables[0]})
    head = (
        f"POST /graphql/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode(), b""


class Stalled:
    """A peer that never reads what it asked for."""

    def __init__(self, port: int, opening: bytes, said: bytes) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(opening)
        assert self._socket.recv(ANSWER_BYTES).startswith(b"HTTP/1.1 ")
        self._socket.sendall(said)
        self.port = int(self._socket.getsockname()[1])
        self.since = time.monotonic()

    def close(self) -> None:
        self._socket.close()


TRANSPORTS = (websocket, event_stream)
