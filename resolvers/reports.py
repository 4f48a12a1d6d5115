"""Asking for reports: one scope, and whichever reports are wanted of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, TypeVar

import strawberry

from models.report.catalogue import QUEUE_DEPTH, REPORTS, ROWS_MAX, may_read
from models.report.scope import Asked, Grouping, Scope
from resolvers.context import Info
from resolvers.enums import described
from resolvers.ids import decode
from resolvers.report import (
    AssignmentsReport,
    AssignmentsRow,
    AvailabilityReport,
    AvailabilityRow,
    ClosingsReport,
    ClosingsRow,
    ContactsReport,
    ContactsRow,
    ConversationsReport,
    ConversationsRow,
    LeaderboardReport,
    LeaderboardRow,
    MessagesReport,
    MessagesRow,
    QueueDepthReport,
    QueueDepthRow,
    Report,
    ReportRow,
    TimesReport,
    TimesRow,
    TransfersReport,
    TransfersRow,
)

ReportType = TypeVar("ReportType", bound=Report[Any])
Answer = TypeVar("Answer")

described(
    Grouping,
    "ReportGrouping",
    DAY="Days of the workspace's time zone.",
    TEAM="The teams that conversations were of at the time.",
    AGENT="The agents whose doing it was.",
    CHANNEL="The channels.",
)


@strawberry.input(
    description="Which time and what of it: days, or instants; the second bound is left out."
)
class ReportScope:
    from_day: date | None = strawberry.field(
        default=None, description="From this day on, in the workspace's time zone."
    )
    to_day: date | None = strawberry.field(
        default=None, description="Until just before this day; at most 366 days."
    )
    from_: datetime | None = strawberry.field(
        default=None, name="from", description="From this instant on, instead of days."
    )
    to: datetime | None = strawberry.field(
        default=None, description="Until just before this instant."
    )
    team_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of any of these teams only; at most 20."
    )
    agent_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of any of these agents only; at most 20."
    )
    channel_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of any of these channels only; at most 20."
    )
    group_by: Grouping | None = strawberry.field(
        default=None, description="What the rows are of; null for none, but where they always are."
    )

    def asked(self) -> Asked:
        return Asked(
            from_day=self.from_day,
            to_day=self.to_day,
            from_at=self.from_,
            to_at=self.to,
            team_ids=_decoded("Team", self.team_ids),
            agent_ids=_decoded("Agent", self.agent_ids),
            channel_ids=_decoded("Channel", self.channel_ids),
            group_by=self.group_by,
        )


def _decoded(type_name: str, ids: list[strawberry.ID] | None) -> Any:
    return None if ids is None else tuple(decode(type_name, id) for id in ids)


def report(name: str, type_: type[ReportType], noun: type[ReportRow], description: str) -> Any:
    """A field that shows a report, which reads nothing before it is asked what for."""

    def shown(self: "Reports") -> Any:
        return self.shown(name, type_, noun)

    shown.__annotations__["return"] = type_ | None
    return strawberry.field(shown, description=description)


@strawberry.type(
    description="The reports of a time. An agent's are of its own work; those of whoever reads all "
    "are the same for an ended time whenever they are read."
)
class Reports:
    scope: strawberry.Private[Scope]
    # An operation reads one report after the other, so that it never takes the whole pool.
    turn: strawberry.Private[asyncio.Lock]

    conversations = report(
        "conversations",
        ConversationsReport,
        ConversationsRow,
        "Conversations that began and ended.",
    )
    first_responses = report(
        "firstResponses",
        TimesReport,
        TimesRow,
        "From an opening, or a reopening, to a person's first response; when it was sent. What was "
        "opened by hand has none: no customer waited.",
    )
    resolutions = report(
        "resolutions",
        TimesReport,
        TimesRow,
        "From an opening, or a reopening, to the closing; when it closed.",
    )
    messages = report("messages", MessagesReport, MessagesRow, "What was said.")
    contacts = report("contacts", ContactsReport, ContactsRow, "Contacts, new and active.")
    assignments = report(
        "assignments", AssignmentsReport, AssignmentsRow, "Conversations that agents got and lost."
    )
    transfers = report(
        "transfers", TransfersReport, TransfersRow, "Conversations that were handed over."
    )
    leaderboard = report(
        "leaderboard", LeaderboardReport, LeaderboardRow, "Who did how much, and how fast."
    )
    availability = report(
        "availability",
        AvailabilityReport,
        AvailabilityRow,
        "How long agents were there; nothing of teams or channels.",
    )
    closings = report("closings", ClosingsReport, ClosingsRow, "Closings by cause and reason.")

    @strawberry.field(
        description="How many waited; nothing of agents. Null for whoever reads only its own."
    )
    def queue_depth(self) -> QueueDepthReport | None:
        if not may_read(QUEUE_DEPTH, self.scope):
            return None
        now = self.in_turn(partial(QUEUE_DEPTH.live, self.scope))
        return self.shown("queueDepth", QueueDepthReport, QueueDepthRow, read_now=now)

    def shown(
        self, name: str, type_: type[ReportType], noun: type[ReportRow], **more: Any
    ) -> ReportType:
        asked = REPORTS[name]
        asked.require(self.scope)
        return type_(
            noun=noun,
            read_total=self.in_turn(partial(asked.total, self.scope)),
            # One more tells whether there are more.
            read_rows=self.in_turn(partial(asked.rows, self.scope, limit=ROWS_MAX + 1)),
            **more,
        )

    def in_turn(self, read: Callable[[], Awaitable[Answer]]) -> Callable[[], Awaitable[Answer]]:
        """The same reading when it is its turn, and once however often it is asked for."""
        answers: list[Answer] = []

        async def wait_and_read() -> Answer:
            async with self.turn:
                if not answers:
                    answers.append(await read())
            return answers[0]

        return wait_and_read


@strawberry.type
class ReportQuery:
    @strawberry.field(description="Reports of a time.")
    async def reports(
        self,
        info: Info,
        scope: Annotated[
            ReportScope, strawberry.argument(description="Which time, and what of it.")
        ],
    ) -> Reports:
        found = await Scope.of(scope.asked(), by=info.context.by)
        return Reports(scope=found, turn=asyncio.Lock())
