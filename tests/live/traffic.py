"""Writers through the API of whichever server answers, at a steady pace."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

ANSWER_SECONDS_MAX = 10
TRIES_MAX = 40
BACKOFF_SECONDS = 0.1


@dataclass
class Traffic:
    """Commands of one company's integration; what they come to is told by the log alone."""

    company: dict[str, Any]
    ports: list[int]
    choose: random.Random
    text: str = "One moment"
    counts: Counter[str] = field(default_factory=Counter)
    number: int = 0

    async def __aenter__(self) -> Self:
        self.http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self.company['token']}"},
            timeout=ANSWER_SECONDS_MAX,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def flow(self, per_second: float, writers: int) -> None:
        """Until cancelled; a writer that was held up does not catch up."""
        await asyncio.gather(*[self._write(writers / per_second) for _ in range(writers)])

    async def _write(self, pause_seconds: float) -> None:
        while True:
            await asyncio.gather(self.one(), asyncio.sleep(pause_seconds))

    async def one(self) -> None:
        """A command of any kind, once: who was not answered does not ask again."""
        mutation, input = self._any()
        self.counts[await self.do(mutation, input) or "unanswered"] += 1

    async def insist(self, mutation: str, input: dict[str, Any]) -> None:
        """Until it is done: a repetition adds an event at most."""
        said: list[str | None] = []
        while len(said) < TRIES_MAX:
            said.append(await self.do(mutation, input))
            if said[-1] == "done":
                return
            await asyncio.sleep(BACKOFF_SECONDS)
        raise AssertionError(f"{mutation}: {Counter(said)}")

    async def do(self, mutation: str, input: dict[str, Any]) -> str | None:
        """`done`, the code of a refusal, or None when nobody answered."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input!"
        document = (
            f"mutation ($input: {kind}) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}"
        )
        port = self.choose.choice(self.ports)
        try:
            answer = await self.http.post(
                f"http://127.0.0.1:{port}/graphql",
                json={"query": document, "variables": {"input": input}},
            )
            body = answer.json()
        except (httpx.TransportError, ValueError):
            return None
        if body.get("errors"):
            return str(body["errors"][0]["extensions"]["code"])
        refused = body["data"][mutation]["userErrors"]
        return str(refused[0]["code"]) if refused else "done"

    async def cursor_of_first_event(self) -> str:
        answer = await self.http.post(
            f"http://127.0.0.1:{self.ports[0]}/graphql",
            json={"query": "{ events(first: 1) { edges { cursor } } }"},
        )
        return str(answer.json()["data"]["events"]["edges"][0]["cursor"])

    def _any(self) -> tuple[str, dict[str, Any]]:
        conversation = {"conversationId": self._one_of("conversations")}
        return self.choose.choice(
            [
                ("messageSend", {**conversation, "text": self.text}),
                ("conversationAssign", {**conversation, "agentId": self._one_of("agents")}),
                ("conversationAssign", {**conversation, "agentId": self._one_of("agents")}),
                ("conversationTransfer", {**conversation, "teamId": self._one_of("teams")}),
                ("conversationTransfer", {**conversation, "teamId": self._one_of("teams")}),
                ("conversationUnassign", conversation),
                ("messageReceive", self.message(self._one_of("channels"))),
                ("conversationClose", conversation),
                ("conversationReopen", conversation),
                ("ticketUpdate", {**self._ticket(), "priority": self._of("LOW", "HIGH")}),
                ("conversationLinkTicket", {**conversation, **self._ticket()}),
                ("ticketAddAction", self.action(self._one_of("tickets"))),
                ("agentSetAvailability", self._availability(self._one_of("agents"))),
            ]
        )

    def _one_of(self, what: str) -> str:
        return str(self.choose.choice(self.company[what])["id"])

    def _of(self, *words: str) -> str:
        return self.choose.choice(words)

    def _ticket(self) -> dict[str, Any]:
        return {"ticketId": self._one_of("tickets")}

    def message(self, channel: str) -> dict[str, Any]:
        """Of a new customer, who is queued where the channel leads."""
        self.number += 1
        sender = f"{self.choose.getrandbits(64)}-{self.number}"
        contact = {"externalId": sender}
        return {"channelId": channel, "externalId": sender, "contact": contact, "text": self.text}

    def action(self, ticket: str) -> dict[str, Any]:
        return {"ticketId": ticket, "kind": "INTERNAL", "text": "Looked into it"}

    def _availability(self, agent: str) -> dict[str, Any]:
        return {"agentId": agent, "availability": self._of("ONLINE", "AWAY")}

    async def last_words(self) -> None:
        """One more event for everything that can be followed, after which nothing is told."""
        conversations, by_hand = self.company["conversations"], self.company["teams"][0]
        for conversation in conversations:
            await self.do("conversationReopen", {"conversationId": conversation["id"]})
        for channel in self.company["channels"]:
            await self.insist("messageReceive", self.message(channel["id"]))
        for place, agent in enumerate(self.company["agents"]):
            held = {"conversationId": conversations[place]["id"], "agentId": agent["id"]}
            waiting = {"conversationId": held["conversationId"], "teamId": by_hand["id"]}
            await self.do("conversationTransfer", waiting)
            await self.insist("conversationAssign", held)
        for conversation in conversations:
            said = {"conversationId": conversation["id"], "text": "That was all"}
            await self.insist("messageSend", said)
        for ticket in self.company["tickets"]:
            await self.insist("ticketAddAction", self.action(ticket["id"]))


@asynccontextmanager
async def flowing(
    writing: list[Traffic], per_second: float = 30, writers: int = 4
) -> AsyncIterator[None]:
    """The companies' traffic, of so many commands a second altogether."""
    each = per_second / len(writing)
    tasks = [asyncio.create_task(traffic.flow(each, writers)) for traffic in writing]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
