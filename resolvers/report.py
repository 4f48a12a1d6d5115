"""What reports look like: a total, and rows of days, teams, agents or channels."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any, Generic, TypeVar

import strawberry

from models.report.catalogue import ROWS_MAX
from resolvers.context import Info
from resolvers.types import (
    Agent,
    Channel,
    ClosingReason,
    Row,
    Team,
    agent_of,
    channel_of,
    closing_reason_of,
    column,
    team_of,
)
from resolvers.vocabulary import Cause

RowType = TypeVar("RowType")
Read = Callable[[], Awaitable[Any]]


@strawberry.type(description="What a row is of; all are null where it is of what has none.")
class ReportKey:
    row: strawberry.Private[Row]

    @strawberry.field(description="The day, in the workspace's time zone.")
    def day(self) -> date | None:
        return self.row.get("day")

    @strawberry.field(description="The team.")
    async def team(self, info: Info) -> Team | None:
        return await team_of(info, self.row.get("team_id"))

    @strawberry.field(description="The agent.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row.get("agent_id"))

    @strawberry.field(description="The channel.")
    async def channel(self, info: Info) -> Channel | None:
        return await channel_of(info, self.row.get("channel_id"))


@strawberry.interface(description="Numbers of a report.")
class ReportRow:
    row: strawberry.Private[Row]

    @strawberry.field(description="What it is of; of a total, nothing in particular.")
    def key(self) -> ReportKey:
        return ReportKey(row=self.row)


@strawberry.type(description="Numbers over a range of time.")
class Report(Generic[RowType]):
    noun: strawberry.Private[type[Any]]
    read_total: strawberry.Private[Read]
    read_rows: strawberry.Private[Read]

    @strawberry.field(description="Over everything that was asked for.")
    async def total(self) -> RowType:
        shown: RowType = self.noun(row=dict(await self.read_total()))
        return shown

    @strawberry.field(
        description="By what was asked for: all days in order, anything "
        f"else with the largest first. At most {ROWS_MAX}; none where nothing divides the total."
    )
    async def rows(self) -> list[RowType]:
        found = await self.read_rows()
        return [self.noun(row=dict(row)) for row in found[:ROWS_MAX]]

    @strawberry.field(description="Whether these are all the rows there are.")
    async def is_complete(self) -> bool:
        return len(await self.read_rows()) <= ROWS_MAX


def seconds(name: str, description: str) -> Any:
    """A field that shows a time, which is null where there is none."""
    return column(float | None, name, description)


@strawberry.type(description="Conversations that began and ended.")
class ConversationsRow(ReportRow):
    opened = column(int, "opened", "Opened for the first time; of an agent, by hand.")
    reopened = column(int, "reopened", "Opened again after a closing.")
    closed = column(int, "closed", "Closed, by whomever.")


@strawberry.type(description="How many conversations began and ended.")
class ConversationsReport(Report[ConversationsRow]):
    pass


@strawberry.type(description="How long something took; a reopening starts the clock again.")
class TimesRow(ReportRow):
    count = column(int, "count", "How many there were.")
    median_seconds = seconds("median_seconds", "Half of them took no longer; null for none.")
    percentile90_seconds = seconds(
        "percentile90_seconds", "Nine of ten took no longer; null for none."
    )


@strawberry.type(description="How long something took.")
class TimesReport(Report[TimesRow]):
    pass


@strawberry.type(description="What was said.")
class MessagesRow(ReportRow):
    received = column(int, "received", "From customers; of an agent, while it held them.")
    sent = column(int, "sent", "To customers; of an agent, by it.")
    notes = column(int, "notes", "Private notes.")


@strawberry.type(description="How much was said.")
class MessagesReport(Report[MessagesRow]):
    pass


@strawberry.type(description="Contacts, as they were then: merging some later changes nothing.")
class ContactsRow(ReportRow):
    created = column(int, "created", "Seen for the first time; of no team and no agent.")
    active = column(int, "active", "Those with a conversation that was opened, or opened again.")


@strawberry.type(description="How many contacts there were.")
class ContactsReport(Report[ContactsRow]):
    pass


@strawberry.type(description="Conversations that agents got, and those that they lost again.")
class AssignmentsRow(ReportRow):
    assigned = column(int, "assigned", "Given to an agent, however.")
    picked = column(int, "picked", "Of these, taken by the agent.")
    assigned_by_hand = column(int, "assigned_by_hand", "Of these, given by somebody.")
    unassigned = column(
        int, "unassigned", "Given back or taken away, but not by a closing or a transfer."
    )
    timed_out = column(int, "timed_out", "Of these, because they were not answered in time.")


@strawberry.type(description="How many conversations agents got.")
class AssignmentsReport(Report[AssignmentsRow]):
    pass


@strawberry.type(description="Conversations that were handed over; of whoever gave them away.")
class TransfersRow(ReportRow):
    transferred = column(int, "transferred", "Handed over.")
    to_agents = column(int, "to_agents", "Of these, to an agent.")
    to_teams = column(int, "to_teams", "Of these, to a team.")


@strawberry.type(description="How many conversations were handed over.")
class TransfersReport(Report[TransfersRow]):
    pass


@strawberry.type(description="What one agent did.")
class LeaderboardRow(ReportRow):
    closed = column(int, "closed", "Conversations that closed in its hands.")
    assigned = column(int, "assigned", "Conversations that it got.")
    sent = column(int, "sent", "Messages that it sent.")
    first_response_median_seconds = seconds(
        "first_response_median_seconds", "Within which half its first responses came."
    )
    resolution_median_seconds = seconds(
        "resolution_median_seconds", "Within which half its conversations closed."
    )


@strawberry.type(description="The agents, whatever else rows are asked by; most closings first.")
class LeaderboardReport(Report[LeaderboardRow]):
    pass


@strawberry.type(description="How long agents were there; what goes on counts until now.")
class AvailabilityRow(ReportRow):
    online_seconds = column(float, "online_seconds", "Connected and working.")
    accepting_seconds = column(float, "accepting_seconds", "Of these, taking new conversations.")
    away_seconds = column(float, "away_seconds", "Connected, and not at the desk.")
    offline_seconds = column(float, "offline_seconds", "Not connected, or not working.")


@strawberry.type(description="How long agents were there, by agent or by day.")
class AvailabilityReport(Report[AvailabilityRow]):
    pass


@strawberry.type(description="A queue, or all that were asked for together.")
class QueueDepthRow(ReportRow):
    depth = column(int, "depth", "How many waited just before this began.")
    entered = column(int, "entered", "How many came.")
    departed = column(int, "departed", "How many left, however.")
    longest_seconds = seconds("longest_seconds", "The longest stay of those that left.")
    median_seconds = seconds("median_seconds", "Half of those that left stayed no longer.")
    percentile90_seconds = seconds(
        "percentile90_seconds", "Nine of ten of those that left stayed no longer."
    )

    @strawberry.field(description="When this hour or day begins; null for a team or a channel.")
    def begins_at(self) -> datetime | None:
        return self.row.get("begins_at")


@strawberry.type(description="How many wait at this moment.")
class QueueNow:
    waiting: int = strawberry.field(description="How many.")
    longest_seconds: float | None = strawberry.field(
        description="How long the first has waited in its queue; null when empty."
    )


@strawberry.type(
    description="How many waited: by hour, from a week on by day; or by team, channel."
)
class QueueDepthReport(Report[QueueDepthRow]):
    read_now: strawberry.Private[Read]

    @strawberry.field(description="How many wait now, whatever the range.")
    async def now(self) -> QueueNow:
        live = await self.read_now()
        return QueueNow(waiting=live.waiting, longest_seconds=live.longest_seconds)


@strawberry.type(description="Closings of one cause and reason.")
class ClosingsRow(ReportRow):
    closed = column(int, "closed", "How many.")

    @strawberry.field(description="Who or what closed them; INACTIVE for idleness.")
    def cause(self) -> Cause | None:
        cause = self.row.get("cause")
        return None if cause is None else Cause(cause)

    @strawberry.field(description="The reason that was given; null for none.")
    async def closing_reason(self, info: Info) -> ClosingReason | None:
        return await closing_reason_of(info, self.row.get("reason_id"))


@strawberry.type(description="Closings by cause and reason.")
class ClosingsReport(Report[ClosingsRow]):
    pass
