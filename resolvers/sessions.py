"""Signing in and out, and the tokens of integrations."""

from datetime import datetime

import strawberry

from models.access import Actor, ActorKind
from models.invitation import reset_password
from models.token import Token, sign_in
from resolvers.commands import Answer, Payload, mutation
from resolvers.context import Info
from resolvers.ids import decode, encode
from resolvers.inputs import CommandInput
from resolvers.loaders import Loaders
from resolvers.types import Agent, agent_of


@strawberry.input(description="An agent's address and password.")
class SignInInput(CommandInput):
    email: str = strawberry.field(description="Address.")
    password: str = strawberry.field(description="Password.")


@strawberry.input(description="Choose a password with an invitation.")
class PasswordResetInput(CommandInput):
    invitation: str = strawberry.field(description="What `agentInvite` answered.")
    password: str = strawberry.field(description="8 to 1,024 characters.")


@strawberry.input(description="Ends the session that asks.")
class SignOutInput(CommandInput):
    pass


@strawberry.input(description="A token for a script.")
class TokenCreateInput(CommandInput):
    name: str = strawberry.field(description="What it is for.")
    scopes: list[str] = strawberry.field(description="What it may do, e.g. `messages:receive`.")
    expires_in_days: int | None = strawberry.field(default=None, description="Never, if left out.")


@strawberry.input(description="Ends a token at once.")
class TokenRevokeInput(CommandInput):
    token_id: strawberry.ID = strawberry.field(description="Which token.")


@strawberry.type(description="What a stranger's command came to.")
class StrangerPayload(Payload):
    @strawberry.field(description="Who it is; null when refused.")
    async def agent(self) -> Agent | None:
        if "agent" not in self.answer:
            return None
        # A stranger's context has no loaders; the agent reads its own record.
        actor = Actor(ActorKind.AGENT, self.answer["workspace"], self.answer["agent"])
        row = await Loaders(actor).agents.load(self.answer["agent"])
        return Agent.of(row)


@strawberry.type(description="What choosing a password came to; sign in with it.")
class PasswordResetPayload(StrangerPayload):
    pass


@strawberry.type(description="What signing in came to.")
class SignInPayload(StrangerPayload):
    @strawberry.field(description="Send it as `Authorization: Bearer ...`; shown this once.")
    def token(self) -> str | None:
        token: str | None = self.answer.get("secret")
        return token

    @strawberry.field(description="When the session ends.")
    def expires_at(self) -> datetime | None:
        at: datetime | None = self.answer.get("expires_at")
        return at


@strawberry.type(description="What signing out came to.")
class SignOutPayload(Payload):
    pass


@strawberry.type(description="What creating a token came to.")
class TokenCreatePayload(Payload):
    @strawberry.field(description="The token; shown this once, and null in a repeated answer.")
    def token(self) -> str | None:
        token: str | None = self.answer.get("secret")
        return token

    @strawberry.field(description="Its id, to revoke it.")
    def token_id(self) -> strawberry.ID | None:
        id = self.id_of("token")
        return encode("Token", id) if id else None


@strawberry.type(description="What revoking a token came to.")
class TokenRevokePayload(Payload):
    pass


@strawberry.type(description="Whoever asks.")
class Viewer:
    @strawberry.field(description="The agent who asks; null for an integration.")
    async def agent(self, info: Info) -> Agent | None:
        return await agent_of(info, info.context.by.agent_id)

    @strawberry.field(description="What the integration that asks may do; empty for a person.")
    def scopes(self, info: Info) -> list[str]:
        return sorted(info.context.by.scopes)


@strawberry.type
class SessionQuery:
    @strawberry.field(description="Whoever asks.")
    def viewer(self, info: Info) -> Viewer | None:
        _ = info.context.by
        return Viewer()


@strawberry.type
class SessionMutation:
    @mutation(SignInPayload, "Open a session; a repeated one opens another.", once=False)
    async def sign_in(self, input: SignInInput) -> Answer:
        agent, secret, expires_at = await sign_in(input.email, input.password)
        return {
            "agent": agent.id,
            "workspace": agent.workspace_id,
            "secret": secret,
            "expires_at": expires_at,
        }

    @mutation(PasswordResetPayload, "Choose a password; all sessions of the agent end.", once=False)
    async def password_reset(self, input: PasswordResetInput) -> Answer:
        agent = await reset_password(input.invitation, input.password)
        return {"agent": agent.id, "workspace": agent.workspace_id}

    @mutation(SignOutPayload, "End the session that asks, and its sockets.")
    async def sign_out(self, info: Info, input: SignOutInput) -> Answer:  # noqa: ARG002 - one shape
        await Token.revoke_own(by=info.context.by)
        return {}

    @mutation(TokenCreatePayload, "Create a token for an integration.")
    async def token_create(self, info: Info, input: TokenCreateInput) -> Answer:
        token, secret = await Token.issue(
            by=info.context.by,
            name=input.name,
            scopes=tuple(input.scopes),
            expires_days=input.expires_in_days,
        )
        return {"token": token.id, "secret": secret}

    @mutation(TokenRevokePayload, "End a token at once, and its sockets.")
    async def token_revoke(self, info: Info, input: TokenRevokeInput) -> Answer:
        await Token.revoke(decode("Token", input.token_id), by=info.context.by)
        return {}
