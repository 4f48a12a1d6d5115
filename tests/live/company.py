"""A process of its own that founds companies to follow, and prints them as JSON.

python -m tests.live.company DATABASE_URL COMPANIES WATCHERS
"""

import asyncio
import json
import sys
from typing import Any

import structlog

from models import Agent, Contact, database
from models.access import SCOPES, Role
from models.base import Line
from models.decision import Distribution
from models.migration import upgrade
from models.token import Token
from resolvers.ids import encode
from tests.factories import (
    a_channel,
    a_conversation,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    by_system,
)

AGENTS = 6
TEAMS = 4
CONVERSATIONS = 8
TICKETS = 3
CAPACITY = 200


async def company(watchers: int) -> dict[str, Any]:
    """Agents who are all members of all teams, the last of which distributes; work for them.

    Every company has the same names. Each watcher is an integration with a token of its own.
    """
    workspace = await a_workspace("Acme")
    by = by_system(workspace)
    agents = [await an_agent(workspace, capacity=CAPACITY) for _ in range(AGENTS)]
    operator = await an_agent(workspace, role=Role.OPERATOR)
    manual = [await a_team(workspace, members=agents) for _ in range(TEAMS - 1)]
    # Nobody beats here: an agent counts also once its lease lapsed.
    automatic = await a_team(
        workspace, members=agents, distribution=Distribution.LEAST_OPEN, online_only=False
    )
    department = await a_team(workspace, line=Line.SUPPORT, members=[operator])
    teams = [*manual, automatic]
    channels = [await a_channel(workspace, team=team) for team in teams]
    conversations = [
        await a_conversation(workspace, channel=channels[number % len(channels)])
        for number in range(CONVERSATIONS)
    ]
    requester = await Contact.get(id=conversations[0].contact_id)
    tickets = [
        await a_ticket(requester, subject=f"Case {number}", department=department)
        for number in range(TICKETS)
    ]
    tokens = [await Token.issue(by=by, name="Watcher", scopes=SCOPES) for _ in range(watchers + 1)]
    secrets = [secret for _, secret in tokens]
    return {
        "workspace": str(workspace.id),
        "token": secrets[0],
        "watchers": secrets[1:],
        "agents": [await person(agent) for agent in agents],
        "operator": await person(operator),
        "teams": [record("Team", team) for team in teams],
        "queues": [record("Queue", team) for team in teams],
        "channels": [record("Channel", channel) for channel in channels],
        "conversations": [record("Conversation", it) for it in conversations],
        "tickets": [record("Ticket", ticket) for ticket in tickets],
    }


def record(type_name: str, it: Any) -> dict[str, str]:
    return {"id": encode(type_name, it.id), "uuid": str(it.id)}


async def person(agent: Agent) -> dict[str, str]:
    _, secret = await Token.open_session(agent)
    return {**record("Agent", agent), "token": secret}


async def main(database_url: str, companies: str, watchers: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    await upgrade(database_url)
    await database.connect(database_url, pool_max=2)
    founded = [await company(int(watchers)) for _ in range(int(companies))]
    sys.stdout.write(json.dumps(founded))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
