"""What subscribers of one sight share is what each of them would be shown alone."""

from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import orjson
import pytest

from models import Agent, Conversation, Team, log
from models.access import Actor, Role
from models.closing import close
from models.errors import DomainError
from models.log import Event, Position
from models.owner import set_owner
from models.sight import Sight
from models.stream import Reader
from models.subscription import Logged
from models.ticket import link
from models.transfer import transfer
from resolvers import events
from resolvers.answers import Answer
from resolvers.context import Context
from resolvers.limits import parsed
from resolvers.schema import schema
from resolvers.sharing import SharingExecutor, Shown
from tests.factories import (
    a_message,
    a_team,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)
from tests.resolvers.client import Company

STEPS = 10
CONTACT = "name conversations { nodes { id } } tickets { nodes { subject } }"
CONVERSATION = """id status team { name } queue { id } contact { name } assignee { name load }
    ticket { subject requester { name } } messages { nodes { text } }"""
# Each asks in another way; the first in none that is anybody's own.
DOCUMENTS = {
    "plain": "... on ConversationEvent { conversation { id status queue { id } } }",
    "queues": "... on ConversationEvent { fromQueue { waitingCount } toQueue { name } }",
    "all": f"""... on ConversationEvent {{ conversation {{ {CONVERSATION} }} fromQueue {{ id }}
            toQueue {{ id }} fromAgent {{ name }} toAgent {{ name }} }}
        ... on MessageEvent {{ message {{ text author {{ name }} }} }}
        ... on ContactOwnerSet {{ contact {{ {CONTACT} }} }}
        ... on TicketEvent {{ ticket {{ subject conversations {{ nodes {{ id }} }} }} }}""",
}
EVERYTHING = "... on LoggedEvent {{ seq kind cursor actor {{ agent {{ name }} }} }} {}"
SCRIPTS = (("conversations:read",), ("tickets:read",), ("contacts:read", "conversations:read"))


def executor_of(actor: Actor, document: str) -> SharingExecutor:
    text = f"subscription {{ workspaceEvents {{ {EVERYTHING.format(document)} }} }}"
    context = Context(actor=actor, request_id="1", reader=Reader())
    built: Any = SharingExecutor.build(schema._schema, parsed(text), context_value=context)
    return built


async def shown(actor: Actor, event: Event, document: str) -> tuple[Any, Any]:
    """What an actor gets of an event with others of its sight, and alone."""
    executor = executor_of(actor, document)
    position = Position(UUID(int=1), event.seq, event.logged_at)
    logged = Logged(position, event, await Sight.of(actor))
    item = Shown(logged, lambda item: events.shown(item.event, item.position))
    alone: Answer = await executor._for_one(item, "1")
    return orjson.loads(await executor._payload(item)), orjson.loads(alone.payload)


@dataclass
class Office:
    """Teams and agents, some of whom are in several teams, and some in none."""

    company: Company
    teams: list[Team]
    agents: list[Agent]

    @classmethod
    async def of(cls, company: Company, chance: Random) -> "Office":
        teams = [company.team, company.spare, await a_team(company.workspace)]
        agents = [company.agent, company.operator]
        for size in (0, 1, 1, 2):
            members = chance.sample(teams, size)
            agents.append(await an_agent(company.workspace, teams=members))
        return cls(company, teams, agents)

    async def viewers(self) -> list[Actor]:
        """Every kind there is: whoever sees all, some, nothing; people and scripts."""
        workspace = self.company.workspace
        roles = (Role.AUDITOR, Role.MARKETING)
        others = [await an_agent(workspace, role=role) for role in roles]
        scripts = [as_integration(workspace, *scopes) for scopes in SCRIPTS]
        return [*map(as_agent, (*self.agents, self.company.admin, *others)), *scripts]

    async def something(self, chance: Random) -> None:  # noqa: C901 - a list of what may happen
        """One step of anybody's work, if it is allowed."""
        by, agent, team = by_system(self.company.workspace), *self.choice(chance)
        open_ones = Conversation.filter(workspace_id=by.workspace_id).exclude(status="CLOSED")
        id = chance.choice(await open_ones.order_by("opened_at").values_list("id", flat=True))
        match chance.choice(("write", "hand over", "close", "own", "link", "move", "move")):
            case "write":
                await a_message(self.company.channel, sender=f"customer-{chance.randrange(3)}")
            case "hand over":
                await transfer(id, by=by, to_agent=agent.id)
            case "move":
                await transfer(id, by=by, to_team=team.id)
                async with working(id, by=by) as conversation:
                    await conversation.assign(agent.id, by=by)
            case "close":
                async with working(id, by=by) as conversation:
                    await close(conversation, by=by)
            case "own":
                await set_owner(self.company.contact.id, by=by, agent_id=agent.id)
            case "link":
                async with working(id, by=by) as conversation:
                    await link.link(conversation, self.company.ticket.id, by=by)

    def choice(self, chance: Random) -> tuple[Agent, Team]:
        return chance.choice(self.agents), chance.choice(self.teams)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_shared_is_what_each_of_them_sees_alone(company: Company, seed: int) -> None:
    chance = Random(seed)
    office = await Office.of(company, chance)
    viewers = await office.viewers()
    for _ in range(STEPS):
        with suppress(DomainError):
            await office.something(chance)
    found = await log.read(company.workspace.id, after=0)
    told = {(each.kind, each.conversation_id): each for each in found}

    differences = [
        f"{name}: {event.kind} for {viewer.role} {sorted(viewer.scopes)}"
        for event in told.values()
        for name, document in [chance.choice(list(DOCUMENTS.items()))]
        for viewer in viewers
        for shared, alone in [await shown(viewer, event, document)]
        if shared != alone
    ]

    assert differences == []
