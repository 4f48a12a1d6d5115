"""The real desk that the one in plain Python is compared with: founded once, then put back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from models import Agent, Conversation, Workspace, invariant, verify
from models.access import Actor, ActorKind, Role
from models.base import Line
from models.channel import Channel, ChannelKind, ChannelStatus
from models.closure import ClosingReason
from models.database import Row, fetch, fetchval, snapshot, tx
from models.decision import Distribution
from models.identity import Sender
from models.inbound import Received, receive
from models.invariant import Invariant
from models.owner import set_owner
from models.reservation import IN_FORCE
from models.team import Team
from models.verify import Violation, violations_in
from tests import factories
from tests.desk import rows
from tests.desk.queues import LEASE, Desk
from tests.desk.rows import Caller, Customer, Person

PEOPLE = {
    "ann": Role.AGENT,
    "ben": Role.AGENT,
    "cleo": Role.AGENT,
    "boss": Role.OPERATOR,
    "root": Role.ADMIN,
    "eve": Role.AUDITOR,
    "mark": Role.MARKETING,
}
CUSTOMERS = ("ada", "bob", "cora")
SCOPES = ("conversations:write", "conversations:assign", "messages:receive", "tickets:write")
BOTH = (Line.SALES, Line.SUPPORT)


@dataclass(frozen=True)
class Office:
    """Names of what there is, and a desk as it is at the beginning."""

    workspace: Workspace
    people: dict[str, UUID]
    teams: dict[str, UUID]
    channels: dict[str, UUID]
    customers: dict[str, UUID]
    reason: UUID
    numbers: "count[int]"

    def actor(self, by: Caller) -> Actor:
        if by.person is None:
            return factories.as_integration(self.workspace, *SCOPES)
        return Actor(ActorKind.AGENT, self.workspace.id, by.person, by.role)

    async def desk(self) -> Desk:
        """What the rows are at the beginning, read once; from there on it is on its own."""
        now = await fetchval("SELECT relevo_now()")
        people = {id: Person(id, PEOPLE[name]) for name, id in self.people.items()}
        for lease in await fetch("SELECT agent_id, device, expires_at FROM presence_leases"):
            people[lease["agent_id"]].leases[lease["device"]] = lease["expires_at"]
        members = await fetch("SELECT team_id, agent_id, position FROM memberships")
        teams = {
            team.id: rows.Team(
                team.id,
                team.line,
                team.is_todos,
                team.parent_id,
                team.priority,
                team.distribution,
                places={r["agent_id"]: r["position"] for r in members if r["team_id"] == team.id},
            )
            for team in await Team.all()
        }
        channels = {channel.id: _channel(channel) for channel in await Channel.all()}
        known = [Customer(name, id) for name, id in self.customers.items()]
        known[-1].owner = self.people["cleo"]
        customers = {(channel, c.name): c for channel in channels for c in known}
        return Desk(now, people, teams, channels, customers)

    async def write(self, channel: UUID, name: str, *, by: Caller, line: Line | None) -> Received:
        return await receive(
            by=self.actor(by),
            channel_id=channel,
            external_id=f"message-{next(self.numbers)}",
            sender=Sender(name),
            text="Hello?",
            line=line,
        )

    async def work(
        self, id: UUID, verb: Callable[..., Awaitable[Any]], *, by: Actor, version: int | None
    ) -> None:
        async with tx():
            await verb(await Conversation.locked(id, by=by, expected_version=version), by=by)


def _channel(channel: Channel) -> rows.Channel:
    lines = (Line.SALES,) if channel.kind is ChannelKind.WEBCHAT else BOTH
    return rows.Channel(
        channel.id,
        lines,
        channel.default_line,
        channel.status is ChannelStatus.CONNECTED,
        teams={Line.SALES: channel.sales_team_id, Line.SUPPORT: channel.support_team_id},
    )


async def founded() -> Office:
    """A company of seven people, six teams and five channels, with time standing still."""
    await fetch("UPDATE test_clock SET stopped_at = clock_timestamp()")
    workspace = await factories.a_workspace()
    # Sorted, so that ties broken by id fall the same way in every run.
    ids = sorted([(await factories.an_agent(workspace, capacity=1)).id for _ in PEOPLE])
    people = dict(zip(PEOPLE, ids, strict=True))
    for name, role in PEOPLE.items():
        await Agent.filter(id=people[name]).update(role=role)
    # Somebody has to be away for what waits for an absent owner.
    await fetch("DELETE FROM presence_leases WHERE agent_id = $1", people["cleo"])
    teams = await _teams(workspace, people)
    channels = await _channels(workspace, teams)
    contacts = {
        name: (await factories.a_contact(*channels.values(), sender=name)).id for name in CUSTOMERS
    }
    await set_owner(
        contacts[CUSTOMERS[-1]], by=factories.by_system(workspace), agent_id=people["cleo"]
    )
    reason = await ClosingReason.add(by=factories.by_system(workspace), name="Sold")
    await _keep()
    return Office(
        workspace,
        people,
        {name: team.id for name, team in teams.items()},
        {name: channel.id for name, channel in channels.items()},
        contacts,
        reason.id,
        count(),
    )


async def _teams(workspace: Workspace, people: dict[str, UUID]) -> dict[str, Team]:
    agents = {name: await Agent.get(id=id) for name, id in people.items()}
    found = partial(factories.a_team, workspace)
    turns, least = Distribution.ROUND_ROBIN, Distribution.LEAST_OPEN
    named = {
        name: [agents[member] for member in members.split()]
        for name, members in {
            "north": "ann ben",
            "south": "ben cleo",
            "help": "ann ben cleo",
            "care": "cleo ann boss",
        }.items()
    }
    north = await found(members=named["north"])
    return {
        "north": north,
        "south": await found(distribution=turns, members=named["south"], parent=north),
        "help": await found(line=Line.SUPPORT, distribution=turns, members=named["help"]),
        "care": await found(
            line=Line.SUPPORT, distribution=least, members=named["care"], priority=5
        ),
        "todos": await Team.todos(workspace.id, Line.SALES),
        "support": await Team.todos(workspace.id, Line.SUPPORT),
    }


async def _channels(workspace: Workspace, teams: dict[str, Team]) -> dict[str, Channel]:
    channels = {
        "phone": await factories.a_channel(workspace, team=teams["north"]),
        "hotline": await factories.a_channel(workspace, team=teams["help"]),
        "mail": await factories.a_channel(workspace, kind=ChannelKind.EMAIL, team=teams["care"]),
        "web": await factories.a_channel(workspace, kind=ChannelKind.WEBCHAT, team=teams["south"]),
        "new": await factories.a_channel(workspace),
    }
    await Channel.filter(id=channels["new"].id).update(status=ChannelStatus.PENDING)
    return channels


async def _keep() -> None:
    """Copy every table aside, so that the next example begins with the same rows."""
    await fetch("CREATE SCHEMA kept")
    for table in await _tables():
        await fetch(f'CREATE TABLE kept."{table}" AS SELECT * FROM public."{table}"')


async def putting_back() -> str:
    """What makes the database again what `founded` left."""
    tables = await _tables()
    emptied = [f'DELETE FROM public."{table}"' for table in tables]
    filled = [
        f'INSERT INTO public."{table}" ({columns}) SELECT {columns} FROM kept."{table}"'
        for table, columns in tables.items()
    ]
    steps = ["BEGIN", "SET LOCAL session_replication_role = replica", *emptied, *filled, "COMMIT"]
    return "; ".join(steps)


async def _tables() -> dict[str, str]:
    """Every table with its columns but for the generated ones."""
    found = await fetch(
        """
        SELECT table_name, string_agg(quote_ident(column_name), ', ') AS columns
        FROM information_schema.columns JOIN information_schema.tables
            USING (table_catalog, table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'aerich'
          AND is_generated = 'NEVER'
        GROUP BY 1
        """
    )
    return {row["table_name"]: row["columns"] for row in found}


# -- What the rows say

_PROMISES = [*verify.ALWAYS, invariant.NO_IDLE_CAPACITY]
# All of them in one statement: after every step, at the price of one.
EVERYTHING = Invariant(
    "Every promise holds",
    " UNION ALL ".join(
        f"SELECT '{number}: ' || detail FROM ({promise.breaches}) AS p{number}(detail)"
        for number, promise in enumerate(_PROMISES)
    ),
)
_CONVERSATIONS = f"""
    SELECT c.id, c.status, c.assignee_id AS holder, c.team_id AS team, c.line, c.version,
           CASE WHEN {IN_FORCE} THEN c.reserved_for_id END AS reserved_for,
           CASE WHEN c.status = 'QUEUED' THEN rank() OVER (
               PARTITION BY c.status, c.team_id ORDER BY c.queued_at, c.id) END AS place,
           coalesce(c.ticket_link = 'CONFIRMED', false) AS has_ticket,
           (SELECT count(*) FROM ticket_actions a WHERE a.conversation_id = c.id) AS actions
    FROM conversations c
"""


async def look() -> tuple[list[Violation], list[Row], dict[UUID, int]]:
    """What is broken, the conversations, and the loads, of one instant."""
    async with snapshot() as transaction:
        broken = await violations_in(transaction, [EVERYTHING])
        talks = await transaction.fetch(_CONVERSATIONS)
        loads = await transaction.fetch("SELECT id, load FROM agents")
    return broken, talks, {row["id"]: row["load"] for row in loads}


async def set_clock(passed: timedelta) -> None:
    await fetch("UPDATE test_clock SET shift = $1", passed)


async def stay_connected(people: list[UUID]) -> None:
    """As if their devices had gone on telling that they are there."""
    await fetch(
        "UPDATE presence_leases SET expires_at = relevo_now() + $2 WHERE agent_id = ANY($1)",
        people,
        LEASE,
    )
