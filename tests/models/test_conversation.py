"""Every verb of a conversation: what it changes, what it logs, and what it refuses."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import (
    Agent,
    Assignment,
    Channel,
    ClosingReason,
    Closure,
    Conversation,
    Message,
    Team,
    Workspace,
)
from models.access import Actor, Role
from models.assignment import Ending
from models.base import Line
from models.channel import ChannelKind
from models.closing import close
from models.closure import Cause
from models.conversation import Status
from models.database import fetch, fetchrow
from models.decision import Availability, Distribution, Rule
from models.errors import DomainError
from models.event import Kind
from models.message import Direction
from models.reopening import reopen
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


@dataclass
class Office:
    """A group with two agents, a supervisor, and a conversation in each place."""

    workspace: Workspace
    team: Team
    ann: Agent
    ben: Agent
    boss: Agent
    queued: Conversation
    held: Conversation
    closed: Conversation


@pytest.fixture
async def office(workspace: Workspace) -> Office:
    team = await a_team(workspace)
    ann, ben = [await an_agent(workspace, teams=[team]) for _ in range(2)]
    closed = await a_conversation(workspace, team=team, holder=ann)
    async with working(closed.id, by=as_agent(ann)) as conversation:
        await close(conversation, by=as_agent(ann))
    return Office(
        workspace,
        team,
        ann,
        ben,
        boss=await an_agent(workspace, role=Role.OPERATOR),
        queued=await a_conversation(workspace, team=team),
        held=await a_conversation(workspace, team=team, holder=ann),
        closed=await Conversation.get(id=closed.id),
    )


async def do(
    verb: str, id: UUID, *, by: Actor, expected_version: int | None = None, **arguments: Any
) -> Any:
    if verb in {"transfer", "reopen"}:
        command = transfer if verb == "transfer" else reopen
        return await command(id, by=by, expected_version=expected_version, **arguments)
    async with working(id, by=by, expected_version=expected_version) as conversation:
        if verb == "close":
            return await close(conversation, by=by, **arguments)
        return await getattr(conversation, verb)(by=by, **arguments)


async def everything() -> list[Any]:
    """All that a verb could have changed."""
    tables = ("conversations", "assignments", "agents", "messages", "closures", "events", "teams")
    return [await fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


async def last_event(conversation_id: UUID) -> dict[str, Any]:
    """The newest event of a conversation, without what is empty or of no interest here."""
    row = await fetchrow(
        """
        SELECT kind, from_queue_id, to_queue_id, from_agent_id, to_agent_id, from_team_id,
               to_team_id
        FROM events WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1
        """,
        conversation_id,
    )
    assert row is not None
    return {name.removesuffix("_id"): value for name, value in row.items() if value is not None}


async def loads(*agents: Agent) -> list[int]:
    return [(await Agent.get(id=agent.id)).load for agent in agents]


# -- What verbs do


async def test_a_pick_takes_it_from_the_queue(office: Office) -> None:
    await do("pick", office.queued.id, by=as_agent(office.ben))

    picked = await Conversation.get(id=office.queued.id)
    assignment = await Assignment.get(conversation_id=picked.id)
    assert (picked.status, picked.assignee_id) == (Status.ASSIGNED, office.ben.id)
    assert picked.version == office.queued.version + 1
    assert (assignment.agent_id, assignment.rule) == (office.ben.id, Rule.PICKED)
    assert await loads(office.ben) == [1]
    assert await last_event(picked.id) == {
        "kind": Kind.CONVERSATION_ASSIGNED,
        "from_queue": office.team.id,
        "to_agent": office.ben.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_an_assignment_by_hand_goes_over_capacity(office: Office) -> None:
    full = await an_agent(office.workspace, capacity=0, connected=False)

    await do("assign", office.held.id, by=as_agent(office.boss), agent_id=full.id)

    ended = await Assignment.get(conversation_id=office.held.id, agent_id=office.ann.id)
    assert ended.ending is Ending.REASSIGNED
    assert await loads(office.ann, full) == [0, 1]
    assert await last_event(office.held.id) == {
        "kind": Kind.CONVERSATION_ASSIGNED,
        "from_agent": office.ann.id,
        "to_agent": full.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_an_unassigned_conversation_waits_as_long_as_before(
    office: Office, clock: Clock
) -> None:
    await clock.travel(hours=1)

    await do("unassign", office.held.id, by=as_agent(office.ann))

    waiting = await Conversation.get(id=office.held.id)
    assert (waiting.status, waiting.assignee_id) == (Status.QUEUED, None)
    assert waiting.queued_at == office.held.queued_at
    assert await loads(office.ann) == [0]
    assert await last_event(waiting.id) == {
        "kind": Kind.CONVERSATION_UNASSIGNED,
        "to_queue": office.team.id,
        "from_agent": office.ann.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_what_an_agent_had_directly_waits_in_todos_when_given_back(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace)
    channel = await a_channel(workspace, agent=agent)
    direct = await a_conversation(workspace, channel=channel)

    await do("unassign", direct.id, by=as_agent(agent))

    await direct.refresh_from_db()
    assert direct.team_id == (await Team.todos(workspace.id, Line.SALES)).id
    assert direct.queued_at is not None


async def test_a_transfer_goes_to_an_agent_over_capacity(office: Office) -> None:
    await Agent.change(office.ben.id, by=by_system(office.workspace), capacity=0)

    await do("transfer", office.held.id, by=as_agent(office.ann), to_agent=office.ben.id)

    ended = await Assignment.get(conversation_id=office.held.id, agent_id=office.ann.id)
    assert ended.ending is Ending.TRANSFERRED
    assert await loads(office.ann, office.ben) == [0, 1]
    assert await last_event(office.held.id) == {
        "kind": Kind.CONVERSATION_TRANSFERRED,
        "from_agent": office.ann.id,
        "to_agent": office.ben.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_a_transfer_to_a_team_takes_its_line_and_keeps_the_waiting_time(
    office: Office, clock: Clock
) -> None:
    department = await a_team(office.workspace, line=Line.SUPPORT)
    await clock.travel(hours=1)

    await do("transfer", office.held.id, by=as_agent(office.ann), to_team=department.id)

    moved = await Conversation.get(id=office.held.id)
    assert (moved.status, moved.line, moved.team_id) == (
        Status.QUEUED,
        Line.SUPPORT,
        department.id,
    )
    assert moved.queued_at == office.held.queued_at
    assert await last_event(moved.id) == {
        "kind": Kind.CONVERSATION_TRANSFERRED,
        "to_queue": department.id,
        "from_agent": office.ann.id,
        "from_team": office.team.id,
        "to_team": department.id,
    }


async def test_a_transfer_to_an_automatic_team_is_given_away_at_once(office: Office) -> None:
    department = await a_team(
        office.workspace, line=Line.SUPPORT, distribution=Distribution.LEAST_OPEN
    )
    cleo = await an_agent(office.workspace, teams=[department])

    await do("transfer", office.held.id, by=as_agent(office.ann), to_team=department.id)

    moved = await Conversation.get(id=office.held.id)
    given = await Assignment.get(conversation_id=moved.id, ended_at=None)
    assert (moved.assignee_id, given.rule) == (cleo.id, Rule.TRANSFERRED)


async def test_a_workspace_may_allow_transfers_to_whoever_is_away(office: Office) -> None:
    away = await an_agent(office.workspace, connected=False)
    await Workspace.filter(id=office.workspace.id).update(transfers_to_unavailable=True)

    await do("transfer", office.held.id, by=as_agent(office.ann), to_agent=away.id)

    assert await loads(away) == [1]


@pytest.mark.parametrize(
    ("verb", "direction", "kind", "is_last"),
    [
        ("send", Direction.OUTBOUND, Kind.MESSAGE_SENT, True),
        ("note", Direction.NOTE, Kind.NOTE_ADDED, False),
    ],
)
async def test_what_is_said_is_kept_and_counts_as_activity(
    office: Office, clock: Clock, verb: str, direction: Direction, kind: Kind, is_last: bool
) -> None:
    await clock.travel(hours=1)

    message_id = await do(verb, office.held.id, by=as_agent(office.ann), text="Soon.")

    message = await Message.get(id=message_id)
    held = await Conversation.get(id=office.held.id)
    assert (message.direction, message.author_agent_id) == (direction, office.ann.id)
    assert held.last_activity_at - office.held.last_activity_at >= timedelta(hours=1)
    assert (held.last_message_id == message_id) == is_last
    assert held.version == office.held.version + 1
    assert await last_event(held.id) == {
        "kind": kind,
        "from_agent": office.ann.id,
        "to_agent": office.ann.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_an_integration_answers_for_an_agent(office: Office) -> None:
    script = as_integration(office.workspace, "conversations:write")

    message_id = await do(
        "send", office.held.id, by=script, text="Done.", on_behalf_of=office.ben.id
    )

    assert (await Message.get(id=message_id)).author_agent_id == office.ben.id


async def test_closing_ends_the_assignment_and_frees_its_agent(office: Office) -> None:
    reason = await ClosingReason.add(by=by_system(office.workspace), name="Sold")

    written = await do(
        "close", office.held.id, by=as_agent(office.ann), reason_id=reason.id, summary="Bought."
    )

    closed = await Conversation.get(id=office.held.id)
    assignment = await Assignment.get(conversation_id=closed.id)
    kept = await Closure.get(id=written.closure_id)
    assert (closed.status, closed.assignee_id, closed.queued_at) == (Status.CLOSED, None, None)
    assert (kept.agent_id, kept.closed_by_id, kept.cause) == (
        office.ann.id,
        office.ann.id,
        Cause.AGENT,
    )
    assert (kept.reason_id, kept.summary, kept.closed_at) == (
        reason.id,
        "Bought.",
        closed.closed_at,
    )
    assert assignment.ending is Ending.CLOSED
    assert await loads(office.ann) == [0]
    assert await last_event(closed.id) == {
        "kind": Kind.CONVERSATION_CLOSED,
        "from_agent": office.ann.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_closing_takes_a_waiting_conversation_out_of_its_queue(office: Office) -> None:
    script = as_integration(office.workspace, "conversations:write")

    closed = await do("close", office.queued.id, by=script)

    closure = await Closure.get(id=closed.closure_id)
    assert (closure.cause, closure.agent_id) == (Cause.INTEGRATION, None)
    assert (await last_event(office.queued.id))["from_queue"] == office.team.id


async def test_reopening_gives_it_back_to_its_holder_over_capacity(office: Office) -> None:
    await Agent.change(office.ann.id, by=by_system(office.workspace), capacity=0)

    await do("reopen", office.closed.id, by=as_agent(office.ann))

    reopened = await Conversation.get(id=office.closed.id)
    given = await Assignment.get(conversation_id=reopened.id, ended_at=None)
    assert (reopened.status, reopened.assignee_id) == (Status.ASSIGNED, office.ann.id)
    assert (reopened.closed_at, given.rule) == (None, Rule.REOPENED)
    assert await loads(office.ann) == [2]
    assert await last_event(reopened.id) == {
        "kind": Kind.CONVERSATION_REOPENED,
        "to_agent": office.ann.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


@pytest.mark.parametrize("gone", ["never held", "holder inactive"])
async def test_reopening_without_a_holder_queues_it(office: Office, gone: str) -> None:
    conversation = office.closed if gone == "holder inactive" else office.queued
    if gone == "holder inactive":
        await Agent.filter(id=office.ann.id).update(is_active=False)
    else:
        await do("close", conversation.id, by=as_agent(office.boss))

    await do("reopen", conversation.id, by=as_agent(office.boss))

    await conversation.refresh_from_db()
    assert (conversation.status, conversation.team_id) == (Status.QUEUED, office.team.id)
    assert await last_event(conversation.id) == {
        "kind": Kind.CONVERSATION_REOPENED,
        "to_queue": office.team.id,
        "from_team": office.team.id,
        "to_team": office.team.id,
    }


async def test_a_conversation_closes_reopens_and_closes_again(office: Office) -> None:
    await do("reopen", office.closed.id, by=as_agent(office.boss))
    await do("close", office.closed.id, by=as_agent(office.boss))

    assert await Closure.filter(conversation_id=office.closed.id).count() == 2


# -- What verbs refuse: nothing at all has changed afterwards

PICK_AUTOMATIC = "the team distributes"
REFUSALS: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("pick", "held", "ben", {}, "CONVERSATION_NOT_QUEUED"),
    ("pick", "closed", "ben", {}, "CONVERSATION_NOT_QUEUED"),
    ("pick", "queued", "script", {}, "FORBIDDEN"),
    ("pick", "queued", "full", {}, "AGENT_AT_CAPACITY"),
    ("pick", "queued", "stranger", {}, "NOT_FOUND"),
    ("pick", "queued", "rival", {}, "NOT_FOUND"),
    ("assign", "queued", "ben", {"agent_id": "ben"}, "FORBIDDEN"),
    ("assign", "held", "boss", {"agent_id": "ann"}, "ALREADY_ASSIGNED"),
    ("assign", "closed", "boss", {"agent_id": "ann"}, "CONVERSATION_CLOSED"),
    ("assign", "queued", "boss", {"agent_id": "unknown"}, "NOT_FOUND"),
    ("assign", "queued", "boss", {"agent_id": "rival"}, "NOT_FOUND"),
    ("assign", "queued", "boss", {"agent_id": "inactive"}, "AGENT_INACTIVE"),
    ("unassign", "queued", "ann", {}, "CONVERSATION_NOT_ASSIGNED"),
    ("unassign", "held", "ben", {}, "FORBIDDEN"),
    ("unassign", "closed", "boss", {}, "CONVERSATION_NOT_ASSIGNED"),
    ("transfer", "held", "ben", {"to_agent": "ben"}, "FORBIDDEN"),
    ("transfer", "held", "ann", {"to_agent": "ann"}, "ALREADY_ASSIGNED"),
    ("transfer", "held", "ann", {"to_agent": "away"}, "TARGET_UNAVAILABLE"),
    ("transfer", "held", "ann", {"to_agent": "disconnected"}, "TARGET_UNAVAILABLE"),
    ("transfer", "held", "ann", {"to_agent": "not accepting"}, "TARGET_UNAVAILABLE"),
    ("transfer", "held", "ann", {"to_agent": "inactive"}, "AGENT_INACTIVE"),
    ("transfer", "held", "ann", {"to_agent": "rival"}, "NOT_FOUND"),
    ("transfer", "held", "ann", {"to_team": "unknown"}, "NOT_FOUND"),
    ("transfer", "held", "ann", {"to_team": "rival team"}, "NOT_FOUND"),
    ("transfer", "held", "ann", {"to_team": "inactive team"}, "TEAM_INACTIVE"),
    ("transfer", "held", "ann", {}, "BAD_USER_INPUT"),
    ("transfer", "held", "ann", {"to_agent": "ben", "to_team": "team"}, "BAD_USER_INPUT"),
    ("transfer", "closed", "boss", {"to_agent": "ben"}, "CONVERSATION_CLOSED"),
    ("transfer", "webchat", "boss", {"to_team": "department"}, "LINE_NOT_SUPPORTED"),
    ("send", "held", "ben", {"text": "Hi"}, "FORBIDDEN"),
    ("send", "held", "ann", {"text": " "}, "BAD_USER_INPUT"),
    ("send", "closed", "boss", {"text": "Hi"}, "CONVERSATION_CLOSED"),
    ("send", "held", "ann", {"text": "Hi", "on_behalf_of": "ben"}, "FORBIDDEN"),
    ("send", "held", "script", {"text": "Hi", "on_behalf_of": "rival"}, "NOT_FOUND"),
    ("note", "held", "ann", {"text": ""}, "BAD_USER_INPUT"),
    ("note", "held", "reader", {"text": "Hm"}, "FORBIDDEN"),
    ("close", "held", "ben", {}, "FORBIDDEN"),
    ("close", "closed", "boss", {}, "CONVERSATION_CLOSED"),
    ("close", "held", "ann", {"reason_id": "unknown"}, "NOT_FOUND"),
    ("close", "held", "ann", {"reason_id": "old reason"}, "CLOSING_REASON_INACTIVE"),
    ("reopen", "held", "boss", {}, "CONVERSATION_NOT_CLOSED"),
    ("reopen", "closed", "ben", {}, "FORBIDDEN"),
    ("reopen", "closed", "rival", {}, "NOT_FOUND"),
]


async def somebody(office: Office, name: str) -> Actor:
    if name in {"script", "reader"}:
        scope = "conversations:write" if name == "script" else "conversations:read"
        return as_integration(office.workspace, scope)
    if name == "stranger":
        return as_agent(await an_agent(office.workspace))
    if name == "full":
        return as_agent(await an_agent(office.workspace, capacity=0, teams=[office.team]))
    if name == "rival":
        return as_agent(await an_agent(await a_workspace("Rival"), role=Role.ADMIN))
    return as_agent(getattr(office, name))


async def something(office: Office, name: str) -> UUID:
    """What an argument names, made when the office lacks it."""
    workspace = office.workspace
    if name == "unknown":
        return uuid4()
    if name == "inactive":
        agent = await an_agent(workspace)
        await Agent.filter(id=agent.id).update(is_active=False)
    elif name in _AGENTS:
        agent = await an_agent(
            await a_workspace("Rival") if name == "rival" else workspace, **_AGENTS[name]
        )
    else:
        return await _a_place(office, name)
    return agent.id


_AGENTS: dict[str, dict[str, Any]] = {
    "away": {"availability": Availability.AWAY},
    "disconnected": {"connected": False},
    "not accepting": {"accepts_new": False},
    "rival": {},
}


async def _a_place(office: Office, name: str) -> UUID:
    found: Any
    if name == "rival team":
        found = await a_team(await a_workspace("Rival"))
    elif name == "department":
        found = await a_team(office.workspace, line=Line.SUPPORT)
    elif name == "inactive team":
        found = await a_team(office.workspace)
        await Team.filter(id=found.id).update(is_active=False)
    elif name == "old reason":
        found = await ClosingReason.add(by=by_system(office.workspace), name="Old")
        await ClosingReason.filter(id=found.id).update(is_active=False)
    else:
        found = getattr(office, name)
    return UUID(str(found.id))


@pytest.mark.parametrize(
    ("verb", "which", "who", "arguments", "code"),
    REFUSALS,
    ids=[f"{verb} {which} by {who}: {code}" for verb, which, who, _, code in REFUSALS],
)
async def test_a_refused_verb_changes_nothing(
    office: Office, verb: str, which: str, who: str, arguments: dict[str, Any], code: str
) -> None:
    if which == "webchat":
        channel = await a_channel(office.workspace, kind=ChannelKind.WEBCHAT)
        conversation = await a_conversation(office.workspace, channel=channel)
    else:
        conversation = getattr(office, which)
    by = await somebody(office, who)
    given: dict[str, Any] = {
        name: value if name == "text" else await something(office, value)
        for name, value in arguments.items()
    }
    before = await everything()

    with pytest.raises(DomainError) as refused:
        await do(verb, conversation.id, by=by, **given)

    assert refused.value.code == code
    assert await everything() == before


async def test_nobody_picks_from_a_queue_that_distributes(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team], accepts_new=False)
    waiting = await a_conversation(workspace, team=team)

    with pytest.raises(DomainError) as refused:
        await do("pick", waiting.id, by=as_agent(agent))

    assert refused.value.code == "TEAM_DISTRIBUTES_AUTOMATICALLY"


async def test_a_supervisor_picks_from_a_queue_that_distributes(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    boss = await an_agent(workspace, role=Role.OPERATOR)
    waiting = await a_conversation(workspace, team=team)

    await do("pick", waiting.id, by=as_agent(boss))

    assert await loads(boss) == [1]


async def test_the_faster_one_is_named(office: Office) -> None:
    await do("pick", office.queued.id, by=as_agent(office.ann))

    with pytest.raises(DomainError) as refused:
        await do("pick", office.queued.id, by=as_agent(office.ben))

    assert refused.value.facts == {"holderId": office.ann.id, "status": Status.ASSIGNED}


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("unassign", {}),
        ("transfer", {"to_agent": "ben"}),
        ("send", {"text": "Hi"}),
        ("note", {"text": "Hm"}),
        ("close", {}),
        ("assign", {"agent_id": "ben"}),
        ("pick", {}),
        ("reopen", {}),
    ],
)
async def test_a_stale_version_is_refused_naming_the_holder(
    office: Office, verb: str, arguments: dict[str, str]
) -> None:
    given: dict[str, Any] = {
        name: value if name == "text" else await something(office, value)
        for name, value in arguments.items()
    }
    before = await everything()

    with pytest.raises(DomainError) as refused:
        await do(verb, office.held.id, by=as_agent(office.boss), expected_version=1, **given)

    assert refused.value.code == "CONVERSATION_CHANGED"
    assert refused.value.facts == {
        "currentVersion": office.held.version,
        "holderId": office.ann.id,
        "status": Status.ASSIGNED,
    }
    assert await everything() == before


async def test_the_version_that_was_seen_is_accepted(office: Office) -> None:
    await do(
        "unassign",
        office.held.id,
        by=as_agent(office.ann),
        expected_version=office.held.version,
    )

    assert await loads(office.ann) == [0]


async def test_reopening_beside_an_open_one_is_refused_naming_it(office: Office) -> None:
    channel = await Channel.get(id=office.queued.channel_id)
    first = await a_conversation(office.workspace, channel=channel, sender="ada")
    await do("close", first.id, by=as_agent(office.boss))
    second = await a_message(channel, sender="ada")

    with pytest.raises(DomainError) as refused:
        await do("reopen", first.id, by=as_agent(office.boss))

    assert refused.value.code == "CONVERSATION_ALREADY_OPEN"
    assert refused.value.facts == {"conversationId": second.conversation_id}


async def test_a_workspace_may_close_with_a_reason_only(office: Office) -> None:
    await Workspace.filter(id=office.workspace.id).update(closing_reason_required=True)
    reason = await ClosingReason.add(by=by_system(office.workspace), name="Sold")

    with pytest.raises(DomainError) as refused:
        await do("close", office.held.id, by=as_agent(office.ann))
    await do("close", office.held.id, by=as_agent(office.ann), reason_id=reason.id)

    assert refused.value.code == "CLOSING_REASON_REQUIRED"
