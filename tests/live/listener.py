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
                await self.connected(self.ports[port])
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
            if self.cut_seconds_max:
                seconds = self.choose.uniform(0, self.cut_seconds_max)
                asyncio.get_running_loop().call_later(seconds, self._cut, socket)
            await self._say(socket, "connection_init", {"authorization": f"Bearer {self.token}"})
            self.sent = self.cursor
            variables = {**self.variables, "after": self.sent}
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] == "connection_ack":
                    payload = {"query": self.document, "variables": variables}
                    await self._say(socket, "subscribe", payload, id="1")
                elif message["type"] == "ping":
                    await self._say(socket, "pong")
                elif not self._take(message):
                    return

    def _cut(self, socket: ClientConnection) -> None:
        """Vanish without a word, wherever the stream is."""
        if not socket.transport.is_closing():
            self.counts["cuts"] += 1
            socket.transport.abort()

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
        if type_name in ("StreamSnapshot", "StreamResumed", "StreamReset"):
            self._open(type_name, cursor)
        elif "seq" in item:
            self.events.append((item["seq"], item["occurredAt"]))
            if _seq(cursor) != item["seq"]:
                self.wrong.append(f"the cursor of {item['seq']} is of {_seq(cursor)}")
            # What was caught up with is as late as the cut was long.
            logged_at = datetime.fromisoformat(item["occurredAt"]).timestamp()
            now = time.time()
            if logged_at > self.is_open_since:
                self.lags.append((now, now - logged_at))
        self.cursor = cursor

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
    received = error.rcvd if isinstance(error, ConnectionClosed) else None
    return str(received.code) if received else ""


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
