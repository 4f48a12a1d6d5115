"""How tests call the API: over HTTP with a bearer token, as a client would; and whom they ask."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import httpx

from api.graphql import GraphQLApp
from models import (
    Agent,
    Channel,
    ClosingReason,
    Contact,
    ContactField,
    Conversation,
    Message,
    Segment,
    Snippet,
    Tag,
    Team,
    Ticket,
    Webhook,
    Workflow,
    Workspace,
    snooze,
)
from models.access import SCOPES, Actor, Role
from models.base import Line
from models.closing import close
from models.database import fetch
from models.merge import merge
from models.tag import tag_contact
from models.ticket import link
from models.token import SESSION_DAYS, Token, TokenKind
from models.workflow.run import start_by_hand
from resolvers.ids import encode
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_segment,
    a_snippet,
    a_team,
    a_ticket,
    a_webhook,
    a_workflow,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)

ID_TYPES = (
    "Agent",
    "Channel",
    "ClosingReason",
    "Contact",
    "ContactField",
    "Conversation",
    "Queue",
    "Segment",
    "Snippet",
    "Tag",
    "Team",
    "Webhook",
    "Workflow",
    "WorkflowRun",
    "Ticket",
)


@dataclass(frozen=True)
class Answer:
    """What the server said, with what differs from request to request taken out."""

    status: int
    data: Any
    errors: list[dict[str, Any]]

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        body = response.json()
        for error in body.get("errors", ()):
            assert error["extensions"].pop("requestId")
        return cls(response.status_code, body.get("data"), body.get("errors", []))

    @property
    def codes(self) -> list[str]:
        """The codes of everything that was refused, at the top or in a payload."""
        found = [error["extensions"]["code"] for error in self.errors]
        for value in (self.data or {}).values():
            if isinstance(value, dict):
                found += [error["code"] for error in value.get("userErrors", ())]
        return found

    @property
    def refusals(self) -> list[str]:
        """Those codes, and those of single results, which refuse no more than themselves."""
        payloads = [value for value in (self.data or {}).values() if isinstance(value, dict)]
        results = [result for payload in payloads for result in payload.get("results", ())]
        return self.codes + [e["code"] for result in results for e in result["userErrors"]]

    def __getitem__(self, field: str) -> Any:
        """The value of a field that was answered without any refusal."""
        assert self.codes == []
        return self.data[field]


@dataclass(frozen=True)
class Client:
    """Somebody with a token, or a stranger."""

    http: httpx.AsyncClient
    token: str | None = None

    @classmethod
    def of(cls, app: GraphQLApp[Any], token: str | None = None) -> Self:
        transport = httpx.ASGITransport(app=app)
        return cls(httpx.AsyncClient(transport=transport, base_url="http://relevo.test"), token)

    async def ask(self, query: str, **variables: object) -> Answer:
        return await self.post({"query": query, "variables": variables})

    async def do(self, mutation: str, input: Mapping[str, object], select: str = "") -> Answer:
        """Run one mutation by its name, e.g. "conversationPick"."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
        return await self.ask(
            f"mutation ($input: {kind}) {{ {mutation}(input: $input) {{"
            f" userErrors {{ code message path facts {{ name value }} }} {select} }} }}",
            input=input,
        )

    async def confirmed(self, **input: object) -> dict[str, object]:
        """This input of a change, with the token of the preview of its idle period."""
        whose = {name: input[name] for name in ("teamId", "agentId", "idlePeriod") if name in input}
        query = (
            "query ($input: IdlePolicyPreviewInput!) { idlePolicyPreview(input: $input) { token } }"
        )
        answer = await self.ask(query, input=whose)
        return {**input, "previewToken": answer["idlePolicyPreview"]["token"]}

    async def post(self, body: Mapping[str, object]) -> Answer:
        credentials = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        response = await self.http.post("/graphql", json=body, headers=credentials)
        return Answer.of(response)


@dataclass(frozen=True)
class Company:
    """A workspace with one of everything."""

    workspace: Workspace
    admin: Agent
    operator: Agent
    agent: Agent
    team: Team
    department: Team
    channel: Channel
    contact: Contact
    twin: Contact
    merged: Contact
    waiting: Conversation
    held: Conversation
    closed: Conversation
    with_bot: Conversation
    also_with_bot: Conversation
    escalated: Conversation
    desk: Channel
    message: Message
    reason: ClosingReason
    tag: Tag
    unused: ClosingReason
    spare: Team
    leaver: Agent
    token: Token
    field: ContactField
    spare_field: ContactField
    segment: Segment
    spare_segment: Segment
    snippet: Snippet
    spare_snippet: Snippet
    webhook: Webhook
    spare_webhook: Webhook
    workflow: Workflow
    spare_workflow: Workflow
    manual_workflow: Workflow
    run_id: UUID
    ticket: Ticket

    def id(self, type_name: str) -> str:
        """The global id of the one thing of a type."""
        records: dict[str, UUID] = {
            "Agent": self.agent.id,
            "Channel": self.channel.id,
            "ClosingReason": self.reason.id,
            "Contact": self.contact.id,
            "ContactField": self.field.id,
            "Conversation": self.waiting.id,
            "Message": self.message.id,
            "Queue": self.team.id,
            "Segment": self.segment.id,
            "Snippet": self.snippet.id,
            "Tag": self.tag.id,
            "Team": self.team.id,
            "Ticket": self.ticket.id,
            "Token": self.token.id,
            "Webhook": self.webhook.id,
            "Workflow": self.workflow.id,
            "WorkflowRun": self.run_id,
            "Workspace": self.workspace.id,
        }
        return str(encode(type_name, records[type_name]))


async def a_company() -> Company:
    """A manual team with a channel and one agent, who holds one conversation; others wait.

    The department's bot has two more, and its only member, the operator, holds one. Two contacts
    have not written yet; one is merged into the contact.
    """
    workspace = await a_workspace()
    by = by_system(workspace)
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    channel = await a_channel(workspace, team=team)
    held = await a_conversation(workspace, channel=channel, holder=agent)
    waiting = await a_conversation(workspace, channel=channel)
    closed = await a_conversation(workspace, channel=channel, holder=agent)
    async with working(closed.id, by=as_agent(agent)) as conversation:
        await close(conversation, by=as_agent(agent))
    token, _ = await Token.issue(by=by, name="Script", scopes=())
    operator = await an_agent(workspace, role=Role.OPERATOR)
    department = await a_team(workspace, line=Line.SUPPORT, members=[operator])
    desk = await a_channel(workspace, team=department, bot=True)
    contact = await Contact.get(id=waiting.contact_id)
    manual = await a_workflow(workspace, name="By hand", published=True)
    await tag_contact(contact.id, ["VIP"], by=by)
    twin = await a_contact(desk, sender="twin")
    merged = await a_contact(desk, sender="merged")
    await merge(survivor_id=contact.id, merged_id=merged.id, by=by)
    return Company(
        workspace=workspace,
        admin=await an_agent(workspace, role=Role.ADMIN),
        operator=operator,
        agent=agent,
        team=team,
        department=department,
        channel=channel,
        contact=contact,
        twin=twin,
        merged=merged,
        waiting=waiting,
        held=held,
        closed=closed,
        with_bot=await a_conversation(workspace, channel=desk),
        also_with_bot=await a_conversation(workspace, channel=desk),
        escalated=await a_conversation(workspace, channel=desk, holder=operator),
        desk=desk,
        message=await Message.get(conversation_id=waiting.id),
        reason=await ClosingReason.add(by=by, name="Solved"),
        tag=await Tag.get(workspace_id=workspace.id),
        unused=await ClosingReason.add(by=by, name="Never given"),
        spare=await a_team(workspace),
        leaver=await an_agent(workspace, connected=False),
        token=token,
        field=await a_contact_field(workspace, name="City"),
        spare_field=await a_contact_field(workspace, name="Spare"),
        segment=await a_segment(workspace, name="Everybody"),
        spare_segment=await a_segment(workspace, name="Spare"),
        snippet=await a_snippet(workspace, name="Welcome"),
        spare_snippet=await a_snippet(workspace, name="Spare"),
        webhook=await a_webhook(workspace),
        spare_webhook=await a_webhook(workspace),
        workflow=await a_workflow(workspace, name="Manual"),
        spare_workflow=await a_workflow(workspace, name="Spare"),
        manual_workflow=manual,
        run_id=await start_by_hand(manual.id, waiting.id, by=by),
        ticket=await a_ticket(contact),
    )


@dataclass(frozen=True)
class BusyCompany(Company):
    """A company with one of everything that some command asks for, too."""

    to_put_off: Conversation
    to_the_other_line: Conversation
    snoozed: Conversation
    one_of_many: Conversation
    answer: Message
    linked: Conversation
    proposed: Conversation
    also_proposed: Conversation


async def a_busy_company() -> BusyCompany:
    company = await a_company()
    desk, operator = company.desk, company.operator
    put_off, snoozed, answered, linked, proposed, also_proposed = [
        await a_conversation(company.workspace, channel=desk, holder=operator) for _ in range(6)
    ]
    return BusyCompany(
        **{part.name: getattr(company, part.name) for part in fields(company)},
        to_put_off=put_off,
        to_the_other_line=await a_conversation(company.workspace, channel=company.channel),
        snoozed=await _snoozed(snoozed),
        one_of_many=await a_conversation(company.workspace, channel=company.channel),
        answer=await _answer(answered),
        linked=await _with_ticket(linked, company.ticket, link.link),
        proposed=await _with_ticket(proposed, company.ticket, link.propose),
        also_proposed=await _with_ticket(also_proposed, company.ticket, link.propose),
    )


async def _snoozed(conversation: Conversation) -> Conversation:
    by = Actor.system(conversation.workspace_id)
    async with working(conversation.id, by=by) as held:
        await snooze.begin(held, by=by)
    return conversation


async def _with_ticket(
    conversation: Conversation, ticket: Ticket, way: Callable[..., Awaitable[None]]
) -> Conversation:
    by = Actor.system(conversation.workspace_id)
    async with working(conversation.id, by=by) as held:
        await way(held, ticket.id, by=by)
    return conversation


async def _answer(conversation: Conversation) -> Message:
    """What somebody answered, whose carrier tells how far it gets."""
    by = Actor.system(conversation.workspace_id)
    async with working(conversation.id, by=by) as held:
        return await Message.get(id=await held.send("Hello.", by=by))


async def session_of(agent: Agent) -> str:
    """A bearer token as signing in gives it, without the 50 ms that a password takes."""
    _, secret = await Token._issue(
        by=as_agent(agent),
        kind=TokenKind.SESSION,
        name="Session",
        scopes=[],
        lifetime=timedelta(days=SESSION_DAYS),
        agent_id=agent.id,
    )
    return secret


async def integration_of(workspace: Workspace, *scopes: str) -> str:
    """An integration's bearer token, with every scope unless some are named."""
    _, secret = await Token.issue(
        by=by_system(workspace), name="Integration", scopes=scopes or SCOPES
    )
    return secret


async def contents() -> dict[str, int]:
    """How many rows every table has, and how far everything that is counted has got."""
    tables = await fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'test_clock'"
    )
    names = [row["tablename"] for row in tables]
    counts = ", ".join(f'(SELECT count(*) FROM "{name}") AS "{name}"' for name in names)
    rows = await fetch(
        f"""
        SELECT {counts}, (SELECT sum(version) FROM conversations) AS versions,
               (SELECT sum(version) FROM tickets) AS ticket_versions,
               (SELECT max(last_activity_at)::text FROM conversations) AS activity,
               (SELECT sum(load) FROM agents) AS loads
        """
    )
    return dict(rows[0])
