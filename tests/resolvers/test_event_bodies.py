"""The bodies of webhooks: for every kind of event what GraphQL answers for that very event."""

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from graphql import GraphQLField, get_named_type, is_leaf_type, is_required_argument

from models import ClosingReason, Webhook, Workspace, log, snooze
from models.access import SCOPES
from models.agent import lapse_presence
from models.base import IdlePeriod
from models.closing import close
from models.database import fetch, fetchval
from models.decision import Distribution
from models.departure import deactivate, reactivate
from models.event import Kind
from models.idle_reminder import remind_idle
from models.invitation import invite, reset_password
from models.log import Event, Position
from models.owner import set_owner
from models.tag import tag_contact
from models.ticket import link
from models.webhook import failing, interruption, lease
from models.webhook.body import body_of
from models.webhook.client import Outcome
from models.webhook.record import Failure
from models.workflow.definition import CloseStep, Trigger
from resolvers.ids import encode
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_team,
    a_ticket,
    a_webhook,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.published import published
from tests.resolvers.client import BusyCompany, Client, integration_of, session_of
from tests.resolvers.conftest import As
from tests.resolvers.documents import GRAPHQL, OBJECTS
from tests.resolvers.test_access import LAST, MAY, request_of

# A webhook is shown to whoever may change it.
READING = ("settings:write", *(scope for scope in SCOPES if scope.endswith(":read")))
# Stands for what a newer version logs; nobody logs it.
NEVER_LOGGED = {Kind.OTHER}
EVENT = GRAPHQL.type_map["LoggedEvent"]
# Those two are what others are called in the stream of one queue.
NAMES = {type.name for type in GRAPHQL.get_possible_types(EVENT)} - {
    "ConversationEntered",
    "ConversationLeft",
}
DOCUMENT = Path(__file__).parents[2] / "api" / "webhook_body.graphql"
PREFACE = """\
# What a webhook says of an event: every scalar of its type, and records by their ids alone.
"""


def document() -> str:
    """What is common to many types is asked of their interface, once."""
    interfaces = {type.name for type in GRAPHQL.get_implementations(EVENT).interfaces}
    types = [EVENT.name, *sorted(interfaces), *sorted(NAMES)]
    parts = [part for name in types for part in _part(GRAPHQL.type_map[name])]
    return f"{PREFACE}fragment WebhookBody on LoggedEvent {{\n  __typename\n{''.join(parts)}}}\n"


def _part(type: Any) -> Iterator[str]:
    inherited = {name for interface in type.interfaces for name in interface.fields}
    own = [_shown(name, field) for name, field in type.fields.items() if name not in inherited]
    if own:
        yield f"  ... on {type.name} {{ {' '.join(own)} }}\n"


def _shown(name: str, field: GraphQLField) -> str:
    """A scalar, a record by its id, or what belongs to the event alone with all it shows."""
    assert not any(is_required_argument(argument) for argument in field.args.values())
    type = get_named_type(field.type)
    if is_leaf_type(type):
        return name
    assert isinstance(type, OBJECTS)
    if "id" in type.fields:
        return f"{name} {{ id }}"
    return f"{name} {{ {' '.join(_shown(*below) for below in type.fields.items())} }}"


async def answered(client: Client) -> dict[int, Any]:
    """What the API shows of each event, by its number."""
    ask = f"""{DOCUMENT.read_text()} query ($after: String) {{
        events(first: 100, after: $after) {{
            pageInfo {{ hasNextPage endCursor }} nodes {{ ...WebhookBody }} }} }}"""
    found: dict[int, Any] = {}
    after, more = None, True
    while more:
        page = (await client.ask(ask, after=after))["events"]
        found |= {node["seq"]: node for node in page["nodes"]}
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return found


async def logged(workspace: Workspace) -> list[tuple[Event, Position]]:
    head = await log.head(workspace.id)
    found: list[Event] = []
    while len(found) < head.seq - head.floor_seq:
        found += await log.read(workspace.id, head.floor_seq + len(found))
    return [(event, Position(head.epoch, event.seq, event.logged_at)) for event in found]


@pytest.fixture
async def eventful(busy_company: BusyCompany, calling: As, clock: Clock) -> Workspace:
    """A workspace in which everything happened that can."""
    admin = calling(await session_of(busy_company.admin))
    for name in (*sorted(set(MAY) - set(LAST)), *LAST):
        document, variables = request_of(name, busy_company)
        await admin.ask(document, **variables)
    await _agents(busy_company)
    await _tickets(busy_company)
    await _webhooks(busy_company)
    await _conversations(busy_company.workspace, clock)
    return busy_company.workspace


async def _agents(company: BusyCompany) -> None:
    workspace, by = company.workspace, by_system(company.workspace)
    leaver = await an_agent(workspace)
    await deactivate(leaver.id, by=by)
    await reactivate(leaver.id, by=by)
    _, secret = await invite(leaver.id, by=as_agent(company.admin))
    await reset_password(secret, "long enough")
    contact = await a_contact(company.desk, sender="owned")
    await set_owner(contact.id, by=by, agent_id=leaver.id)
    await set_owner(contact.id, by=by, team_id=company.team.id)
    await set_owner(contact.id, by=by)


async def _tickets(company: BusyCompany) -> None:
    by = by_system(company.workspace)
    another = await a_ticket(company.contact)
    linked = await a_conversation(company.workspace, channel=company.desk, holder=company.operator)
    async with working(linked.id, by=by) as conversation:
        await link.link(conversation, company.ticket.id, by=by)
        await link.link(conversation, another.id, by=by)


async def _webhooks(company: BusyCompany) -> None:
    """One was gone when it was told, another lost its place; the log forgot its first event."""
    workspace = company.workspace
    lost = await a_webhook(workspace)
    [turn, *_], _ = await lease.take(
        1, failing_max=0, workspace_max=1, further_max=0, held={}, workspaces=[workspace.id]
    )
    await failing.fail(turn, Outcome(Failure.GONE, 410))
    await Webhook.redeliver(lost.id, by=by_system(workspace), from_seq=1)
    await fetch("UPDATE logs SET floor_seq = 1, epoch = gen_random_uuid()")
    await fetch("DELETE FROM events WHERE seq = 1")
    await interruption.tell(lost.id)


async def _conversations(workspace: Workspace, clock: Clock) -> None:
    by = by_system(workspace)
    reason = await ClosingReason.add(by=by, name="Won")
    again = CloseStep(key="again")
    await published(workspace, again, trigger=Trigger.CONVERSATION_CLOSED)
    closed = await a_conversation(workspace, channel=await a_channel(workspace))
    async with working(closed.id, by=by) as conversation:
        await close(conversation, by=by, reason_id=reason.id)
    held = await a_conversation(workspace, holder=await an_agent(workspace))
    async with working(held.id, by=by) as conversation:
        until = await fetchval("SELECT relevo_now() + interval '1 hour'")
        await snooze.begin(conversation, by=by, until=until)
    await a_conversation(
        workspace, team=await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    )
    await Workspace.change(by=by, idle_reminder_before_minutes=60)
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    await clock.travel(hours=23)
    await lapse_presence(100)
    await remind_idle(100)


def test_the_published_document_asks_for_all_that_a_body_says() -> None:
    """RELEVO_UPDATE_MANIFEST=1 writes it anew, for a review to read."""
    if os.environ.get("RELEVO_UPDATE_MANIFEST"):
        DOCUMENT.write_text(document())

    assert DOCUMENT.read_text() == document()


async def test_a_body_is_what_graphql_answers_for_every_kind_of_event(
    eventful: Workspace, calling: As
) -> None:
    script = calling(await integration_of(eventful, *READING))
    events = await logged(eventful)
    bodies = {event.seq: body_of(event, position)["data"] for event, position in events}

    answers = await answered(script)

    assert {event.kind for event, _ in events} == set(Kind) - NEVER_LOGGED
    gone = {body.get("deletedId") for body in bodies.values()}
    fields = {name for type in NAMES for name in GRAPHQL.type_map[type].fields}
    # What is never said here would be compared by nothing.
    assert fields | {"actor.agent", "actor.workflow"} <= _said(answers.values())
    for event, _ in events:
        assert _without(gone, bodies[event.seq]) == answers[event.seq], event.kind


async def test_the_envelope_says_what_happened_and_when(workspace: Workspace) -> None:
    await a_conversation(workspace)

    for event, position in await logged(workspace):
        body = json.loads(json.dumps(body_of(event, position)))

        assert list(body) == ["type", "timestamp", "data"]
        assert body["type"] == body["data"]["kind"] == event.kind
        assert body["timestamp"] == body["data"]["occurredAt"]
        assert datetime.fromisoformat(body["timestamp"]) == event.logged_at


async def test_a_record_that_is_gone_keeps_its_id(workspace: Workspace, calling: As) -> None:
    contact = await a_contact(await a_channel(workspace))
    await tag_contact(contact.id, ["VIP"], by=by_system(workspace))
    await fetch("DELETE FROM contact_tags")
    await fetch("DELETE FROM tags")
    script = calling(await integration_of(workspace, *READING))

    [(tagged, position)] = [
        (event, position)
        for event, position in await logged(workspace)
        if event.kind is Kind.CONTACT_TAGGED
    ]

    answers = await answered(script)
    assert answers[tagged.seq]["tags"] == []
    assert body_of(tagged, position)["data"]["tags"] == [
        {"id": encode("Tag", UUID(tagged.data["tags"][0]))}
    ]


def _without(gone: set[str | None], body: dict[str, Any]) -> dict[str, Any]:
    """As the API shows it when a webhook is gone, which a body names by its id."""
    webhook = body.get("webhook")
    return body | {"webhook": None} if webhook and webhook["id"] in gone else body


def _said(answers: Iterable[dict[str, Any]]) -> set[str]:
    """The fields that said something."""
    found = set()
    for answer in answers:
        found |= {name for name, value in answer.items() if value not in (None, [])}
        found |= {f"actor.{name}" for name, value in answer["actor"].items() if value}
    return found
