"""Business hours as the API shows and takes them."""

import re
from datetime import date
from enum import Enum
from typing import Any

import strawberry

from models.errors import BadUserInput
from models.hours import BusinessHours as Hours
from models.hours import Interval
from resolvers.enums import described

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


class Weekday(Enum):
    """A day of the week, by its number of ISO 8601."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7


described(Weekday, "Weekday", **{day.name: f"{day.name.capitalize()}." for day in Weekday})


@strawberry.type(description="From when until just before when, on a day of the week.")
class BusinessInterval:
    interval: strawberry.Private[Interval]

    @strawberry.field(description="The day.")
    def day(self) -> Weekday:
        return Weekday(self.interval.day)

    @strawberry.field(description="From `HH:MM` on.")
    def opens(self) -> str:
        return _shown(self.interval.opens)

    @strawberry.field(description="Until just before `HH:MM`; `24:00` is the end of the day.")
    def closes(self) -> str:
        return _shown(self.interval.closes)


@strawberry.type(description="When conversations are given out.")
class BusinessHours:
    hours: strawberry.Private[Hours]

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> "BusinessHours | None":
        return cls(hours=Hours.recall(stored)) if stored else None

    @strawberry.field(description="The time zone by its name, such as `America/Sao_Paulo`.")
    def time_zone(self) -> str:
        return self.hours.time_zone

    @strawberry.field(description="The intervals of a week, in order.")
    def weekly(self) -> list[BusinessInterval]:
        return [BusinessInterval(interval=interval) for interval in self.hours.weekly]

    @strawberry.field(description="Days that are closed, whatever the week says.")
    def holidays(self) -> list[date]:
        return list(self.hours.holidays)


@strawberry.input(description="From when until just before when, on a day of the week.")
class BusinessIntervalInput:
    day: Weekday = strawberry.field(description="The day.")
    opens: str = strawberry.field(description="From `HH:MM` on.")
    closes: str = strawberry.field(description="Until just before `HH:MM`, or `24:00`.")


@strawberry.input(description="When conversations are given out.")
class BusinessHoursInput:
    time_zone: str = strawberry.field(description="By its name, such as `America/Sao_Paulo`.")
    weekly: list[BusinessIntervalInput] = strawberry.field(
        description="At most 50 intervals, several a day; none is always closed."
    )
    holidays: list[date] = strawberry.field(
        default_factory=list, description="At most 400 days that are closed."
    )

    def stored(self) -> dict[str, Any]:
        """The form that records keep; raises BadUserInput."""
        weekly = [
            Interval(it.day.value, _minutes(it.opens), _minutes(it.closes)) for it in self.weekly
        ]
        return Hours.of(self.time_zone, weekly, self.holidays).stored()


def stored_hours(
    change: strawberry.Some[BusinessHoursInput | None] | None,
) -> strawberry.Some[dict[str, Any] | None] | None:
    """A change of hours in the form that records keep; none stays none, and null null."""
    if change is None:
        return None
    return strawberry.Some(change.value.stored() if change.value else None)


def _minutes(time: str) -> int:
    if not _TIME.fullmatch(time):
        raise BadUserInput("A time of the day is written as HH:MM.", path="input.businessHours")
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


def _shown(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
