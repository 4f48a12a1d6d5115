"""Business hours: when automatic distribution gives conversations out.

Of the workspace, over them the team's, over those the agent's; where none are set it is always
open. They are kept as JSON, and `relevo_is_open` in the database answers for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

from models.database import fetchval
from models.errors import BadUserInput

DAYS = 7
MINUTES_OF_DAY = 24 * 60
INTERVALS_MAX = 50
HOLIDAYS_MAX = 400
ZONE_NAMED = "A time zone has a name such as America/Sao_Paulo."


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From `opens` until just before `closes` on a day of the week.

    Days are 1 (Monday) to 7; times are minutes from midnight, and a day ends at 1,440.
    """

    day: int
    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """Weekly intervals in a time zone, but for holidays, which are closed all day."""

    time_zone: str
    weekly: tuple[Interval, ...]
    holidays: tuple[date, ...] = ()

    @classmethod
    def of(
        cls, time_zone: str, weekly: Sequence[Interval], holidays: Sequence[date] = ()
    ) -> "BusinessHours":
        """Raise BadUserInput for an unknown zone, intervals that overlap, or too many."""
        _require_named(time_zone, path="input.businessHours")
        if len(weekly) > INTERVALS_MAX or len(holidays) > HOLIDAYS_MAX:
            raise BadUserInput(
                f"Hours have at most {INTERVALS_MAX} intervals and {HOLIDAYS_MAX} holidays.",
                path="input.businessHours",
            )
        ordered = tuple(sorted(weekly))
        _require_intervals(ordered)
        return cls(time_zone, ordered, tuple(sorted(set(holidays))))

    @classmethod
    def recall(cls, stored: dict[str, Any]) -> "BusinessHours":
        return cls(
            stored["time_zone"],
            tuple(Interval(**interval) for interval in stored["weekly"]),
            tuple(date.fromisoformat(day) for day in stored["holidays"]),
        )

    def stored(self) -> dict[str, Any]:
        """The form that the database's function reads."""
        return {
            "time_zone": self.time_zone,
            "weekly": [
                {"day": it.day, "opens": it.opens, "closes": it.closes} for it in self.weekly
            ],
            "holidays": [day.isoformat() for day in self.holidays],
        }


async def require_known_zone(stored: dict[str, Any] | None) -> None:
    """Raise BadUserInput when hours are of a time zone that the database lacks."""
    await require_zone(stored["time_zone"] if stored else None, path="input.businessHours")


async def require_zone(name: str | None, *, path: str) -> None:
    """Raise BadUserInput for a time zone that the database, which does the reckoning, lacks."""
    if name is None:
        return
    _require_named(name, path=path)
    if not await fetchval("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)", name):
        raise BadUserInput(ZONE_NAMED, path=path)


def _require_named(time_zone: str, *, path: str) -> None:
    if time_zone not in available_timezones():
        raise BadUserInput(ZONE_NAMED, path=path)


def _require_intervals(ordered: tuple[Interval, ...]) -> None:
    for it in ordered:
        if not (1 <= it.day <= DAYS and 0 <= it.opens < it.closes <= MINUTES_OF_DAY):
            raise BadUserInput(
                "An interval opens before it closes, on one day; a night is two intervals.",
                path="input.businessHours",
            )
    for before, it in pairwise(ordered):
        if before.day == it.day and it.opens < before.closes:
            raise BadUserInput("Intervals of one day do not overlap.", path="input.businessHours")
