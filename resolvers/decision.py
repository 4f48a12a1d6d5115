"""Decisions as the API shows them: every candidate with its verdict, and what came of it."""

from datetime import datetime
from uuid import UUID

import orjson
import strawberry

from models import precedence
from models.precedence import Directed
from resolvers.context import Info
from resolvers.types import Agent, Node, Row, agent_of, column
from resolvers.vocabulary import Distribution, Ending, Outcome, Reason, Rule, TieBreak, Verdict
from resolvers.workflow import Workflow, workflow_of


@strawberry.type(
    description="One member at the moment of a decision, with what spoke for or against."
)
class Candidate:
    fact: strawberry.Private[Row]
    max_open: strawberry.Private[int | None]
    place: strawberry.Private[int]

    @strawberry.field(description="The member.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, UUID(self.fact["agent_id"]))

    @strawberry.field(description="The verdict.")
    def verdict(self) -> Verdict:
        return Verdict(self.fact["verdict"])

    @strawberry.field(description="How many it held.")
    def load(self) -> int:
        load: int = self.fact["load"]
        return load

    @strawberry.field(description="The verdict with its numbers, such as `AT_CAPACITY(5/5)`.")
    def summary(self) -> str:
        verdict = Verdict(self.fact["verdict"])
        full = verdict is Verdict.AT_CAPACITY
        return f"{verdict}({self.load()}/{self.limit()})" if full else str(verdict)

    @strawberry.field(description="How many it may hold by itself.")
    def capacity(self) -> int:
        capacity: int = self.fact["capacity"]
        return capacity

    @strawberry.field(description="From how many on it gets none here: capacity and `maxOpen`.")
    def limit(self) -> int:
        capacity: int = self.fact["capacity"]
        return capacity if self.max_open is None else min(capacity, self.max_open)

    @strawberry.field(description="Its place in the team's order, from 1.")
    def position(self) -> int:
        return self.place


@strawberry.type(description="Why: the rule, every candidate with its verdict, the winner.")
class Decision:
    made: strawberry.Private[Row]

    @classmethod
    def of(cls, stored: str | Row | None) -> "Decision | None":
        if stored is None:
            return None
        made = orjson.loads(stored) if isinstance(stored, str) else stored
        return cls(made=made) if "outcome" in made else None

    @strawberry.field(description="The rule that chose the place.")
    def rule(self) -> Rule:
        return Rule(self.made["rule"])

    @strawberry.field(description="What it came to.")
    def outcome(self) -> Outcome:
        return Outcome(self.made["outcome"])

    @strawberry.field(description="The team's distribution; null for a choice by hand.")
    def distribution(self) -> Distribution | None:
        value = self.made.get("distribution")
        return Distribution(value) if value else None

    @strawberry.field(description="What told equal candidates apart.")
    def tie_break(self) -> TieBreak | None:
        value = self.made.get("tie_break")
        return TieBreak(value) if value else None

    @strawberry.field(description="The rules that could have decided and why they did not.")
    def passed_over(self) -> list[Reason]:
        routed = self.made.get("routed") or {}
        return [Reason(reason) for reason in routed.get("passed", ())]

    @strawberry.field(description="The workflow that chose the place, if one did.")
    async def workflow(self, info: Info) -> Workflow | None:
        return await workflow_of(info, self._step.workflow_id if self._step else None)

    @strawberry.field(description="The key of the workflow's step that did.")
    def workflow_step(self) -> str | None:
        return self._step.key if self._step else None

    @property
    def _step(self) -> Directed | None:
        routed = self.made.get("routed")
        if not routed or self.made["rule"] != Rule.WORKFLOW:
            return None
        return precedence.place(precedence.recall(routed["facts"])).step

    @strawberry.field(description="The winner.")
    async def winner(self, info: Info) -> Agent | None:
        winner = self.made.get("winner")
        return await agent_of(info, UUID(winner)) if winner else None

    @strawberry.field(description="Every member, in order; empty for a choice by hand.")
    def candidates(self) -> list[Candidate]:
        limit = self.made.get("max_open")
        return [
            Candidate(fact=fact, max_open=limit, place=place)
            for place, fact in enumerate(self.made["candidates"], start=1)
        ]


@strawberry.type(description="The time during which one agent held one conversation.")
class Assignment(Node):
    rule = column(Rule, "rule", "The rule that gave it.")
    started_at = column(datetime, "started_at", "Since when.")
    ended_at = column(datetime | None, "ended_at", "Until when; null while it lasts.")
    ending = column(Ending | None, "ending", "How it ended.")

    @strawberry.field(description="Who holds or held it.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, self.row["agent_id"])

    @strawberry.field(description="The decision that gave it.")
    def decision(self) -> Decision | None:
        return Decision.of(self.row["decision"])
