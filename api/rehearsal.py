"""A rehearsal before the first request: nothing of it stays.

A new database session plans its statements while commands wait for it; the first eight messages at
once took 120 ms each, of which the rehearsal leaves half.
"""

import asyncio
from contextlib import suppress
from uuid import uuid4

from models.access import Actor
from models.agent import Agent
from models.base import Line
from models.channel import Channel, ChannelKind, Target
from models.closing import close
from models.closure import ClosingReason
from models.conversation import Conversation
from models.database import tx
from models.decision import Availability, Distribution
from models.identity import Sender
from models.inbound import receive
from models.membership import Membership
from models.team import Team
from models.workspace import Workspace


class _Over(Exception):
    """Ends a rehearsal's transaction, so that it is rolled back."""


async def rehearse(sessions: int) -> None:
    """Take a customer through a conversation on each of so many sessions, and undo it."""
    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(_rehearse())


async def _rehearse() -> None:
    with suppress(_Over):
        async with tx():
            await _play()
            raise _Over


async def _play() -> None:
    workspace = await Workspace.found("Rehearsal")
    by = Actor.system(workspace.id)
    team = await Team.add(
        by=by, line=Line.SALES, name="Rehearsal", distribution=Distribution.LEAST_OPEN
    )
    agent = await Agent.add(by=by, name="Rehearsal", email=f"{uuid4()}@rehearsal.invalid")
    await Membership.add(by=by, team=team, agent_id=agent.id)
    await Agent.set_availability(agent.id, by=by, availability=Availability.ONLINE)
    await Agent.beat(agent.id, by=by, device="rehearsal")
    channel = await Channel.add(by=by, kind=ChannelKind.WEBCHAT, name="Rehearsal")
    await channel.assign(Line.SALES, Target(team_id=team.id), by=by)
    reason = await ClosingReason.add(by=by, name="Rehearsal")
    for number in range(2):
        received = await receive(
            by=by,
            channel_id=channel.id,
            external_id=str(number),
            sender=Sender("customer"),
            text="Hello",
        )
    conversation = await Conversation.locked(received.conversation_id, by=by)
    await conversation.send("Hello", by=by)
    await close(conversation, by=by, reason_id=reason.id)
