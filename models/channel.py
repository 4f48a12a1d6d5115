"""Channels: connected accounts, the lines they serve, and where their conversations go."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.queryset import QuerySet

from models import event
from models.access import Actor, Right
from models.agent import Agent
from models.base import NAME_LENGTH_MAX, Line, Record, reference, require_name
from models.database import Raced, Transaction, fetch, tx
from models.errors import (
    ChannelNotConnected,
    LineNotSupported,
    NotFound,
    TargetInactive,
    TargetNotAllowed,
    TeamHasChannel,
)
from models.team import Team


class ChannelKind(StrEnum):
    """What a channel is an account of."""

    WHATSAPP = "WHATSAPP"
    WEBCHAT = "WEBCHAT"
    MESSENGER = "MESSENGER"
    INSTAGRAM = "INSTAGRAM"
    RCS = "RCS"
    TELEGRAM = "TELEGRAM"
    EMAIL = "EMAIL"
    SMS = "SMS"
    GOOGLE_BUSINESS = "GOOGLE_BUSINESS"


class ChannelStatus(StrEnum):
    """Whether the account is connected; only then can it be given a target."""

    CONNECTED = "CONNECTED"
    PENDING = "PENDING"
    DISCONNECTED = "DISCONNECTED"


SERVE_SUPPORT = frozenset(
    {ChannelKind.WHATSAPP, ChannelKind.TELEGRAM, ChannelKind.EMAIL, ChannelKind.SMS}
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a channel sends the conversations of a line; at most one of the two is set."""

    team_id: UUID | None = None
    agent_id: UUID | None = None


class Channel(Record):
    """One connected account: one WhatsApp number, one page, one webchat."""

    kind = fields.CharEnumField(ChannelKind, max_length=32)
    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    status = fields.CharEnumField(ChannelStatus, max_length=16, default=ChannelStatus.CONNECTED)
    default_line = fields.CharEnumField(Line, max_length=16, default=Line.SALES)
    bot_is_on = fields.BooleanField(default=False)
    sales_team = reference("models.Team", null=True)
    sales_team_id: UUID | None
    sales_agent = reference("models.Agent", null=True)
    sales_agent_id: UUID | None
    support_team = reference("models.Team", null=True)
    support_team_id: UUID | None

    class Meta:
        table = "channels"

    @classmethod
    async def add(
        cls,
        *,
        by: Actor,
        kind: ChannelKind,
        name: str,
        default_line: Line = Line.SALES,
        status: ChannelStatus = ChannelStatus.CONNECTED,
    ) -> "Channel":
        """Connect an account; raises LineNotSupported when its kind lacks the default line."""
        by.require(Right.CONFIGURE)
        require_name(name)
        require_line(kind, default_line)
        async with tx():
            channel = await cls.create(
                workspace_id=by.workspace_id,
                kind=kind,
                name=name,
                default_line=default_line,
                status=status,
            )
            event.record(event.Kind.CHANNEL_CREATED, by=by, channel_id=channel.id)
        return channel

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Channel"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Every role reads the channels; an integration that feeds messages in must find them."""
        rights = (Right.READ_SETTINGS, Right.RECEIVE_MESSAGES, Right.SEE_ALL)
        return any(actor.may(right) for right in rights)

    async def assign(self, line: Line, target: Target, *, by: Actor, replace: bool = False) -> None:
        """Send the conversations of a line, opened from now on, to a target or (empty) to Todos.

        Raises ChannelNotConnected, LineNotSupported, TargetNotAllowed, TargetInactive,
        TeamHasChannel (unless `replace`, which moves the group to this channel).
        """
        by.require(Right.CONFIGURE)
        group_id = target.team_id if line is Line.SALES else None
        async with tx() as transaction:
            await self._lock_with_holder(transaction, group_id, target, by=by)
            if target != Target():
                await self._require_assignable(line, target)
            if group_id is not None:
                await self._take_group(group_id, by=by, replace=replace)
            if line is Line.SALES:
                self.sales_team_id, self.sales_agent_id = target.team_id, target.agent_id
            else:
                self.support_team_id = target.team_id
            await self.save(update_fields=["sales_team_id", "sales_agent_id", "support_team_id"])
            self.record_assigned(line, target, by=by)

    async def _lock_with_holder(
        self, transaction: Transaction, group_id: UUID | None, target: Target, *, by: Actor
    ) -> None:
        """Lock this channel and the one that holds the group, by id, then the target, and reload.

        Raises NotFound; Raced when the group went to a third channel meanwhile.
        """
        own = type(self).filter(workspace_id=by.workspace_id)
        holder = await own.filter(sales_team_id=group_id).first() if group_id else None
        ids = sorted({self.id, holder.id if holder else self.id})
        for id in ids:
            if await own.select_for_update(no_key=True).get_or_none(id=id) is None:
                raise NotFound("channel", path="input.channelId")
        # It cannot go while it becomes a target.
        for table, id_ in (("teams", target.team_id), ("agents", target.agent_id)):
            await transaction.execute(
                f"SELECT FROM {table} WHERE id = $1 FOR NO KEY UPDATE",
                id_,
            )
        others = own.filter(sales_team_id=group_id).exclude(id__in=ids)
        if group_id is not None and await others.exists():
            raise Raced
        await self.refresh_from_db()

    @classmethod
    async def find(cls, id: UUID, *, by: Actor) -> "Channel":
        """A channel that the actor sees; raises NotFound."""
        found = await cls.visible_to(by).get_or_none(id=id)
        if found is None:
            raise NotFound("channel", path="input.channelId")
        return found

    @classmethod
    async def change(cls, id: UUID, *, by: Actor, **changes: Any) -> None:
        """Change name, status or default line; the targets stay, whatever the status.

        Raises LineNotSupported when the channel's kind lacks the line, and NotFound.
        """
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        async with tx():
            channel = await cls.locked(id, by=by)
            changed = {name: to for name, to in changes.items() if to != getattr(channel, name)}
            require_line(channel.kind, changed.get("default_line", channel.default_line))
            if not changed:
                return
            await channel.update_from_dict(changed).save(update_fields=list(changed))
            changed.pop("name", None)
            event.record(event.Kind.CHANNEL_UPDATED, by=by, channel_id=id, **changed)

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor) -> "Channel":
        """A channel, locked for the rest of the transaction; raises NotFound."""
        found = await cls.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id, lock=True)
        if found is None:
            raise NotFound("channel", path="input.channelId")
        return found

    @classmethod
    async def set_bot(cls, id: UUID, *, by: Actor, is_on: bool) -> None:
        """Let the bot answer first, or not, in conversations opened from now on."""
        by.require(Right.CONFIGURE)
        async with tx():
            channel = await cls.locked(id, by=by)
            if channel.bot_is_on is is_on:
                return
            channel.bot_is_on = is_on
            await channel.save(update_fields=["bot_is_on"])
            event.record(event.Kind.CHANNEL_BOT_SET, by=by, channel_id=id, is_on=is_on)

    @classmethod
    async def hold_at_once(cls, ids: list[UUID]) -> None:
        """Hold these channels as they are until the commit: their targets cannot go before it.

        For whoever has locked conversations already, and may wait for no channel any more: raises
        Raced when somebody is changing one.
        """
        held = await fetch(
            "SELECT FROM channels WHERE id = ANY($1) ORDER BY id FOR SHARE SKIP LOCKED", ids
        )
        if len(held) < len(set(ids)):
            raise Raced

    def target(self, line: Line) -> Target:
        if line is Line.SALES:
            return Target(self.sales_team_id, self.sales_agent_id)
        return Target(self.support_team_id)

    async def queue_of(self, line: Line) -> UUID:
        """The team in whose queue its conversations of a line wait: its target, else the Todos."""
        target_id = self.target(line).team_id
        if target_id is not None and await Team.exists(id=target_id, is_active=True):
            return target_id
        return await Team.todos_id(self.workspace_id, line)

    async def _require_assignable(self, line: Line, target: Target) -> None:
        if self.status is not ChannelStatus.CONNECTED:
            raise ChannelNotConnected(status=self.status)
        require_line(self.kind, line)
        if target.agent_id is not None:
            await self._require_agent(line, target)
            return
        team = await Team.get_or_none(id=target.team_id, workspace_id=self.workspace_id)
        if team is None:
            raise NotFound("team", path="input.teamId")
        if team.line is not line or team.is_todos:
            raise TargetNotAllowed(f"{line} goes to a team of that line, or to none for Todos.")
        if not team.is_active:
            raise TargetInactive

    async def _require_agent(self, line: Line, target: Target) -> None:
        if line is Line.SUPPORT or target.team_id is not None:
            raise TargetNotAllowed("SUPPORT goes to one department; SALES to one team or agent.")
        agent = await Agent.get_or_none(id=target.agent_id, workspace_id=self.workspace_id)
        if agent is None:
            raise NotFound("agent", path="input.agentId")
        if not agent.is_active:
            raise TargetInactive
        agent.require_holder()

    async def _take_group(self, team_id: UUID, *, by: Actor, replace: bool) -> None:
        holder = await type(self).filter(sales_team_id=team_id).exclude(id=self.id).first()
        if holder is None:
            return
        if not replace:
            raise TeamHasChannel(channel_id=holder.id, channel_name=holder.name)
        await type(self).filter(id=holder.id).update(sales_team_id=None)
        holder.record_assigned(Line.SALES, Target(), by=by)

    def record_assigned(self, line: Line, target: Target, *, by: Actor) -> None:
        event.record(
            event.Kind.CHANNEL_ASSIGNED,
            by=by,
            channel_id=self.id,
            to_team_id=target.team_id,
            to_agent_id=target.agent_id,
            line=line,
        )


def require_line(kind: ChannelKind, line: Line) -> None:
    """Raise LineNotSupported when channels of this kind do not serve the line."""
    if line is Line.SUPPORT and kind not in SERVE_SUPPORT:
        raise LineNotSupported(kind=kind, line=line)
