"""Routing: reading the facts for the precedence, and carrying out what it says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from models import distribution, event, placement, precedence, queue, reopening, stickiness
from models.access import Actor, Right
from models.agent import Agent
from models.assignment import Hold, begin
from models.base import Line
from models.channel import Channel, require_line
from models.conversation import Conversation, Status
from models.database import Raced, Row, Transaction, encode, tx
from models.decision import Outcome, Rule
from models.errors import ConversationNotWithBot
from models.precedence import Directed, Facts, Owner, Place, Sticky
from models.team import Team


@dataclass(frozen=True, slots=True)
class Route:
    """A conversation on its way: where the precedence sends it, and the facts it went by."""

    conversation: Conversation
    place: Place
    routed: dict[str, Any]

    @property
    def opens(self) -> bool:
        return self.place.reopens is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the workflows may ask about a conversation that is to be placed.

    `text` is what the customer says with it; without one it is what was said last in it.
    """

    contact_id: UUID | None
    channel: Channel
    line: Line
    conversation_id: UUID | None = None
    text: str | None = None


_direct: Callable[[Transaction, Asked], Awaitable[tuple[Directed, ...]]] | None = None


def let_workflows_direct(
    directions: Callable[[Transaction, Asked], Awaitable[tuple[Directed, ...]]],
) -> None:
    """Let the module that walks through workflows, which is above this one, say where they send
    a conversation.
    """
    global _direct  # noqa: PLW0603 - one per process, set when that module is imported
    _direct = directions


async def route(transaction: Transaction, asked: Asked, *, by: Actor) -> Route:
    """The conversation that a customer's message opens or reopens, and the place it is to have.

    The caller holds the contact's lock, appends the message, and then calls `settle`.
    """
    # Read again and held: what was told of its target before our commit counts.
    held = await Channel.fetch_one("id = $1", asked.channel.id, hold=True)
    asked = replace(asked, channel=held or asked.channel)
    facts = await read_facts(transaction, asked)
    chosen = precedence.place(facts)
    routed = {"facts": facts, "passed": chosen.passed}
    if chosen.reopens is not None:
        return Route(await _reopened(transaction, chosen, routed, by=by), chosen, routed)
    await _lock_destination(transaction, chosen)
    return Route(await _opened(transaction, chosen, routed, asked, by=by), chosen, routed)


async def settle(transaction: Transaction, route: Route, *, by: Actor) -> None:
    """Give a new conversation to its agent, or, if it waits, to whoever is eligible: what waits
    longer goes first.
    """
    conversation, chosen = route.conversation, route.place
    if route.opens and chosen.agent_id is not None:
        await _give(transaction, conversation, chosen, route.routed)
    if conversation.status is not Status.QUEUED or conversation.team_id is None:
        return
    distributed = await distribution.distribute(
        transaction, [conversation.team_id], entering=frozenset({conversation.id})
    )
    if conversation.id in distributed.given:
        return
    conversation.record(event.Kind.CONVERSATION_QUEUED, by=by, from_queue_id=None)
    # Somebody is eligible all the same when it came in behind more than one batch, or when the
    # owner it is reserved for came back meanwhile.
    returned = [chosen.reserved_for] if chosen.reserved_for else []
    together = [conversation.team_id, *distributed.rivals]
    queue.follow(transaction, teams=together, returned=returned)


async def hand_off(
    id: UUID,
    *,
    by: Actor,
    team_id: UUID | None = None,
    line: Line | None = None,
    expected_version: int | None = None,
) -> None:
    """Let the bot give a conversation to people: a named team wins, else owner, target, Todos.

    Raises NotFound, ConversationNotWithBot, LineNotSupported, TeamInactive, Forbidden.
    """
    by.require(Right.RECEIVE_MESSAGES)
    async with tx() as transaction:
        contact_id = await Conversation.lock_contact(transaction, id, by=by)
        # Held like `route` does: its target cannot go before our commit.
        channel = await Conversation.hold_channel(id, by=by)
        team = await Team.locked(team_id, by=by) if team_id else None
        had = await _line_of(transaction, id, by=by)
        asked = Asked(
            contact_id=contact_id,
            channel=channel,
            line=team.line if team else line or had,
            conversation_id=id,
        )
        facts = await read_facts(transaction, asked, after_bot=True, named_team_id=team_id)
        chosen = precedence.place(facts)
        await _lock_destination(transaction, chosen)
        # Whoever feeds messages in need not see what comes of them.
        conversation = await Conversation.locked(
            id, by=Actor.system(by.workspace_id), expected_version=expected_version
        )
        if conversation.contact_id != contact_id or conversation.line is not had:
            raise Raced
        if conversation.status is not Status.BOT:
            raise ConversationNotWithBot(status=conversation.status)
        require_line(channel.kind, asked.line)
        conversation.line = asked.line
        await _move(conversation, chosen, facts, by=by)


async def _line_of(transaction: Transaction, id: UUID, *, by: Actor) -> Line:
    """Its line before it is locked: the places to lock before it depend on that."""
    return Line(
        await transaction.fetchval(
            "SELECT line FROM conversations WHERE id = $1 AND workspace_id = $2",
            id,
            by.workspace_id,
        )
    )


async def _lock_destination(transaction: Transaction, chosen: Place) -> None:
    """Lock the team that a workflow sends to; raises Raced when it was deleted meanwhile.

    A channel's target and an owner cannot go while their channel and their contact are locked.
    """
    if chosen.step is None or chosen.team_id is None:
        return
    teams = await transaction.fetch(
        "SELECT FROM teams WHERE id = $1 AND is_active FOR NO KEY UPDATE", chosen.team_id
    )
    if not teams:
        raise Raced


async def _move(conversation: Conversation, chosen: Place, facts: Facts, *, by: Actor) -> None:
    if chosen.step is not None:
        conversation.line = chosen.step.line
    move = placement.Move(
        chosen.rule,
        event.Kind.CONVERSATION_HANDED_OFF,
        directly=True,
        routed={"facts": facts, "passed": chosen.passed},
    )
    if chosen.agent_id is not None:
        await Agent.locked(chosen.agent_id, by=Actor.system(conversation.workspace_id))
        await placement.hold(conversation, chosen.agent_id, move, by=by)
    elif chosen.team_id is not None:
        await placement.enqueue(conversation, chosen.team_id, move, by=by, settings=chosen.settings)
        await placement.reserve(conversation, chosen.reserved_for, chosen.reserved_until)


async def read_facts(
    transaction: Transaction,
    asked: Asked,
    *,
    after_bot: bool = False,
    named_team_id: UUID | None = None,
) -> Facts:
    """What the precedence asks for, as it is now; of a stranger when there is no contact."""
    target = asked.channel.target(asked.line)
    row = await transaction.fetchrow(
        _FACTS,
        asked.contact_id,
        asked.channel.workspace_id,
        asked.line.value,
        target.team_id,
        target.agent_id,
    )
    assert row is not None  # noqa: S101 - a workspace is founded with its Todos
    facts = Facts(
        now=row["now"],
        line=asked.line,
        todos_id=row["todos_id"],
        bot_is_on=asked.channel.bot_is_on,
        after_bot=after_bot,
        named_team_id=named_team_id,
        owned_skips_bot=row["owned_skips_bot"],
        owner_wait_minutes=row["owner_wait_minutes"],
        sticky_falls_through=row["sticky_falls_through"],
        owner=_owner(row),
        sticky=_sticky(row, asked.channel),
        target_team_id=target.team_id,
        target_agent_id=target.agent_id,
        target_is_active=row["target_is_active"],
    )
    if _direct is None or not row["has_workflows"] or not precedence.leaves_it_to_workflows(facts):
        return facts
    return replace(facts, workflows=await _direct(transaction, asked))


_LIVE_LEASE = """EXISTS (SELECT FROM presence_leases l
        WHERE l.agent_id = {agent} AND l.expires_at > relevo_now())"""
_FACTS = f"""
    SELECT relevo_now() AS now, w.owned_skips_bot, w.owner_wait_minutes, w.sticky_falls_through,
           todos.id AS todos_id,
           c.owner_agent_id, c.owner_team_id, owner_team.line AS owner_line,
           coalesce(owner.is_active, owner_team.is_active) AS owner_is_active,
           {_LIVE_LEASE.format(agent="c.owner_agent_id")} AS owner_is_connected,
           coalesce(target_team.is_active, target.is_active, true) AS target_is_active,
           EXISTS (SELECT FROM workflows f JOIN workflow_revisions r ON r.id = f.revision_id
                   WHERE f.workspace_id = w.id AND f.status = 'ACTIVE'
                     AND r.trigger = 'CONVERSATION_OPENED') AS has_workflows,
           last.*
    FROM workspaces w
    LEFT JOIN contacts c ON c.id = $1 AND c.workspace_id = w.id
    JOIN teams todos ON todos.workspace_id = w.id AND todos.is_todos AND todos.line = $3
    LEFT JOIN agents owner ON owner.id = c.owner_agent_id
    LEFT JOIN teams owner_team ON owner_team.id = c.owner_team_id
    LEFT JOIN teams target_team ON target_team.id = $4
    LEFT JOIN agents target ON target.id = $5
    LEFT JOIN LATERAL (
        SELECT {stickiness.COLUMNS}, v.id AS last_id, v.channel_id AS last_channel_id,
               a.availability = 'ONLINE'
                   AND {_LIVE_LEASE.format(agent="a.id")} AS sticky_is_present
        FROM conversations v
        JOIN closures s ON s.conversation_id = v.id
        {stickiness.JOINS}
        WHERE v.contact_id = c.id AND v.line = $3
        ORDER BY s.closed_at DESC LIMIT 1
    ) last ON true
    WHERE w.id = $2
"""  # noqa: S608 - constants


def _owner(row: Row) -> Owner | None:
    if row["owner_agent_id"] is None and row["owner_team_id"] is None:
        return None
    return Owner(
        is_active=row["owner_is_active"],
        agent_id=row["owner_agent_id"],
        is_connected=row["owner_is_connected"],
        team_id=row["owner_team_id"],
        line=Line(row["owner_line"]) if row["owner_line"] else None,
    )


def _sticky(row: Row, channel: Channel) -> Sticky | None:
    reopens = row["last_id"] if row["last_channel_id"] == channel.id else None
    return stickiness.sticky(dict(row), is_present=bool(row["sticky_is_present"]), reopens=reopens)


async def _reopened(
    transaction: Transaction, chosen: Place, routed: dict[str, Any], *, by: Actor
) -> Conversation:
    assert chosen.reopens is not None  # noqa: S101 - the caller asked
    home = await Conversation.hold_team(chosen.reopens, workspace_id=by.workspace_id)
    conversation = await Conversation.fetch_one("id = $1", chosen.reopens, lock=True)
    assert conversation is not None  # noqa: S101 - conversations are never deleted
    assert chosen.agent_id is not None  # noqa: S101 - only a sticky agent reopens
    await _lock_holder(transaction, chosen.agent_id)
    await reopening.open_again(transaction, conversation, home)
    move = placement.Move(
        Rule.STICKY, event.Kind.CONVERSATION_REOPENED, entering=True, routed=routed
    )
    await placement.hold(conversation, chosen.agent_id, move, by=by)
    await conversation.refresh_from_db()
    return conversation


async def _opened(
    transaction: Transaction,
    chosen: Place,
    routed: dict[str, Any],
    asked: Asked,
    *,
    by: Actor,
) -> Conversation:
    """A new conversation with its place; nobody else sees it before the commit."""
    assert asked.contact_id is not None  # noqa: S101 - a stranger is made a contact first
    conversation = Conversation(
        id=uuid4(),
        workspace_id=asked.channel.workspace_id,
        contact_id=asked.contact_id,
        channel_id=asked.channel.id,
        line=chosen.step.line if chosen.step else asked.line,
        status=_status(chosen),
        team_id=chosen.team_id,
        assignee_id=chosen.agent_id,
        reserved_for_id=chosen.reserved_for,
    )
    await transaction.execute(
        """
        INSERT INTO conversations (id, workspace_id, contact_id, channel_id, line, status, team_id,
                                   assignee_id, queued_at, opened_at, last_activity_at, decision,
                                   version, reserved_for_id, reserved_until, distribution)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8,
               CASE WHEN $12 THEN now END, now, now, $9::text::jsonb, 1, $10, $11,
               $13::text::jsonb
        FROM (SELECT relevo_now() AS now) clock
        """,
        conversation.id,
        conversation.workspace_id,
        conversation.contact_id,
        conversation.channel_id,
        conversation.line.value,
        conversation.status.value,
        chosen.team_id,
        chosen.agent_id,
        encode(_waiting(chosen, routed)),
        chosen.reserved_for,
        chosen.reserved_until,
        conversation.status is Status.QUEUED,
        encode(chosen.settings) if chosen.settings else None,
    )
    conversation.record(
        event.Kind.CONVERSATION_OPENED,
        by=by,
        from_queue_id=None,
        to_queue_id=None,
        from_agent_id=None,
        to_agent_id=None,
        from_team_id=None,
        rule=chosen.rule,
    )
    return conversation


def _status(chosen: Place) -> Status:
    if chosen.is_with_bot:
        return Status.BOT
    return Status.ASSIGNED if chosen.agent_id else Status.QUEUED


def _waiting(chosen: Place, routed: dict[str, Any]) -> dict[str, Any]:
    """What is kept with a conversation until somebody holds it."""
    kept: dict[str, Any] = {"rule": chosen.rule, "routed": routed, "candidates": []}
    if chosen.is_with_bot:
        kept["outcome"] = Outcome.WITH_BOT
    elif chosen.reserved_for:
        kept["outcome"] = Outcome.RESERVED
    return kept


async def _give(
    transaction: Transaction, conversation: Conversation, chosen: Place, routed: dict[str, Any]
) -> None:
    """An owner, a sticky agent or a channel's own agent has it directly, whatever its load."""
    assert chosen.agent_id is not None  # noqa: S101 - the caller asked
    await _lock_holder(transaction, chosen.agent_id)
    hold = Hold(
        workspace_id=conversation.workspace_id,
        conversation_id=conversation.id,
        agent_id=chosen.agent_id,
        team_id=None,
        rule=chosen.rule,
        decision={
            **_waiting(chosen, routed),
            "outcome": Outcome.ASSIGNED,
            "winner": chosen.agent_id,
        },
        at=await transaction.fetchval("SELECT relevo_now()"),
    )
    await begin(transaction, [hold])
    event.record(
        event.Kind.CONVERSATION_ASSIGNED,
        by=Actor.system(conversation.workspace_id),
        conversation_id=conversation.id,
        contact_id=conversation.contact_id,
        channel_id=conversation.channel_id,
        to_agent_id=chosen.agent_id,
        rule=hold.rule,
        assignment=hold.id,
    )


async def _lock_holder(transaction: Transaction, agent_id: UUID) -> None:
    """Raise Raced when the agent's account was deactivated since the facts were read."""
    is_active = await transaction.fetchval(
        "SELECT is_active FROM agents WHERE id = $1 FOR NO KEY UPDATE", agent_id
    )
    if not is_active:
        raise Raced
