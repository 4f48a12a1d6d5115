"""The replay's side of the public GraphQL API: documents encoded once, patient retries."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from secrets import SystemRandom
from types import ModuleType, TracebackType
from typing import Any, Self, cast

import httpx
import orjson

TRIES_MAX = 8
BACKOFF_FIRST_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 5.0
RETRY_AFTER_MAX_SECONDS = 30.0
ANSWER_TIMEOUT_SECONDS = 30.0
# So many calls in a row given up, each after all its tries: nobody is there any more.
GIVE_UPS_IN_A_ROW_MAX = 16

Sleep = Callable[[float], Awaitable[None]]
_random = SystemRandom()


class Unplayable(Exception):
    """The replay could not begin; the message is one line for people."""


class Refused(Exception):
    """The server said no, and would say so again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Transient(Refused):
    """The same request may succeed later; `after_seconds` is how long the server asked to wait."""

    def __init__(self, code: str, message: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(code, message)
        self.after_seconds = after_seconds


class ServerGone(Exception):
    """Too many calls in a row failed after all their tries."""


class Operation:
    """A document with one root field, encoded once: only the variables differ between calls."""

    def __init__(self, field: str, document: str) -> None:
        self.field = field
        self._head = b'{"query":' + orjson.dumps(" ".join(document.split())) + b',"variables":'

    def body(self, variables: dict[str, Any]) -> bytes:
        return self._head + orjson.dumps(variables) + b"}"


class Client:
    """One pool of kept-alive connections to one server, with one token.

    A transient failure is sent again byte for byte, hence with the same idempotency key.
    """

    def __init__(
        self, url: str, token: str, *, connections_max: int, sleep: Sleep = asyncio.sleep
    ) -> None:
        _skip_futile_imports()
        self._url = httpx.URL(f"{url.rstrip('/')}/graphql")
        self._headers = httpx.Headers(
            {
                "Host": self._url.netloc.decode(),
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                # Answers are small and the server is near: compression would only cost both.
                "Accept-Encoding": "identity",
            }
        )
        timeout = httpx.Timeout(ANSWER_TIMEOUT_SECONDS, pool=None)
        self._extensions = {"timeout": timeout.as_dict()}
        self._http = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=connections_max, max_keepalive_connections=connections_max
            )
        )
        self._sleep = sleep
        self._given_up_in_a_row = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def query(
        self, operation: Operation, variables: dict[str, Any], *, tries_max: int = TRIES_MAX
    ) -> Any:
        """The root field's value, null included.

        Raises Refused, Transient when all tries are used up, and ServerGone.
        """
        body = operation.body(variables)
        for tried in range(1, tries_max + 1):
            try:
                data = await self._post(body)
            except Transient as failure:
                if tried == tries_max:
                    self._give_up(failure)
                await self._sleep(max(backoff_seconds(tried), failure.after_seconds))
            else:
                self._given_up_in_a_row = 0
                return data[operation.field]
        raise AssertionError("The last try returns or raises.")

    async def mutate(self, operation: Operation, variables: dict[str, Any]) -> dict[str, Any]:
        """The mutation's payload; raises Refused for a broken rule as for a broken request."""
        payload = await self.query(operation, variables)
        if payload is None:
            raise Refused("NO_PAYLOAD", "The mutation answered null.")
        if payload["userErrors"]:
            first = payload["userErrors"][0]
            raise Refused(first["code"], first["message"])
        return cast(dict[str, Any], payload)

    async def _post(self, body: bytes) -> dict[str, Any]:
        # A ready-made request spares the merging of addresses, headers and cookies on every call.
        request = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=self._extensions
        )
        try:
            response = await self._http.send(request)
        except httpx.RequestError as error:
            raise Transient("UNREACHABLE", str(error) or type(error).__name__) from error
        _require_patience(response)
        return _data(response)

    def _give_up(self, failure: Transient) -> None:
        self._given_up_in_a_row += 1
        if self._given_up_in_a_row >= GIVE_UPS_IN_A_ROW_MAX:
            raise ServerGone(f"The server stopped answering ({failure}).")
        raise failure


def backoff_seconds(tried: int) -> float:
    """Doubles from try to try; half of it is chance, so that senders do not return in step."""
    ceiling = min(BACKOFF_FIRST_SECONDS * 2 ** (tried - 1), BACKOFF_MAX_SECONDS)
    return _random.uniform(ceiling / 2, ceiling)


def _require_patience(response: httpx.Response) -> None:
    if response.status_code >= 500 or response.status_code == 429:
        code = f"HTTP_{response.status_code}"
        wait = response.headers.get("Retry-After", "")
        after_seconds = min(float(wait), RETRY_AFTER_MAX_SECONDS) if wait.isdecimal() else 0.0
        raise Transient(code, response.reason_phrase, after_seconds=after_seconds)


def _data(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise Refused(f"HTTP_{response.status_code}", "The answer is not GraphQL.")
    if answer.get("errors"):
        raise _refusal(answer["errors"][0], response.status_code)
    if not isinstance(answer.get("data"), dict):
        raise Refused(f"HTTP_{response.status_code}", "The answer has no data.")
    return cast(dict[str, Any], answer["data"])


def _refusal(error: dict[str, Any], status: int) -> Refused:
    extensions = error.get("extensions") or {}
    kind = Transient if extensions.get("retryable") is True else Refused
    return kind(extensions.get("code") or f"HTTP_{status}", error.get("message", ""))


def _skip_futile_imports() -> None:
    """Spare a search of the whole import path at every lock, a third of a request's CPU.

    httpcore tries to import sniffio each time it makes one, and a failed import is not remembered
    unless told so with None.
    """
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        sys.modules["sniffio"] = cast(ModuleType, None)
