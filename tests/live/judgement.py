"""What each subscriber got against what the log says that it had to get, number by number."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

LOST_SHOWN_MAX = 5


@dataclass(frozen=True)
class Difference:
    """How one account of a log differs from the log."""

    lost: int = 0
    repeated: int = 0
    reordered: int = 0
    foreign: int = 0

    def __bool__(self) -> bool:
        return self != Difference()

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            self.lost + other.lost,
            self.repeated + other.repeated,
            self.reordered + other.reordered,
            self.foreign + other.foreign,
        )


Entry = tuple[int, str]  # the number of an event and when it was logged, which no other has both


def difference(logged: Sequence[Entry], got: Sequence[Entry]) -> Difference:
    """Nothing but for the same events, each once, in the same order."""
    counts = Counter(got)
    once = list(counts)  # in the order of first occurrence
    return Difference(
        lost=len(set(logged) - set(got)),
        repeated=len(got) - len(once),
        reordered=sum(later < earlier for earlier, later in pairwise(once)),
        foreign=len(set(got) - set(logged)),
    )


@dataclass
class Report:
    """What a storm came to."""

    subscribers: int = 0
    events: int = 0
    deliveries: int = 0
    difference: Difference = field(default_factory=Difference)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    kills: int = 0

    @property
    def is_clean(self) -> bool:
        return not self.difference and not self.wrong and not self.counts["StreamReset"]

    def add(self, logged: list[Entry], result: dict[str, Any]) -> None:
        """Judge one subscriber's account."""
        got = [(seq, at) for seq, at in result["events"]]
        self.subscribers += 1
        self.deliveries += len(got)
        found = difference(logged, got)
        self.difference += found
        self.counts.update(result["counts"])
        self.wrong += [f"{result['name']}: {what}" for what in result["wrong"]]
        if found:
            lost = sorted(set(logged) - set(got))
            self.wrong.append(f"{result['name']}: {found}, lost {lost[:LOST_SHOWN_MAX]}")
        self.lags += [lag for _, lag in result["lags"]]

    def line(self) -> str:
        shown = {
            "events": self.events,
            "subscribers": self.subscribers,
            "deliveries": self.deliveries,
            "lost": self.difference.lost,
            "repeated": self.difference.repeated,
            "reordered": self.difference.reordered,
            "foreign": self.difference.foreign,
            "disconnects": self.counts["cuts"],
            "kills": self.kills,
            "resumes": self.counts["StreamResumed"],
            "resets": self.counts["StreamReset"],
            "lag p50": f"{quantile(self.lags, 0.5) * 1_000:.1f} ms",
            "lag p99": f"{quantile(self.lags, 0.99) * 1_000:.1f} ms",
        }
        return ", ".join(f"{name} {value}" for name, value in shown.items())


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))] if ordered else 0.0
