"""The workspace that a recording is played against: what it has, and putting its agents to work."""

from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

from api.recording import Line
from api.replay_client import Client, Operation, Refused

OPENING_TRIES_MAX = 3
DEVICE = "replay"

CHANNELS = Operation("channels", "query { channels(first: 100) { nodes { id name kind status } } }")
AGENTS = Operation(
    "agents", "query { agents(first: 100) { nodes { id name role availability isConnected } } }"
)
CLOSING_REASONS = Operation(
    "closingReasons", "query { closingReasons(first: 100) { nodes { id name } } }"
)
PRESENCE_BEAT = Operation(
    "presenceBeat",
    """mutation ($agent: ID!, $device: String!, $key: String!) {
        presenceBeat(input: {agentId: $agent, device: $device, idempotencyKey: $key}) {
            agent { id isConnected } userErrors { code message path }
        }
    }""",
)
AGENT_SET_AVAILABILITY = Operation(
    "agentSetAvailability",
    """mutation ($agent: ID!, $key: String!) {
        agentSetAvailability(
            input: {agentId: $agent, availability: ONLINE, idempotencyKey: $key}
        ) { agent { id availability } userErrors { code message path } }
    }""",
)


@dataclass(frozen=True, slots=True)
class Channel:
    """One connected account, by the words of the API."""

    id: str
    name: str
    kind: str
    status: str


@dataclass(slots=True)
class Workspace:
    """The parts of a workspace that a replay needs, as they were when it began."""

    channels: dict[str, Channel]
    agent_names: dict[str, str]
    workers: list[str]
    closing_reasons: list[str]
    _places: dict[tuple[str, str], Channel | None] = field(default_factory=dict)

    @classmethod
    async def load(cls, client: Client) -> Self:
        channels = await nodes(client, CHANNELS)
        agents = await nodes(client, AGENTS)
        reasons = await nodes(client, CLOSING_REASONS)
        return cls(
            channels={node["name"]: _channel(node) for node in channels},
            agent_names={node["id"]: node["name"] for node in agents},
            workers=[node["id"] for node in agents if node["role"] == "AGENT"],
            closing_reasons=[node["id"] for node in reasons],
        )

    def place(self, line: Line) -> Channel | None:
        """The channel of the line's name, else the first connected one of its kind."""
        key = (line.channel, line.kind)
        if key not in self._places:
            self._places[key] = self.channels.get(line.channel) or self._of_kind(line.kind)
        return self._places[key]

    def _of_kind(self, kind: str) -> Channel | None:
        connected = (it for it in self.channels.values() if it.status == "CONNECTED")
        return next((channel for channel in connected if channel.kind == kind), None)


async def nodes(client: Client, operation: Operation) -> list[dict[str, Any]]:
    connection = await client.query(operation, {}, tries_max=OPENING_TRIES_MAX)
    if connection is None:
        raise Refused("FORBIDDEN", f"This token sees no {operation.field}.")
    return list(connection["nodes"])


async def put_to_work(client: Client, agent: str) -> None:
    # The beat first: by itself it brings back the availability that the agent had before.
    await beat(client, agent)
    await client.mutate(AGENT_SET_AVAILABILITY, {"agent": agent, "key": uuid4().hex})


async def beat(client: Client, agent: str) -> None:
    await client.mutate(PRESENCE_BEAT, {"agent": agent, "device": DEVICE, "key": uuid4().hex})


def _channel(node: dict[str, Any]) -> Channel:
    return Channel(node["id"], node["name"], node["kind"], node["status"])
