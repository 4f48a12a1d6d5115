"""A recorded day, one JSON object a line: reading it and telling good lines from broken ones."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

LINE_BYTES_MAX = 1024 * 1024
# A day is 25 hours long when clocks go back. Without a bound one absurd line could pace a replay
# to sleep for ever.
AT_SECONDS_MAX = 25 * 60 * 60
DIRECTIONS = ("INBOUND", "OUTBOUND")
# What a damaged file raises: the system's errors, a cut-off gzip stream, a corrupt one.
UNREADABLE = (OSError, EOFError, zlib.error)

# Exact types: bool is an int to isinstance, and is no time of day.
_TYPES: dict[str, tuple[type, ...]] = {
    "at": (int, float),
    "channel": (str,),
    "kind": (str,),
    "contact": (str,),
    "direction": (str,),
    "externalId": (str,),
    "topic": (str,),
    "text": (str,),
    "last": (bool,),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the day; `at` is in seconds from midnight."""

    number: int
    at: float
    channel: str
    kind: str
    contact: str
    direction: str
    external_id: str
    topic: str
    text: str
    last: bool


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line that cannot be played, and why."""

    number: int
    reason: str


@contextmanager
def recording(file: Path) -> Iterator[Iterator[Line | BrokenLine]]:
    """The lines of a .jsonl or .jsonl.gz file, read as they are asked for, so of any size.

    Raises one of UNREADABLE if nothing can be read; damage further on is a last broken line.
    """
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        # gzip looks at the file only when asked for its first byte.
        stream.peek(1)
        yield _lines(stream)


def count_lines(file: Path) -> int:
    """How many lines there are to go, for a progress bar."""
    with recording(file) as lines:
        return sum(1 for _ in lines)


def parse(number: int, raw: bytes) -> Line | BrokenLine:
    if len(raw) >= LINE_BYTES_MAX:
        return BrokenLine(number, f"longer than {LINE_BYTES_MAX} bytes")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return BrokenLine(number, f"not JSON: {error}")
    defect = _defect(fields)
    return BrokenLine(number, defect) if defect else _line(number, fields)


def _lines(stream: gzip.GzipFile | io.BufferedReader) -> Iterator[Line | BrokenLine]:
    number = 0
    try:
        for number, raw in enumerate(_raw_lines(stream), start=1):
            if not raw.isspace():
                yield parse(number, raw)
    except UNREADABLE as error:
        yield BrokenLine(number + 1, f"the recording cannot be read further: {error}")


def _raw_lines(stream: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes]:
    while raw := stream.readline(LINE_BYTES_MAX):
        yield raw
        # The rest of an overlong line belongs to the line just told.
        while len(raw) == LINE_BYTES_MAX and not raw.endswith(b"\n"):
            raw = stream.readline(LINE_BYTES_MAX)


def _defect(fields: object) -> str | None:
    if not isinstance(fields, dict):
        return "not a JSON object"
    for name, types in _TYPES.items():
        if name not in fields:
            return f"{name} is missing"
        if type(fields[name]) not in types:
            return f"{name} has the wrong type: {type(fields[name]).__name__}"
    if fields["direction"] not in DIRECTIONS:
        return f"direction is neither {' nor '.join(DIRECTIONS)}"
    return None if 0 <= fields["at"] <= AT_SECONDS_MAX else "at is outside the day"


def _line(number: int, fields: dict[str, Any]) -> Line:
    return Line(
        number=number,
        at=float(fields["at"]),
        channel=fields["channel"],
        kind=fields["kind"],
        contact=fields["contact"],
        direction=fields["direction"],
        external_id=fields["externalId"],
        topic=fields["topic"],
        text=fields["text"],
        last=fields["last"],
    )
