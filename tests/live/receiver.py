"""A process of its own that webhooks are sent to, and that behaves badly from time to time.

    python -m tests.live.receiver PORT FILE SEED

Each request is a line of the file before it is answered, so that a killed one forgets nothing.
"""

import asyncio
import json
import random
import sys
from contextlib import suppress
from typing import TextIO

SLOW_SECONDS_MAX = 1.0
# How often it does what, in a hundred requests.
MANNERS = {"accepts": 80, "refuses": 6, "is slow": 8, "vanishes": 3, "accepts and vanishes": 3}


async def serve(port: int, file: TextIO, choose: random.Random) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await _take(reader, writer, file, choose):
                pass
        writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


async def _take(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    file: TextIO,
    choose: random.Random,
) -> bool:
    """Whether the connection goes on after one more request."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields if field)
    body = json.loads(await reader.readexactly(int(headers["content-length"])))
    (manner,) = choose.choices(list(MANNERS), list(MANNERS.values()))
    path, seq = line.split(" ")[1], body["data"]["seq"]
    if manner == "is slow":
        await asyncio.sleep(choose.random() * SLOW_SECONDS_MAX)
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
    with open(sys.argv[2], "a") as opened:
        asyncio.run(serve(int(sys.argv[1]), opened, random.Random(int(sys.argv[3]))))
