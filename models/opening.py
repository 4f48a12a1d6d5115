"""Opening a conversation by hand: somebody writes first, and has it from the beginning."""

from uuid import UUID, uuid4

from asyncpg import UniqueViolationError
from tortoise.expressions import Q

from models import channel_holding, event, identity, placement
from models.access import Actor, Right
from models.agent import Agent
from models.base import Line, require_name
from models.channel import Channel, require_line
from models.contact import Contact
from models.conversation import Conversation, Status
from models.database import Raced, Transaction, fetch, tx
from models.decision import Rule
from models.errors import (
    ChannelNotHeld,
    ContactUnknownToChannel,
    ConversationAlreadyOpen,
    Forbidden,
    IdentityTaken,
    TeamInactive,
)
from models.identity import EXTERNAL_ID_LENGTH_MAX, ContactIdentity, Identity
from models.team import Team


async def open_by_hand(
    *,
    by: Actor,
    contact_id: UUID,
    channel_id: UUID,
    line: Line | None = None,
    external_id: str | None = None,
    on_behalf_of: UUID | None = None,
) -> UUID:
    """Open a conversation with a contact, held by whoever opens it; returns its id.

    No customer waits for it, so that nothing in it is a first response until it is opened again.
    On a channel that one of the opener's teams holds or inherits; supervisors on any. The contact
    needs an identity there, or is given one. Raises NotFound, ContactMerged,
    ContactUnknownToChannel, IdentityTaken, LineNotSupported, ChannelNotHeld,
    ConversationAlreadyOpen (naming it), AgentInactive, RoleCannotHold, BadUserInput, Forbidden.
    """
    if external_id is not None:
        require_name(external_id, length_max=EXTERNAL_ID_LENGTH_MAX, path="input.externalId")
    opener = await _opener(on_behalf_of, by=by)
    channel = await Channel.find(channel_id, by=by)
    async with tx() as transaction:
        if external_id is not None:
            # Before the contact's lock, as a first message does.
            await identity.claim(transaction, [Identity(channel.id, external_id)])
        contact = await Contact.locked(contact_id, by=by)
        await _require_identity(contact, channel, external_id, by=by)
        channel = await Channel.fetch_one("id = $1", channel.id, hold=True) or channel
        line = line or channel.default_line
        require_line(channel.kind, line)
        team_id = await _team_id(channel, line, opener, by=by)
        other = await Conversation.open_one(contact.id, channel.id)
        if other is not None:
            raise ConversationAlreadyOpen(conversation_id=other)
        await Agent.locked_to_hold(opener, by=by)
        return await _open(transaction, contact, channel, line, team_id, opener, by=by)


async def _opener(on_behalf_of: UUID | None, *, by: Actor) -> UUID:
    """Who is to hold it: the person who opens it, or for whom an integration does."""
    if on_behalf_of is not None:
        await Agent.require_stand_in(on_behalf_of, by=by)
        by.require(Right.WORK_ALL)
        return on_behalf_of
    by.require(Right.HOLD_CONVERSATIONS)
    if by.agent_id is None:
        raise Forbidden("open conversations: only a person can")
    return by.agent_id


async def _require_identity(
    contact: Contact,
    channel: Channel,
    external_id: str | None,
    *,
    by: Actor,
) -> None:
    """Raise unless the channel knows the contact, or learns to know it by a claimed identity."""
    known = await ContactIdentity.filter(channel_id=channel.id).filter(
        Q(contact_id=contact.id) | Q(external_id=external_id or "")
    )
    holder = next((one.contact_id for one in known if one.external_id == external_id), None)
    if holder is None and external_id is not None:
        await ContactIdentity.create(
            workspace_id=contact.workspace_id,
            contact_id=contact.id,
            channel_id=channel.id,
            external_id=external_id,
        )
        event.record(
            event.Kind.CONTACT_UPDATED, by=by, contact_id=contact.id, channel_id=channel.id
        )
    elif holder not in (None, contact.id):
        visible = await (await Contact.visible_to(by)).filter(id=holder).exists()
        raise IdentityTaken(
            contact_id=holder if visible else None, channel_id=channel.id, path="input.externalId"
        )
    elif not known:
        raise ContactUnknownToChannel


async def _team_id(channel: Channel, line: Line, opener: UUID, *, by: Actor) -> UUID | None:
    """The team through which the opener holds the channel, locked; for supervisors the target."""
    held = await channel_holding.holds(
        agent_id=opener, channel_id=channel.id, line=line, workspace_id=by.workspace_id
    )
    if not held and not by.may(Right.WORK_ALL):
        raise ChannelNotHeld
    team_id = await _own_group(channel, line, opener) if held else None
    target = channel.target(line)
    if team_id is None and target.agent_id is None and (held or target.team_id):
        team_id = await channel.queue_of(line)
    if team_id is None:
        return None
    try:
        team = await Team.locked(team_id, by=Actor.system(channel.workspace_id))
    except TeamInactive as error:
        # Deleted between the look and the lock: the next look passes it over.
        raise Raced from error
    return team.id


async def _own_group(channel: Channel, line: Line, opener: UUID) -> UUID | None:
    """The opener's own group that has the channel, rather than one that inherits it."""
    if line is not Line.SALES:
        return None
    rows = await fetch(
        """
        SELECT t.id FROM memberships m JOIN teams t ON t.id = m.team_id
        WHERE m.agent_id = $1 AND t.is_active ORDER BY t.id
        """,
        opener,
    )
    groups = await channel_holding.of_groups(
        [row["id"] for row in rows], workspace_id=channel.workspace_id
    )
    through = [id for id, group in groups.items() if group.channel_id == channel.id]
    return min(through, key=lambda team: (groups[team].is_inherited, team), default=None)


async def _open(
    transaction: Transaction,
    contact: Contact,
    channel: Channel,
    line: Line,
    team_id: UUID | None,
    opener: UUID,
    *,
    by: Actor,
) -> UUID:
    conversation = Conversation(
        id=uuid4(),
        workspace_id=channel.workspace_id,
        contact_id=contact.id,
        channel_id=channel.id,
        line=line,
        status=Status.ASSIGNED,
        team_id=team_id,
    )
    try:
        await transaction.execute(
            """
            INSERT INTO conversations (id, workspace_id, contact_id, channel_id, line, status,
                                       team_id, assignee_id, opened_at, answered_at,
                                       last_activity_at, version)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, now, now, now, 1
            FROM (SELECT relevo_now() AS now) clock
            """,
            conversation.id,
            conversation.workspace_id,
            contact.id,
            channel.id,
            line.value,
            conversation.status.value,
            team_id,
            opener,
        )
    except UniqueViolationError as error:
        # Somebody's merge gave this contact an open one meanwhile: the next look names it.
        raise Raced from error
    conversation.record(
        event.Kind.CONVERSATION_OPENED,
        by=by,
        from_team_id=None,
        rule=Rule.OPENED_BY_HAND,
        on_behalf_of=opener,
    )
    opened = placement.Move(Rule.OPENED_BY_HAND, event.Kind.CONVERSATION_ASSIGNED, entering=True)
    await placement.hold(conversation, opener, opened, by=by)
    return conversation.id
