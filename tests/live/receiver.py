"""A process of its own that webhooks are sent to, and that behaves badly from time to time.

    python -m tests.live.receiver PORT FILE SEED BAD

BAD of a hundred requests are not simply accepted.
Each request is a line of the file before it is answered, so that a killed one forgets nothing.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

SLOW_SECONDS = 0.5
ACCEPTING = ("accepts", "is slow", "accepts and vanishes")
BAD = ("refuses", "is slow", "vanishes", "accepts and vanishes")


async def serve(port: int, file: TextIO, choose: random.Random, bad: int) -> None:
    def manner() -> str:
        return choose.choice(BAD) if choose.random() < bad / 100 else "accepts"

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await _take(reader, writer, file, manner):
                pass
        writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


async def _take(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    file: TextIO,
    choose: Callable[[], str],
) -> bool:
    """Whether the connection goes on after one more request."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields if field)
    body = json.loads(await reader.readexactly(int(headers["content-length"])))
    manner, path, seq = choose(), line.split(" ")[1], body["data"]["seq"]
    if manner == "is slow":
        await asyncio.sleep(SLOW_SECONDS)
    file.write(json.dumps([path, seq, manner, headers["webhook-id"]]) + "\n")
    file.flush()
    if manner in ("accepts", "is slow"):
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    elif manner == "refuses":
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    else:
        return False
    await writer.drain()
    return True


if __name__ == "__main__":
    port, path, seed, bad = sys.argv[1:]
    with open(path, "a") as opened:
        asyncio.run(serve(int(port), opened, random.Random(seed), int(bad)))
