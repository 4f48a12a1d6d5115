"""What a replay changes of a workspace, through the public API: its settings, and who owns whom."""

from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

from api.replay_client import Client, Operation, Refused, Unplayable
from api.replay_workspace import Workspace, nodes

VIEWER = Operation("viewer", "query { viewer { agent { id } scopes } }")
TEAMS = Operation(
    "teams", "query { teams(first: 100) { nodes { id name line isTodos isActive } } }"
)
WORKSPACE_UPDATE = Operation(
    "workspaceUpdate",
    """mutation ($hours: Int!, $key: String!) {
        workspaceUpdate(input: {reassignmentWindowHours: $hours, idempotencyKey: $key}) {
            workspace { id } userErrors { code message path }
        }
    }""",
)
CHANNEL_SET_BOT = Operation(
    "channelSetBot",
    """mutation ($channel: ID!, $key: String!) {
        channelSetBot(input: {channelId: $channel, isOn: true, idempotencyKey: $key}) {
            channel { id } userErrors { code message path }
        }
    }""",
)
CONTACT_OF_CONVERSATION = Operation(
    "conversation", "query ($id: ID!) { conversation(id: $id) { line contact { id } } }"
)
CONTACT_SET_OWNER = Operation(
    "contactSetOwner",
    """mutation ($contact: ID!, $agent: ID, $team: ID, $key: String!) {
        contactSetOwner(input: {
            contactId: $contact, agentId: $agent, teamId: $team, idempotencyKey: $key
        }) { contact { id } userErrors { code message path } }
    }""",
)
OWNING_SCOPE = "contacts:own"

# Who writes, and the channel that it comes to: the same name elsewhere is somebody else.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Setup:
    """How a workspace is to be; what is left out stays as it is.

    `bots` are the names of channels on which the bot answers first, and the replay plays its part.
    """

    owners_every: int | None = None
    window_hours: int | None = None
    bots: tuple[str, ...] = ()


@dataclass(slots=True)
class Owners:
    """Gives every so many contacts an owner: in turn an agent and a team, each in their order.

    Whose turn it is follows from the order in which the contacts are met, never from who answers
    first: the same recording gives the same owners.
    """

    every: int | None = None
    agents: list[str] = field(default_factory=list)
    teams: dict[str, list[str]] = field(default_factory=dict)
    _met: set[Key] = field(default_factory=set)
    _turns: dict[Key, int] = field(default_factory=dict)

    @classmethod
    async def load(cls, client: Client, workspace: Workspace, every: int) -> Self:
        by_name = sorted(workspace.workers, key=workspace.agent_names.__getitem__)
        teams: dict[str, list[str]] = {}
        for team in sorted(await nodes(client, TEAMS), key=lambda node: str(node["name"])):
            if team["isActive"] and not team["isTodos"]:
                teams.setdefault(team["line"], []).append(team["id"])
        return cls(every, by_name, teams)

    def meet(self, key: Key) -> None:
        """Count a contact the first time that it writes."""
        if self.every is None or key in self._met:
            return
        self._met.add(key)
        if len(self._met) % self.every == 0:
            self._turns[key] = len(self._met) // self.every - 1

    async def give(
        self, client: Client, key: Key, conversation_id: str, idempotency_key: str
    ) -> str | None:
        """The kind of owner that the contact of a conversation got; none unless it was due.

        Raises Refused.
        """
        turn = self._turns.pop(key, None)
        if turn is None:
            return None
        shown = await client.query(CONTACT_OF_CONVERSATION, {"id": conversation_id})
        if shown is None or shown["contact"] is None:
            raise Refused("NOT_FOUND", "The contact of the conversation is not shown.")
        owner = self._owner(turn, shown["line"])
        contact = {"contact": shown["contact"]["id"], "key": idempotency_key}
        await client.mutate(CONTACT_SET_OWNER, contact | owner)
        return next(iter(owner))

    def _owner(self, turn: int, line: str) -> dict[str, str]:
        """An agent at even turns, a team of the line at odd ones; an agent where it has no team."""
        place, is_team = divmod(turn, 2)
        teams = self.teams.get(line)
        if is_team and teams:
            return {"team": teams[place % len(teams)]}
        return {"agent": self.agents[place % len(self.agents)]}


async def set_up(client: Client, workspace: Workspace, setup: Setup) -> Owners:
    """Change the settings once, before anything is played; raises Unplayable."""
    if setup.window_hours is not None:
        await _change(client, "--window", WORKSPACE_UPDATE, {"hours": setup.window_hours})
    for name in setup.bots:
        if name not in workspace.channels:
            raise Unplayable(f"Cannot use --bot: there is no channel {name}")
        channel = {"channel": workspace.channels[name].id}
        await _change(client, "--bot", CHANNEL_SET_BOT, channel)
    if setup.owners_every is None:
        return Owners()
    return await _owners(client, workspace, setup.owners_every)


async def _change(
    client: Client, option: str, operation: Operation, variables: dict[str, Any]
) -> None:
    try:
        await client.mutate(operation, variables | {"key": uuid4().hex})
    except Refused as refusal:
        raise Unplayable(f"Cannot use {option} ({refusal})") from refusal


async def _owners(client: Client, workspace: Workspace, every: int) -> Owners:
    try:
        viewer = await client.query(VIEWER, {})
        owners = await Owners.load(client, workspace, every)
    except Refused as refusal:
        raise Unplayable(f"Cannot use --owners ({refusal})") from refusal
    # Asked before: no contact is there yet to be refused.
    if viewer["agent"] is None and OWNING_SCOPE not in viewer["scopes"]:
        raise Unplayable(f"Cannot use --owners: this token lacks the scope {OWNING_SCOPE}")
    if not owners.agents:
        raise Unplayable("Cannot use --owners: the workspace has no agents")
    return owners
