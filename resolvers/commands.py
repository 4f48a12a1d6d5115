"""Mutations: one transaction each, retried as a whole, answered once per idempotency key.

A resolver finds, calls a verb and returns the ids of what it changed; the payload shows them after
the commit. That is also all that is stored of an answer, so a repeated command shows the same
records.
"""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import strawberry
from strawberry.extensions import FieldExtension

from models import idempotency
from models.database import retrying, tx
from models.errors import BadUserInput, RuleViolation
from resolvers.context import Info
from resolvers.errors import UserError

Answer = dict[str, Any]


@strawberry.type(description="What every mutation answers.")
class Payload:
    answer: strawberry.Private[Answer]
    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="The rules that said no; empty when it worked."
    )

    def id_of(self, noun: str) -> UUID | None:
        id = self.answer.get(noun)
        return UUID(str(id)) if id else None


class Command(FieldExtension):
    """Wraps a mutation's resolver in its transaction and turns refusals into `userErrors`."""

    def __init__(self, payload: type[Payload], *, once: bool, repeatable: bool) -> None:
        self._payload = payload
        self._once = once
        self._repeatable = repeatable

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Answer]], source: Any, info: Info, **arguments: Any
    ) -> Payload:
        async def run() -> Answer:
            return await self._run(lambda: next_(source, info, **arguments), info, arguments)

        keyed = self._once and arguments["input"].idempotency_key is not None
        try:
            answer = await retrying(run, repeatable=self._repeatable or keyed)
            return self._payload(answer=answer)
        except RuleViolation as error:
            return self._payload(answer={}, user_errors=[UserError.of(error)])

    async def _run(
        self, work: Callable[[], Awaitable[Answer]], info: Info, arguments: dict[str, Any]
    ) -> Answer:
        input = arguments["input"]
        key = input.idempotency_key
        if info.context.actor is None or not self._once:
            # Strangers can only sign in; and what that answers, a secret, is never stored.
            return await work()
        if key is None:
            async with tx():
                return await work()
        if not 1 <= len(key) <= idempotency.KEY_LENGTH_MAX:
            raise BadUserInput(
                f"An idempotency key has 1 to {idempotency.KEY_LENGTH_MAX} characters."
            )
        by, mutation = info.context.actor, info.field_name
        async with tx() as transaction:
            given = idempotency.fingerprint(dataclasses.asdict(input))
            first = await idempotency.claim(
                transaction, by=by, mutation=mutation, key=key, input_hash=given
            )
            if first is not None:
                return first
            answer = await work()
            stored = {name: value for name, value in answer.items() if name != "secret"}
            await idempotency.keep(transaction, stored, by=by, mutation=mutation, key=key)
        return answer


def mutation(
    payload: type[Payload], description: str, *, once: bool = True, repeatable: bool = False
) -> Any:
    """A mutation field: the resolver returns an Answer, the caller sees the payload.

    With `once=False` its answer is never stored: a repeated command has its effect again. One that
    is `repeatable` has no second effect even without a key, so that we may repeat it ourselves.
    """
    field = strawberry.mutation(
        graphql_type=payload | None,
        extensions=[Command(payload, once=once, repeatable=repeatable)],
        description=description,
    )

    def described(resolver: Callable[..., Awaitable[Answer]]) -> Any:
        made = field(resolver)
        for argument in made.arguments:
            argument.description = "What to do, and to what."
        return made

    return described
