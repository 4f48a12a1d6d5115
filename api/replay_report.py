"""What a replay counted and measured, how it is told on the console."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table
from rich.text import Text

from api.recording import count_lines

Row = tuple[str, str]


def _seconds() -> "array[float]":
    # Eight bytes a measurement: all are kept, for percentiles that are exact.
    return array("d")


@dataclass(frozen=True, slots=True)
class Routes:
    """Where conversations were sent when customers wrote, and when the bot handed over."""

    opened: Counter[str]
    handed_off: Counter[str]


@dataclass(slots=True)
class Tally:
    """Counters by agent are keyed by the agent's id, the others by a reason that people read."""

    accepted: int = 0
    duplicates: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    opened: int = 0
    assigned: int = 0
    closed: int = 0
    still_open: int = 0
    owners: Counter[str] = field(default_factory=Counter)
    handed_off: int = 0
    waited: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    assignment_seconds: "array[float]" = field(default_factory=_seconds)
    receive_seconds: "array[float]" = field(default_factory=_seconds)
    hand_off_seconds: "array[float]" = field(default_factory=_seconds)
    events: int | None = None
    # As the log tells it, hence of the whole workspace; none where the token may not read it.
    routes: Routes | None = None
    duration_seconds: float = 0.0
    stopped: str | None = None

    @property
    def went_wrong(self) -> bool:
        return bool(self.refused or self.broken or self.stopped)

    @property
    def messages(self) -> int:
        """All that the server took, duplicates included: they are work to it as well."""
        return self.accepted + self.duplicates + self.sent.total()


def say(console: Console, text: str) -> None:
    """Print plain text: what a file or a server says is never markup."""
    console.print(Text(text), soft_wrap=True)


@contextmanager
def progress(console: Console, file: Path) -> Iterator[Callable[[], None]]:
    """A bar over the lines of a recording, one step a call; on a non-terminal, nothing."""
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Replaying", total=count_lines(file))
        yield lambda: bar.advance(task)


def report(tally: Tally, agents: Mapping[str, str], console: Console) -> None:
    """Print the tables; `agents` gives the names of the ids."""
    console.print(_table("Replay", ("", ""), _rows(tally)))
    if working := tally.held | tally.sent:
        columns = ("agent", "conversations held", "messages sent")
        console.print(_table("Agents", columns, sorted(_agent_rows(tally, working, agents))))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the measured values that at least this share of them does not exceed."""
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]


def _rows(tally: Tally) -> Iterator[Row]:
    yield "inbound messages accepted", f"{tally.accepted:,}"
    yield "duplicates ignored", f"{tally.duplicates:,}"
    yield "outbound messages sent", f"{tally.sent.total():,}"
    yield from _by_reason("unanswered", tally.unanswered)
    yield from _by_reason("refused", tally.refused)
    yield "broken lines", f"{tally.broken:,}"
    yield from _by_reason("contacts given an owner", tally.owners)
    yield "conversations opened", f"{tally.opened:,}"
    yield "conversations assigned", f"{tally.assigned:,}"
    yield "conversations closed", f"{tally.closed:,}"
    yield "conversations still open", f"{tally.still_open:,}"
    yield from _route_rows(tally)
    yield "message to assignment", _quantiles(tally.assignment_seconds)
    yield from _by_reason("had to wait for room", tally.waited)
    yield "messageReceive round trip", _quantiles(tally.receive_seconds)
    yield "events in the log", "unknown" if tally.events is None else f"{tally.events:,}"
    yield "duration", f"{tally.duration_seconds:,.1f} s"
    yield "messages per second", _rate(tally)
    if tally.stopped:
        yield "stopped early", tally.stopped


def _route_rows(tally: Tally) -> Iterator[Row]:
    if tally.routes:
        yield from _by_reason("routed when customers wrote", _to(tally.routes.opened))
        yield from _by_reason("routed after the bot", _to(tally.routes.handed_off))
    if tally.handed_off:
        yield "handed off by the bot", f"{tally.handed_off:,}"
        yield "hand-off to assignment", _quantiles(tally.hand_off_seconds)


def _to(places: Counter[str]) -> Counter[str]:
    return Counter({f"to {place}": count for place, count in places.items()})


def _agent_rows(
    tally: Tally, working: Iterable[str], agents: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    for agent in working:
        yield agents.get(agent, agent), f"{tally.held[agent]:,}", f"{tally.sent[agent]:,}"


def _by_reason(what: str, counts: Counter[str]) -> Iterator[Row]:
    yield what, f"{counts.total():,}"
    for reason, count in counts.most_common():
        yield f"  {reason}", f"{count:,}"


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none measured"
    p50, p99, longest = (percentile(seconds, share) * 1000 for share in (0.50, 0.99, 1.0))
    return f"p50 {p50:,.1f} ms, p99 {p99:,.1f} ms, max {longest:,.1f} ms"


def _rate(tally: Tally) -> str:
    return f"{tally.messages / tally.duration_seconds:,.1f}" if tally.duration_seconds else "0"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, show_header=any(columns))
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", overflow="fold")
    for row in rows:
        # As Text: a queue's name may look like markup.
        table.add_row(*(Text(cell) for cell in row))
    return table
