"""Who may do and see what: one table for every role, and for every scope alone."""

from collections.abc import Mapping
from typing import Any

import pytest

from models import Agent, Conversation, Team
from models.access import SCOPES, Actor, Role
from models.base import Line
from models.closing import close
from models.decision import Distribution
from models.reopening import reopen
from resolvers.ids import encode
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_team,
    an_agent,
    by_system,
    working,
)
from tests.resolvers.client import (
    BusyCompany,
    Client,
    Company,
    contents,
    integration_of,
    session_of,
)
from tests.resolvers.conftest import As
from tests.resolvers.documents import OPERATIONS, put, valid

PEOPLE = tuple(role.value for role in Role if role is not Role.INTEGRATION)
ROLES = (*PEOPLE, *SCOPES)
READ, WRITE, ASSIGN, RECEIVE, CONTACTS, EDIT, OWN, PRESENCE, SETTINGS, CONFIGURE, REPORTS = SCOPES[
    :11
]
TICKETS, WORK_TICKETS = SCOPES[11:]
SEEING = ("OPERATOR", "AUDITOR", "ADMIN", READ, WRITE, ASSIGN)
READING_CONTACTS = (*SEEING, "MARKETING", CONTACTS, EDIT, OWN)
EDITING_CONTACTS = ("OPERATOR", "ADMIN", EDIT)
SAVING_SEGMENTS = ("MARKETING", *EDITING_CONTACTS)
READING_TICKETS = ("OPERATOR", "AUDITOR", "ADMIN", TICKETS, WORK_TICKETS)
WORKING_TICKETS = ("OPERATOR", "ADMIN", WORK_TICKETS)
WORKING = ("OPERATOR", "ADMIN", WRITE)
CONFIGURING = ("ADMIN", CONFIGURE)
EVERYBODY = ROLES

# Whoever is not named gets nothing: an empty list, null, NOT_FOUND or FORBIDDEN.
MAY: Mapping[str, tuple[str, ...]] = {
    # Reading. Somebody's own work is tried further down.
    "agents": (*PEOPLE, READ, WRITE, ASSIGN, PRESENCE, SETTINGS, CONFIGURE),
    "channels": (*PEOPLE, READ, WRITE, ASSIGN, RECEIVE, SETTINGS, CONFIGURE),
    "closingReasons": EVERYBODY,
    "contact": READING_CONTACTS,
    # Agents read some contacts; what a workspace knows of all of them is no secret to them.
    "contactFields": ("AGENT", *READING_CONTACTS, CONFIGURE),
    "contacts": READING_CONTACTS,
    "conversation": SEEING,
    "conversationCanClose": SEEING,
    "conversations": SEEING,
    # An agent reads its own part.
    "events": (*PEOPLE, READ, REPORTS),
    "node": SEEING,
    "nodes": SEEING,
    # An agent reads of its own work.
    "reports": (*PEOPLE, REPORTS),
    "queue": SEEING,
    # An agent sees the Todos.
    "queues": ("AGENT", *SEEING),
    "tags": (*PEOPLE, READ, WRITE, ASSIGN, CONTACTS, EDIT, OWN, SETTINGS, CONFIGURE),
    "segments": ("AGENT", *READING_CONTACTS),
    "snippets": (*PEOPLE, SETTINGS, CONFIGURE),
    "team": (*PEOPLE, READ, WRITE, ASSIGN, SETTINGS, CONFIGURE),
    "teams": (*PEOPLE, READ, WRITE, ASSIGN, SETTINGS, CONFIGURE),
    "ticket": READING_TICKETS,
    "tickets": READING_TICKETS,
    "idlePolicyPreview": CONFIGURING,
    "routingPreview": SEEING,
    "viewer": EVERYBODY,
    "whyNot": SEEING,
    # An endpoint is sent the log: no single scope adds one and reads that.
    "webhook": ("ADMIN",),
    "webhooks": ("ADMIN",),
    "workflowRuns": SEEING,
    "workflowTemplates": EVERYBODY,
    "workflows": (*PEOPLE, SETTINGS, CONFIGURE),
    "workspace": EVERYBODY,
    # Commands.
    "agentCreate": CONFIGURING,
    "agentDeactivate": CONFIGURING,
    "agentInvite": ("ADMIN",),
    "agentReactivate": CONFIGURING,
    "agentSetAvailability": ("OPERATOR", "ADMIN", PRESENCE),
    "agentUpdate": CONFIGURING,
    "channelAssign": CONFIGURING,
    "channelCreate": CONFIGURING,
    "channelSetBot": CONFIGURING,
    "channelUpdate": CONFIGURING,
    "closingReasonCreate": CONFIGURING,
    "contactMerge": ("OPERATOR", "ADMIN", EDIT),
    "closingReasonDelete": CONFIGURING,
    "closingReasonUpdate": CONFIGURING,
    "contactSetOwner": ("OPERATOR", "ADMIN", OWN),
    "contactSplit": ("OPERATOR", "ADMIN", EDIT),
    "contactTag": ("OPERATOR", "MARKETING", "ADMIN", EDIT),
    "contactUntag": ("OPERATOR", "MARKETING", "ADMIN", EDIT),
    "contactCreate": EDITING_CONTACTS,
    "contactFieldCreate": CONFIGURING,
    "contactFieldDelete": CONFIGURING,
    "contactFieldUpdate": CONFIGURING,
    "contactUpdate": EDITING_CONTACTS,
    "conversationAssign": ("OPERATOR", "ADMIN", ASSIGN),
    "conversationClose": WORKING,
    "conversationHandOff": ("ADMIN", RECEIVE),
    # Only a person opens, takes over, or picks.
    "conversationOpen": ("OPERATOR", "ADMIN"),
    "conversationPauseBot": ("OPERATOR", "ADMIN"),
    "conversationPick": ("OPERATOR", "ADMIN"),
    # Of the scopes no single one sees a conversation and works tickets.
    "conversationLinkTicket": ("OPERATOR", "ADMIN"),
    "conversationProposeTicket": ("OPERATOR", "ADMIN", RECEIVE),
    "conversationUnlinkTicket": ("OPERATOR", "ADMIN"),
    "ticketLinkConfirm": ("OPERATOR", "ADMIN"),
    "ticketLinkReject": ("OPERATOR", "ADMIN"),
    "conversationReopen": WORKING,
    "conversationResumeBot": WORKING,
    "conversationSetLine": WORKING,
    "conversationSnooze": WORKING,
    "conversationTransfer": WORKING,
    "conversationUnassign": WORKING,
    "conversationWake": WORKING,
    "conversationsAssign": ("OPERATOR", "ADMIN", ASSIGN),
    "conversationsClose": WORKING,
    "conversationTag": WORKING,
    "conversationUntag": WORKING,
    "messageReceive": ("ADMIN", RECEIVE),
    "messageSend": WORKING,
    "messageSetDelivery": ("ADMIN", RECEIVE),
    "noteAdd": ("AUDITOR", *WORKING),
    # Only an invitation gives that right, to a stranger too.
    "passwordReset": (),
    "presenceBeat": ("OPERATOR", "ADMIN", PRESENCE),
    "segmentCreate": SAVING_SEGMENTS,
    "segmentDelete": SAVING_SEGMENTS,
    "segmentUpdate": SAVING_SEGMENTS,
    "signIn": (),
    "signOut": EVERYBODY,
    "snippetCreate": CONFIGURING,
    "snippetDelete": CONFIGURING,
    "snippetUpdate": CONFIGURING,
    # No script creates a sales group.
    "teamCreate": ("ADMIN",),
    "teamDelete": CONFIGURING,
    "teamMemberAdd": CONFIGURING,
    "teamMemberRemove": CONFIGURING,
    "teamMembersReorder": CONFIGURING,
    "teamUpdate": CONFIGURING,
    "ticketAddAction": WORKING_TICKETS,
    "ticketCreate": WORKING_TICKETS,
    "ticketUpdate": WORKING_TICKETS,
    "tokenCreate": CONFIGURING,
    "tokenRevoke": CONFIGURING,
    "webhookCreate": ("ADMIN",),
    "webhookDelete": ("ADMIN",),
    "webhookRedeliver": ("ADMIN",),
    "webhookTest": ("ADMIN",),
    "webhookUpdate": ("ADMIN",),
    "workflowArchive": CONFIGURING,
    "workflowCreate": CONFIGURING,
    "workflowCreateFromTemplate": CONFIGURING,
    "workflowPublish": CONFIGURING,
    "workflowRun": WORKING,
    "workflowUpdate": CONFIGURING,
    "workspaceUpdate": CONFIGURING,
}
# What is done to another conversation than the one that waits.
OTHERS = {"conversationReopen": "closed", "conversationUnassign": "held"}
# What whoever has no token may do too, with a secret of another kind.
STRANGERS = ("passwordReset", "signIn")
REFUSED = ({"FORBIDDEN"}, {"NOT_FOUND"})


@pytest.fixture
def company(busy_company: BusyCompany) -> BusyCompany:
    return busy_company


@pytest.fixture
async def bystander(company: Company) -> Agent:
    """An agent of no team at all."""
    return await an_agent(company.workspace)


async def a_client(role: str, company: Company, bystander: Agent, calling: As) -> Client:
    agents = {"AGENT": bystander, "OPERATOR": company.operator, "ADMIN": company.admin}
    if role in PEOPLE:
        agent = agents.get(role) or await an_agent(
            company.workspace, role=Role(role), connected=False
        )
        return calling(await session_of(agent))
    return calling(await integration_of(company.workspace, role))


def request_of(name: str, company: Company) -> tuple[str, dict[str, Any]]:
    operation = next(operation for operation in OPERATIONS if operation.name == name)
    variables = valid(operation, company)
    if name in OTHERS:
        record: Conversation = getattr(company, OTHERS[name])
        put(variables, ("input", "conversationId"), str(encode("Conversation", record.id)))
    return operation.document, variables


def test_the_table_has_every_query_and_mutation() -> None:
    named = {operation.name for operation in OPERATIONS if operation.kind != "subscription"}

    assert named == set(MAY)


# What needs a conversation that still waits comes before what ends it, and that before good-bye.
LAST = ("conversationPick", "conversationAssign", "conversationClose", "signOut")


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_what_the_table_says(
    company: Company, bystander: Agent, calling: As, role: str
) -> None:
    client = await a_client(role, company, bystander, calling)
    found = set()
    for name in (*sorted(set(MAY) - set(LAST)), *LAST):
        document, variables = request_of(name, company)
        before = await contents()

        answer = await client.ask(document, **variables)

        if answer.refusals:
            assert name in STRANGERS or set(answer.refusals) in REFUSED, (name, answer.refusals)
            assert await contents() == before, name
        elif something(answer.data[name]):
            found.add(name)

    assert found == {name for name, roles in MAY.items() if role in roles}


def something(value: Any) -> bool:
    """Whether anything was shown or done."""
    if isinstance(value, dict) and "edges" in value:
        return bool(value["edges"])
    if isinstance(value, list):
        return any(part is not None for part in value)
    return value is not None


@pytest.fixture
async def tree(company: Company) -> dict[str, Conversation]:
    """A conversation waiting in every kind of team, seen from the group of the same name."""
    workspace = company.workspace
    above = await a_team(workspace)
    own = await a_team(workspace, parent=above)
    below = await a_team(workspace, parent=own)
    teams = {
        "above": above,
        "own": own,
        "below": below,
        "further below": await a_team(workspace, parent=below),
        "beside": await a_team(workspace, parent=above),
        "department": await a_team(workspace, line=Line.SUPPORT),
    }
    found = {name: await a_conversation(workspace, team=team) for name, team in teams.items()}
    return {**found, "todos": await a_conversation(workspace)}


SEEN = {"own", "below", "further below", "todos", "held", "closed"}


@pytest.fixture
async def member(tree: dict[str, Conversation], company: Company) -> Agent:
    """An agent of the group "own", who also works what came to the group "beside".

    It holds one of these, held another when it was closed, and the last one before somebody else.
    """
    own = await Team.get(id=tree["own"].team_id)
    agent = await an_agent(company.workspace, teams=[own])
    beside = await Team.get(id=tree["beside"].team_id)
    for name in ("held", "closed", "closed by another since"):
        tree[name] = await a_conversation(company.workspace, team=beside, holder=agent)
    await closed(tree["closed"])
    since = tree["closed by another since"]
    await closed(since)
    await reopen(since.id, by=by_system(company.workspace))
    async with working(since.id, by=by_system(company.workspace)) as held:
        await held.assign(company.agent.id, by=by_system(company.workspace))
    await closed(since)
    return agent


async def closed(conversation: Conversation) -> None:
    by = Actor.system(conversation.workspace_id)
    async with working(conversation.id, by=by) as held:
        await close(held, by=by)


async def test_an_agent_lists_its_own_its_teams_those_below_and_todos(
    tree: dict[str, Conversation], member: Agent, calling: As
) -> None:
    client = calling(await session_of(member))

    answer = await client.ask("{ conversations { totalCount nodes { id } } }")

    names = {str(encode("Conversation", record.id)): name for name, record in tree.items()}
    page = answer["conversations"]
    assert {names.get(node["id"]) for node in page["nodes"]} == SEEN
    assert page["totalCount"] == len(SEEN)


async def test_an_agent_opens_what_it_lists(
    tree: dict[str, Conversation], member: Agent, calling: As
) -> None:
    client = calling(await session_of(member))
    ask = """query ($id: ID!, $contact: ID!, $queue: ID!) {
        conversation(id: $id) { messages { nodes { text } } } node(id: $id) { id }
        contact(id: $contact) { id } queue(id: $queue) { waitingCount } }"""
    found = {}
    for name, record in tree.items():
        answer = await client.ask(
            ask,
            id=encode("Conversation", record.id),
            contact=encode("Contact", record.contact_id),
            queue=encode("Queue", record.team_id or record.id),
        )
        assert answer.codes == []
        found[name] = {key for key, value in answer.data.items() if value is not None}

    everything = {"conversation", "node", "contact", "queue"}
    # Who holds a conversation, or held it last, sees it, but not the queue it came from.
    assert found.pop("held") == found.pop("closed") == everything - {"queue"}
    assert found == {name: everything if name in SEEN else set() for name in found}


async def test_an_agent_lists_the_contacts_and_queues_behind_them(
    tree: dict[str, Conversation], member: Agent, calling: As
) -> None:
    client = calling(await session_of(member))

    answer = await client.ask("{ contacts { nodes { id } } queues { nodes { id name } } }")

    contacts = {str(encode("Contact", tree[name].contact_id)) for name in SEEN}
    teams = {tree[name].team_id for name in SEEN - {"held", "closed"}}
    queues = {str(encode("Queue", id)) for id in teams if id}
    assert {node["id"] for node in answer["contacts"]["nodes"]} == contacts
    shown = {node["id"]: node["name"] for node in answer["queues"]["nodes"]}
    # Nothing is in the other line's Todos.
    assert queues < set(shown)
    assert [name for id, name in shown.items() if id not in queues] == ["Todos"]


COMMANDS = {
    "conversationPick": {},
    "conversationTransfer": {},
    "messageSend": {"text": "Hello."},
    "noteAdd": {"text": "Hm."},
    "conversationUnassign": {},
    "conversationClose": {},
}


async def test_what_an_agent_does_not_see_is_not_there_for_its_commands(
    tree: dict[str, Conversation], member: Agent, calling: As
) -> None:
    client = calling(await session_of(member))
    unseen = [name for name in tree if name not in SEEN]
    for name in unseen:
        for mutation, rest in COMMANDS.items():
            target = {"agentId": encode("Agent", member.id)} if "Transfer" in mutation else {}
            given = {"conversationId": encode("Conversation", tree[name].id), **rest, **target}

            answer = await client.do(mutation, given)

            assert answer.codes == ["NOT_FOUND"], (name, mutation)
    assert len(unseen) == 4


async def test_an_agent_finds_what_it_owns_and_what_it_held_last(
    company: Company, calling: As
) -> None:
    team = await a_team(company.workspace)
    owner = await an_agent(company.workspace, teams=[team])
    channel = await a_channel(company.workspace, team=team)
    contact = await a_contact(channel, sender="grace", owner_agent=owner)
    # Given to its owner directly, it is in no team.
    direct = await a_conversation(company.workspace, channel=channel, sender="grace")
    silent = await a_contact(channel, sender="silent", owner_agent=owner)
    await closed(direct)
    client = calling(await session_of(owner))
    given = {"contactId": encode("Contact", contact.id)}

    mine = await client.ask("{ contacts(filter: {ownedBy: ME}) { totalCount nodes { id } } }")
    tagged = await client.do(
        "conversationTag", {"conversationId": encode("Conversation", direct.id), "tags": ["vip"]}
    )
    renamed = await client.do("contactUpdate", {**given, "name": "Grace"})
    opened = await client.do(
        "conversationOpen", {**given, "channelId": encode("Channel", channel.id)}
    )

    ids = {str(encode("Contact", owned.id)) for owned in (contact, silent)}
    assert {node["id"] for node in mine["contacts"]["nodes"]} == ids
    assert mine["contacts"]["totalCount"] == 2
    assert [tagged.codes, renamed.codes, opened.codes] == [[], [], []]


async def test_an_agent_works_what_it_holds_or_may_pick(company: Company, calling: As) -> None:
    colleague = await an_agent(company.workspace, teams=[company.team])
    client = calling(await session_of(colleague))
    held = {"conversationId": encode("Conversation", company.held.id)}
    waiting = {"conversationId": company.id("Conversation")}

    found = {
        "answer what another holds": await client.do("messageSend", {**held, "text": "Hi."}),
        "note what another holds": await client.do("noteAdd", {**held, "text": "Hm."}),
        "close what another holds": await client.do("conversationClose", held),
        "take from another": await client.do("conversationUnassign", held),
        "assign": await client.do(
            "conversationAssign", {**waiting, "agentId": company.id("Agent")}
        ),
        "answer what waits": await client.do("messageSend", {**waiting, "text": "Hi."}),
        "pick": await client.do("conversationPick", waiting),
        "close its own": await client.do("conversationClose", waiting),
        "reopen its own": await client.do("conversationReopen", waiting),
    }

    assert {what: answer.codes for what, answer in found.items() if answer.codes} == {
        "answer what another holds": ["FORBIDDEN"],
        "close what another holds": ["FORBIDDEN"],
        "take from another": ["FORBIDDEN"],
        "assign": ["FORBIDDEN"],
    }


async def test_what_a_team_gives_out_itself_is_not_worked_before(
    company: Company, calling: As
) -> None:
    agent = await an_agent(company.workspace, capacity=0)
    team = await a_team(company.workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    waiting = await a_conversation(company.workspace, team=team)
    given = {"conversationId": encode("Conversation", waiting.id)}
    client = calling(await session_of(agent))

    found = {
        "conversationPick": await client.do("conversationPick", given),
        "messageSend": await client.do("messageSend", {**given, "text": "Hi."}),
        "conversationClose": await client.do("conversationClose", given),
    }

    assert {what: answer.codes for what, answer in found.items()} == {
        "conversationPick": ["TEAM_DISTRIBUTES_AUTOMATICALLY"],
        "messageSend": ["FORBIDDEN"],
        "conversationClose": ["FORBIDDEN"],
    }


async def test_somebodys_own_presence_is_its_own(company: Company, calling: As) -> None:
    client = calling(await session_of(company.agent))
    someone = {"agentId": encode("Agent", company.operator.id)}

    own = await client.do(
        "agentSetAvailability", {"availability": "AWAY"}, "agent { id availability }"
    )
    others = await client.do("agentSetAvailability", {"availability": "AWAY", **someone})
    beat = await client.do("presenceBeat", {"device": "phone"}, "agent { isConnected }")
    others_beat = await client.do("presenceBeat", {"device": "phone", **someone})

    assert own["agentSetAvailability"]["agent"] == {
        "id": company.id("Agent"),
        "availability": "AWAY",
    }
    assert beat["presenceBeat"]["agent"] == {"isConnected": True}
    assert (others.codes, others_beat.codes) == (["FORBIDDEN"], ["FORBIDDEN"])


async def test_an_integration_says_whom_it_means(company: Company, calling: As) -> None:
    client = calling(await integration_of(company.workspace))

    answer = await client.do("presenceBeat", {"device": "phone"})

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_only_an_integration_speaks_for_somebody_else(company: Company, calling: As) -> None:
    given = {
        "conversationId": encode("Conversation", company.held.id),
        "text": "Hello.",
        "onBehalfOf": company.id("Agent"),
    }
    script = calling(await integration_of(company.workspace))
    admin = calling(await session_of(company.admin))

    spoken = await script.do("messageSend", given, "message { author { id } }")
    refused = await admin.do("messageSend", given)

    assert spoken["messageSend"]["message"]["author"]["id"] == company.id("Agent")
    assert refused.codes == ["FORBIDDEN"]


async def test_an_agent_ends_its_own_session_and_nobody_elses(
    company: Company, calling: As
) -> None:
    client = calling(await session_of(company.agent))

    others = await client.do("tokenRevoke", {"tokenId": company.id("Token")})
    own = await client.do("signOut", {})

    assert others.codes == ["FORBIDDEN"]
    assert own.codes == []
    assert (await client.ask("{ viewer { scopes } }")).codes == ["UNAUTHENTICATED"]


async def test_the_viewer_is_whoever_asks(company: Company, calling: As) -> None:
    person = calling(await session_of(company.agent))
    script = calling(await integration_of(company.workspace, "messages:receive", "contacts:read"))
    ask = "{ viewer { agent { id } scopes } }"

    assert (await person.ask(ask))["viewer"] == {"agent": {"id": company.id("Agent")}, "scopes": []}
    assert (await script.ask(ask))["viewer"] == {
        "agent": None,
        "scopes": ["contacts:read", "messages:receive"],
    }
