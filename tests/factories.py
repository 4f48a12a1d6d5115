"""What tests begin with, made through the verbs; every default is spelled here and nowhere else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from models import (
    Agent,
    Channel,
    Contact,
    ContactField,
    Conversation,
    Membership,
    Segment,
    Snippet,
    Team,
    Ticket,
    Webhook,
    Workflow,
    Workspace,
)
from models.access import Actor, ActorKind, Role
from models.agent import CAPACITY_DEFAULT
from models.base import IdlePeriod, Line
from models.channel import ChannelKind, Target
from models.contact_field import FieldKind
from models.contact_search import Filter
from models.database import fetch, retrying, tx
from models.decision import Availability, Distribution
from models.identity import Identity, Sender
from models.idle_policy import preview
from models.inbound import Received, receive
from models.log import Filter as Events
from models.owner import set_owner
from models.ticket.at_closing import TicketAtClosing
from models.ticket.opening import open_ticket
from models.workflow.definition import Definition, Step, Trigger, WebhookStep

Change = Callable[..., Awaitable[None]]
_numbers = count(1)
# What a conversation of the support desk closes with.
A_TICKET = TicketAtClosing(create={"subject": "The light is out"})


def by_system(workspace: Workspace) -> Actor:
    return Actor.system(workspace.id)


def as_agent(agent: Agent) -> Actor:
    return Actor(ActorKind.AGENT, agent.workspace_id, agent.id, agent.role)


def as_integration(workspace: Workspace, *scopes: str) -> Actor:
    return Actor(
        ActorKind.INTEGRATION,
        workspace.id,
        workspace.id,
        Role.INTEGRATION,
        scopes=frozenset(scopes),
    )


async def confirmed(change: Change, *id: UUID, by: Actor, **to: Any) -> None:
    """Change settings as whoever looks first at what a shorter idle period would close."""
    token = None
    if "idle_period_days" in to:
        period = to["idle_period_days"]
        named = change.__qualname__.lower().removesuffix(".change")
        seen = await preview(
            None if period is None else IdlePeriod(period),
            by=by,
            **{f"{named}_id": only for only in id},
        )
        token = seen.token if seen else None
    await change(*id, by=by, preview_token=token, **to)


async def a_workspace(name: str = "Acme") -> Workspace:
    return await Workspace.found(name)


async def an_agent(
    workspace: Workspace,
    *,
    role: Role = Role.AGENT,
    capacity: int = CAPACITY_DEFAULT,
    availability: Availability = Availability.ONLINE,
    connected: bool = True,
    accepts_new: bool = True,
    password: str | None = None,
    teams: Iterable[Team] = (),
) -> Agent:
    """An agent who is there and takes conversations, unless told otherwise."""
    number = next(_numbers)
    by = by_system(workspace)
    agent = await Agent.add(
        by=by,
        name=f"Agent {number}",
        email=f"agent-{number}@example.com",
        password=password,
        role=role,
        capacity=capacity,
    )
    await Agent.set_availability(
        agent.id, by=by, availability=availability, accepts_new=accepts_new
    )
    for team in teams:
        await Membership.add(by=by, team=team, agent_id=agent.id)
    if connected:
        await Agent.beat(agent.id, by=by, device="browser")
    await agent.refresh_from_db()
    return agent


async def accepting(agent: Agent, *, accepts_new: bool) -> None:
    """As the verb does it, but nobody is given anything by it."""
    await Agent.filter(id=agent.id).update(accepts_new=accepts_new)
    await fetch(
        "SELECT note_availability(ARRAY[$1::uuid], $2, relevo_now())", agent.id, agent.workspace_id
    )


async def a_team(
    workspace: Workspace,
    *,
    line: Line = Line.SALES,
    distribution: Distribution = Distribution.MANUAL,
    online_only: bool = True,
    max_open: int | None = None,
    priority: int = 0,
    parent: Team | None = None,
    members: Iterable[Agent] = (),
) -> Team:
    by = by_system(workspace)
    team = await Team.add(
        by=by, line=line, name=f"Team {next(_numbers)}", parent=parent, priority=priority
    )
    # Until teams have a verb for it, their distribution is set as an empty team's is: by the row.
    await Team.filter(id=team.id).update(
        distribution=distribution, online_only=online_only, max_open=max_open
    )
    for agent in members:
        await Membership.add(by=by, team=team, agent_id=agent.id)
    await team.refresh_from_db()
    return team


async def a_channel(
    workspace: Workspace,
    *,
    kind: ChannelKind = ChannelKind.WHATSAPP,
    default_line: Line | None = None,
    team: Team | None = None,
    agent: Agent | None = None,
    bot: bool = False,
) -> Channel:
    """A connected channel with a target, of the team's line, or with none: then it feeds Todos."""
    by = by_system(workspace)
    line = default_line or (team.line if team else Line.SALES)
    channel = await Channel.add(
        by=by, kind=kind, name=f"Channel {next(_numbers)}", default_line=line
    )
    if team is not None or agent is not None:
        target = Target(team.id if team else None, agent.id if agent else None)
        await channel.assign(team.line if team else Line.SALES, target, by=by)
    if bot:
        await Channel.set_bot(channel.id, by=by, is_on=True)
        await channel.refresh_from_db()
    return channel


async def a_contact(
    *channels: Channel,
    sender: str = "ada",
    name: str = "Ada",
    phone: str | None = None,
    email: str | None = None,
    owner_agent: Agent | None = None,
    owner_team: Team | None = None,
) -> Contact:
    """A customer who has not written yet, known to these channels, and perhaps owned."""
    by = Actor.system(channels[0].workspace_id)
    identities = [Identity(channel.id, sender) for channel in channels]
    contact = await Contact.add(by=by, name=name, phone=phone, email=email, identities=identities)
    if owner_agent is not None or owner_team is not None:
        await set_owner(
            contact.id,
            by=by,
            agent_id=owner_agent.id if owner_agent else None,
            team_id=owner_team.id if owner_team else None,
        )
        await contact.refresh_from_db()
    return contact


async def a_contact_field(
    workspace: Workspace,
    *,
    name: str | None = None,
    kind: FieldKind = FieldKind.TEXT,
    choices: Iterable[str] = (),
) -> ContactField:
    return await ContactField.add(
        by=by_system(workspace),
        name=name or f"Field {next(_numbers)}",
        kind=kind,
        choices=choices,
    )


async def a_segment(
    workspace: Workspace, *, name: str | None = None, filter: Filter | None = None
) -> Segment:
    """A saved filter; everybody meets it unless told otherwise."""
    return await Segment.add(
        by=by_system(workspace),
        name=name or f"Segment {next(_numbers)}",
        filter=filter or Filter(),
    )


async def a_snippet(
    workspace: Workspace, *, name: str | None = None, text: str = "Hello, {{contact.name|friend}}."
) -> Snippet:
    return await Snippet.add(
        by=by_system(workspace), name=name or f"Snippet {next(_numbers)}", text=text
    )


async def a_webhook(
    workspace: Workspace, url: str = "https://example.com/events", filter: Events | None = None
) -> Webhook:
    """An endpoint of everything that happens from now on."""
    webhook, _ = await Webhook.create(
        f"Webhook {next(_numbers)}", url, filter, by=by_system(workspace)
    )
    return webhook


async def a_workflow(
    workspace: Workspace,
    *steps: Step,
    name: str | None = None,
    trigger: Trigger = Trigger.MANUAL,
    published: bool = False,
    **settings: Any,
) -> Workflow:
    """A draft that tells integrators and no more, unless told otherwise."""
    by = by_system(workspace)
    steps = steps or (WebhookStep(key="tell"),)
    workflow = await Workflow.add(
        by=by,
        name=name or f"Workflow {next(_numbers)}",
        definition=Definition(trigger=trigger, steps=steps, **settings),
    )
    if published:
        await Workflow.publish(workflow.id, by=by)
        await workflow.refresh_from_db()
    return workflow


async def a_tag(
    workspace: Workspace, *, name: str | None = None, of: Iterable[Contact] = ()
) -> UUID:
    """A tag, by its row, that some contacts have."""
    tag_id = uuid4()
    await fetch(
        "INSERT INTO tags (id, workspace_id, name) VALUES ($1, $2, $3)",
        tag_id,
        workspace.id,
        name or f"Tag {next(_numbers)}",
    )
    for contact in of:
        await fetch(
            "INSERT INTO contact_tags (workspace_id, contact_id, tag_id) VALUES ($1, $2, $3)",
            workspace.id,
            contact.id,
            tag_id,
        )
    return tag_id


async def a_ticket(
    requester: Contact,
    *,
    by: Actor | None = None,
    subject: str = "The light is out",
    description: str | None = None,
    department: Team | None = None,
    assignee: Agent | None = None,
    tags: Iterable[str] = (),
) -> Ticket:
    return await open_ticket(
        by=by or Actor.system(requester.workspace_id),
        subject=subject,
        requester_id=requester.id,
        description=description,
        department_id=department.id if department else None,
        assignee_id=assignee.id if assignee else None,
        tags=list(tags),
    )


async def a_message(
    channel: Channel,
    *,
    sender: str | None = None,
    text: str = "Hello?",
    external_id: str | None = None,
    line: Line | None = None,
) -> Received:
    """Something a customer writes: a new customer, unless the sender is named."""
    number = next(_numbers)

    async def command() -> Received:
        return await receive(
            by=Actor.system(channel.workspace_id),
            channel_id=channel.id,
            external_id=external_id or f"message-{number}",
            sender=Sender(sender or f"customer-{number}", name="Ada"),
            text=text,
            line=line,
        )

    return await retrying(command)


async def a_conversation(
    workspace: Workspace,
    *,
    team: Team | None = None,
    channel: Channel | None = None,
    holder: Agent | None = None,
    sender: str | None = None,
) -> Conversation:
    """An open conversation of a new customer, held by somebody or as routing left it."""
    if channel is None and team is not None:
        channel = await _channel_of(team)
    channel = channel or await a_channel(workspace, team=team)
    received = await a_message(channel, sender=sender)
    if holder is not None:
        async with working(received.conversation_id, by=by_system(workspace)) as conversation:
            if conversation.assignee_id != holder.id:
                await conversation.assign(holder.id, by=by_system(workspace))
    return await Conversation.get(id=received.conversation_id)


async def _channel_of(team: Team) -> Channel | None:
    return await Channel.filter(sales_team_id=team.id).first() or (
        await Channel.filter(support_team_id=team.id).first()
    )


@asynccontextmanager
async def working(
    id: UUID, *, by: Actor, expected_version: int | None = None
) -> AsyncIterator[Conversation]:
    """A command's transaction around a verb of one conversation."""
    async with tx():
        yield await Conversation.locked(id, by=by, expected_version=expected_version)
