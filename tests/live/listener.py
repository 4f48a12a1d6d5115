"""A process of its own with many subscribers, each of which keeps only its last cursor.

It reads a line of JSON (`subscribers`, `ports`), answers with the number that each one's first
snapshot stands at, reads up to which number each must still get, waits for that, and prints what
each one got. Everything random comes from the seeds that it is given.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

from models.log import Position

TRANSPORT = Subprotocol("graphql-transport-ws")
OPEN_SECONDS_MAX = 10
FINISH_SECONDS_MAX = 40
LINE_BYTES_MAX = 2**22
BACKOFF_SECONDS_MAX = 0.3
# What a cut-off, stopped or starting server does to its clients.
LOST = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage)


@dataclass
class Subscriber:
    """A client that goes on after its last cursor, at either server, however it was cut off."""

    name: str
    document: str
    variables: dict[str, Any]
    token: str
    ports: list[int]
    is_event_stream: bool = False
    cut_seconds_max: float | None = None
    choose: random.Random = field(default_factory=random.Random)
    cursor: str | None = None
    start: int | None = None
    until: int = 0
    sent: str | None = None
    is_open_since: float = 0
    events: list[tuple[int, str]] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)  # when, and how late
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """For ever; who wants to end it cancels it."""
        port = self.choose.randrange(len(self.ports))
        while True:
            try:
                connected = self.streamed if self.is_event_stream else self.connected
                await connected(self.ports[port])
            except LOST as error:
                self.counts[f"{type(error).__name__} {_code(error)}".strip()] += 1
            port = (port + 1) % len(self.ports)
            # As clients do it: a server that starts must not meet all of them in one instant.
            await asyncio.sleep(self.choose.random() * BACKOFF_SECONDS_MAX)

    async def connected(self, port: int) -> None:
        """Until the server, the stream or the connection ends; raises what LOST names."""
        address = f"ws://127.0.0.1:{port}/graphql"
        async with connect(
            address,
            subprotocols=[TRANSPORT],
            compression=None,
            ping_interval=None,
            open_timeout=OPEN_SECONDS_MAX,
            close_timeout=0.1,
            proxy=None,
        ) as socket:
            self._cut_later(socket.transport)
            await self._say(socket, "connection_init", {"authorization": f"Bearer {self.token}"})
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] == "connection_ack":
                    await self._say(socket, "subscribe", self._request(), id="1")
                elif message["type"] == "ping":
                    await self._say(socket, "pong")
                elif not self._take(message):
                    return

    async def streamed(self, port: int) -> None:
        """The same by server-sent events; lines are whole, for an event is one chunk."""
        async with asyncio.timeout(OPEN_SECONDS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LINE_BYTES_MAX)
        try:
            self._cut_later(writer.transport)
            body = json.dumps(self._request())
            writer.write(
                f"POST /graphql/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Authorization: Bearer {self.token}\r\nAccept: text/event-stream\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                f"{body}".encode()
            )
            status = (await reader.readline()).decode().strip()
            if status != "HTTP/1.1 200 OK":
                raise ConnectionError(status)
            async for line in reader:
                if line.startswith(b"event: complete"):
                    self._take({"type": "complete"})
                    return
                if line.startswith(b"data: {") and not self._take(
                    {"type": "next", "payload": json.loads(line[len(b"data: ") :])}
                ):
                    return
        finally:
            writer.transport.abort()

    def _request(self) -> dict[str, Any]:
        self.sent = self.cursor
        return {"query": self.document, "variables": {**self.variables, "after": self.sent}}

    def _cut_later(self, transport: asyncio.WriteTransport) -> None:
        if self.cut_seconds_max:
            seconds = self.choose.uniform(0, self.cut_seconds_max)
            asyncio.get_running_loop().call_later(seconds, self._cut, transport)

    def _cut(self, transport: asyncio.WriteTransport) -> None:
        """Vanish without a word, wherever the stream is."""
        if not transport.is_closing():
            self.counts["cuts"] += 1
            transport.abort()

    async def _say(
        self, socket: ClientConnection, type: str, payload: object = None, **more: str
    ) -> None:
        said = {"type": type, **more} | ({"payload": payload} if payload else {})
        await socket.send(json.dumps(said))

    def _take(self, message: dict[str, Any]) -> bool:
        """Whether the stream goes on after this message."""
        if message["type"] == "complete":
            self.wrong.append(f"completed after {self.cursor and _seq(self.cursor)}")
            return False
        is_over = message["type"] == "error"
        payload = message["payload"]
        for error in payload if is_over else payload.get("errors", ()):
            self.counts[f"error {error.get('extensions', {}).get('code')}"] += 1
        if is_over or not payload["data"]:
            return False
        (item,) = payload["data"].values()
        self._got(item)
        self.moved.set()
        return True

    def _got(self, item: dict[str, Any]) -> None:
        type_name, cursor = item["__typename"], item["cursor"]
        if "seq" in item:
            self._logged(item)
        elif type_name == "StreamMark":
            self.counts[type_name] += 1
            if _seq(cursor) < self.last:
                self.wrong.append(f"a mark at {_seq(cursor)} after {self.last}")
        else:
            self._open(type_name, cursor)
        self.cursor = cursor

    def _logged(self, item: dict[str, Any]) -> None:
        self.events.append((item["seq"], item["occurredAt"]))
        if _seq(item["cursor"]) != item["seq"]:
            self.wrong.append(f"the cursor of {item['seq']} is of {_seq(item['cursor'])}")
        # What was caught up with is as late as the cut was long.
        logged_at, now = datetime.fromisoformat(item["occurredAt"]).timestamp(), time.time()
        if logged_at > self.is_open_since:
            self.lags.append((now, now - logged_at))

    def _open(self, type_name: str, cursor: str) -> None:
        self.counts[type_name] += 1
        self.is_open_since = time.time()
        if self.sent is None:
            self.start = _seq(cursor)
        elif (type_name, cursor) != ("StreamResumed", self.sent):
            self.wrong.append(f"{type_name} at {_seq(cursor)} instead of {_seq(self.sent)}")

    async def reaches(self, until: int | None) -> None:
        """The first snapshot, or an event that must still come."""
        while self.start is None or (until is not None and until > self.last):
            self.moved.clear()
            await self.moved.wait()

    @property
    def last(self) -> int:
        """The number of the newest event that it got."""
        return self.events[-1][0] if self.events else 0

    def result(self) -> dict[str, Any]:
        names = ("name", "start", "events", "lags", "wrong", "counts")
        return {name: getattr(self, name) for name in names}


def _seq(cursor: str) -> int:
    return Position.of_cursor(cursor).seq


def _code(error: BaseException) -> str:
    if isinstance(error, ConnectionClosed):
        return str(error.rcvd.code) if error.rcvd else ""
    return str(error) if type(error) is ConnectionError else ""


async def _line() -> Any:
    return json.loads(await asyncio.to_thread(sys.stdin.readline))


def _tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main() -> None:
    told = await _line()
    subscribers = [
        Subscriber(ports=told["ports"], choose=random.Random(it.pop("seed")), **it)
        for it in told["subscribers"]
    ]
    following = [asyncio.create_task(subscriber.follow()) for subscriber in subscribers]
    await asyncio.gather(*(subscriber.reaches(None) for subscriber in subscribers))
    _tell({subscriber.name: subscriber.start for subscriber in subscribers})
    until = await _line()
    with suppress(TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS_MAX):
            await asyncio.gather(*(it.reaches(until[it.name]) for it in subscribers))
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    _tell([subscriber.result() for subscriber in subscribers])


if __name__ == "__main__":
    asyncio.run(main())
