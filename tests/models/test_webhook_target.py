"""Where webhooks go: nowhere inside of anybody's own network, whatever the spelling."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from models.errors import BadUserInput
from models.settings import Settings
from models.webhook import signature, target
from models.webhook.client import Client, Outcome, TargetRefused, require_reachable
from models.webhook.errors import WebhookTargetNotAllowed
from models.webhook.record import Failure
from models.webhook.target import Allowed, parse
from tests.receiver import HOST, Manner, a_receiver, tls_context

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    yield
    target.allow([])


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - not bound to
        ("0.1.2.3", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("192.0.0.192", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("2606:2800:220:1::1", True),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:93.184.216.34", True),
        ("2002:7f00:1::", False),
        ("2002:5db8:d822::", True),
        ("2001:0:7f00:1::", False),
        ("2001:0:5db8:d822::80ff:fffe", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b:1::1", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address: str, *, is_public: bool) -> None:
    assert target.is_public(ip_address(address)) is is_public


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("https://example.com", "https", "example.com", 443, "/"),
        ("https://EXAMPLE.com.:8443/a?b=c", "https", "example.com", 8443, "/a?b=c"),
        ("HTTPS://example.com?b", "https", "example.com", 443, "/?b"),
        ("https://b\u00fccher.example/x", "https", "xn--bcher-kva.example", 443, "/x"),
        ("https://[2606:2800:220:1::1]:1/", "https", "2606:2800:220:1::1", 1, "/"),
        ("http://93.184.216.34/%20", "http", "93.184.216.34", 80, "/%20"),
    ],
)
def test_a_url_is_read_in_its_parts(url: str, scheme: str, host: str, port: int, path: str) -> None:
    to = parse(url)

    assert (to.scheme, to.host, to.port, to.path, to.user) == (scheme, host, port, path, None)


def test_a_user_in_the_url_is_read_apart() -> None:
    assert parse("https://ada:l%40ve@example.com/").user == ("ada", "l@ve")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://example.com/#",
        "https://example.com/a b",
        "https://exam\tple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nhost: x",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://example.com/\u00fc",
        "https://example.com/\ud800",
        "https://exam\udc00ple.com/",
        "https://ada:\ud800@example.com/",
        "https://ada\x85:secret@example.com/",
        "https://ada:a%0Ab@example.com/",
        "https://ada%00:b@example.com/",
        "https://exa%6dple.com/",
        "https://-/",
        "https://a..b/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://[::ffff:127.0.0.1%251]/",
        "https://2130706433/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.0x1/",
        "https://127.0.0.01/",
        "https://1.2.3.4.5/",
        "https://256.0.0.1/",
        f"https://{'a.' * 126}com/",
    ],
)
def test_what_is_read_in_more_than_one_way_is_refused(url: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        target.require_url(url)

    assert refused.value.path == "input.url"
    assert "127" not in refused.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://shop.localhost:8000/",
        "https://127.0.0.1/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://user@127.0.0.1/",
        "http://93.184.216.34/",
    ],
)
def test_what_is_inside_or_in_the_clear_is_refused_at_once(url: str) -> None:
    with pytest.raises(WebhookTargetNotAllowed) as refused:
        target.require_url(url)

    assert refused.value.path == "input.url"


@pytest.mark.parametrize(
    ("url", "address", "allowed", "may"),
    [
        ("https://a.example/", "93.184.216.34", [], True),
        ("https://a.example/", "127.0.0.1", [], False),
        ("http://a.example/", "93.184.216.34", [], False),
        ("http://a.example/", "93.184.216.34", ["a.example"], True),
        ("http://a.example/", "127.0.0.1", ["A.Example."], True),
        ("https://b.a.example/", "127.0.0.1", ["a.example"], False),
        ("http://a.example/", "10.1.2.3", ["10.0.0.0/8"], True),
        ("http://a.example/", "::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("http://a.example/", "11.1.2.3", ["10.0.0.0/8"], False),
        ("http://a.example/", "93.184.216.34", ["10.0.0.0/8"], False),
        ("https://a.example/", "fd00::1", ["fd00::/8", "10.0.0.1"], True),
        ("http://a.example/", "10.0.0.1", ["10.0.0.1"], True),
        ("http://a.example/", "10.0.0.2", ["10.0.0.1"], False),
    ],
)
def test_an_installation_allows_names_and_networks_of_its_own(
    url: str, address: str, allowed: list[str], *, may: bool
) -> None:
    assert Allowed.of(allowed).lets_reach(parse(url), ip_address(address)) is may


def test_a_name_with_one_address_inside_is_not_reached_at_all() -> None:
    outside, inside = ip_address("93.184.216.34"), ip_address("10.0.0.1")

    require_reachable(parse("https://a.example/"), [outside], Allowed())
    with pytest.raises(TargetRefused):
        require_reachable(parse("https://a.example/"), [outside, inside], Allowed())


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "not a name", "300.1.1.1", ""])
def test_a_setting_that_allows_nothing_is_told(entry: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)."):
        Settings(webhook_targets_allowed=(entry,))


async def test_a_name_that_changes_its_mind_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer would be the one that a client that asks again connects to."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async with a_receiver() as receiver:
        target.allow(["127.0.0.0/8"])
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        outcome = await send(f"http://rebinding.example:{receiver.port}/")

    assert outcome == Outcome(None, 200)
    assert asked == ["rebinding.example"]
    assert receiver.deliveries[0].headers["host"] == f"rebinding.example:{receiver.port}"


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        ("https://127.0.0.1/", Failure.REFUSED_TARGET),
        ("https://localhost/", Failure.REFUSED_TARGET),
        ("https://[::ffff:127.0.0.1]/", Failure.REFUSED_TARGET),
        ("https://2130706433/", Failure.REFUSED_TARGET),
        ("https://nowhere.invalid/", Failure.UNREACHABLE),
    ],
)
async def test_nothing_inside_is_connected_to(url: str, failure: Failure) -> None:
    async with asyncio.timeout(10):
        assert await send(url) == Outcome(failure)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (200, Outcome(None, 200)),
        (204, Outcome(None, 204)),
        ((302, {"location": "/elsewhere"}), Outcome(Failure.NOT_ACCEPTED, 302)),
        (304, Outcome(Failure.NOT_ACCEPTED, 304)),
        (404, Outcome(Failure.NOT_ACCEPTED, 404)),
        (410, Outcome(Failure.GONE, 410)),
        ((429, {"retry-after": "120"}), Outcome(Failure.NOT_ACCEPTED, 429, 120)),
        (
            (503, {"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}),
            Outcome(Failure.NOT_ACCEPTED, 503, 50),
        ),
        ((503, {"retry-after": "soon"}), Outcome(Failure.NOT_ACCEPTED, 503)),
        ((500, {"retry-after": "120"}), Outcome(Failure.NOT_ACCEPTED, 500)),
        (Manner.RESET, Outcome(Failure.BROKEN_OFF)),
        (Manner.CLOSE, Outcome(Failure.BROKEN_OFF)),
        (Manner.ANNOUNCE, Outcome(Failure.BROKEN_OFF)),
    ],
)
async def test_an_answer_is_what_it_says(answer: Any, outcome: Outcome) -> None:
    target.allow(["127.0.0.0/8"])
    async with a_receiver(lambda _: answer) as receiver:
        assert await send(receiver.url) == outcome
        assert len(receiver.deliveries) == 1


@pytest.mark.parametrize(
    ("manner", "rest_seconds"),
    [
        (Manner.NEVER_END, 0.1),
        (Manner.STALL, 0.1),
        (Manner.CUT_OFF, 10),
        (Manner.CHATTER, 10),
    ],
)
async def test_whoever_said_yes_has_accepted_however_the_rest_of_it_goes(
    monkeypatch: pytest.MonkeyPatch, manner: Manner, rest_seconds: float
) -> None:
    monkeypatch.setattr("models.webhook.client.REST_SECONDS_MAX", rest_seconds)
    target.allow(["127.0.0.0/8"])
    async with (
        a_receiver(lambda _: manner) as receiver,
        Client(connections_max=1) as client,
    ):
        async with asyncio.timeout(5):
            outcomes = [await client.send(receiver.url, b"{}", {}, timestamp=10) for _ in range(2)]

        assert outcomes == [Outcome(None, 200)] * 2
        assert receiver.connections == 2


async def test_nobody_is_waited_for_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.webhook.client.REQUEST_SECONDS_MAX", 0.2)
    target.allow(["127.0.0.0/8"])
    async with a_receiver(lambda _: Manner.SAY_NOTHING) as receiver:
        assert await send(receiver.url) == Outcome(Failure.TIMED_OUT)


async def test_a_request_that_was_cut_off_leaves_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.webhook.client.REQUEST_SECONDS_MAX", 0.2)
    target.allow(["127.0.0.0/8"])
    answers: list[Any] = [200, Manner.SAY_NOTHING, Manner.SAY_NOTHING]
    async with (
        a_receiver(lambda _: answers.pop()) as receiver,
        Client(connections_max=1) as client,
    ):
        outcomes = [await client.send(receiver.url, b"{}", {}, timestamp=10) for _ in range(3)]

    assert [outcome.failure for outcome in outcomes] == [*[Failure.TIMED_OUT] * 2, None]


async def test_nobody_there_is_unreachable() -> None:
    target.allow(["127.0.0.0/8"])
    async with a_receiver() as receiver:
        await receiver.stop()
        assert await send(receiver.url) == Outcome(Failure.UNREACHABLE)


@pytest.mark.parametrize(
    ("host", "is_trusted", "outcome"),
    [
        (HOST, True, Outcome(None, 200)),
        (HOST, False, Outcome(Failure.TLS_FAILED)),
        ("other.example", True, Outcome(Failure.TLS_FAILED)),
    ],
)
async def test_whoever_is_connected_to_proves_to_be_whom_the_url_names(
    monkeypatch: pytest.MonkeyPatch, host: str, outcome: Outcome, *, is_trusted: bool
) -> None:
    target.allow([HOST, "other.example"])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **__: [(0, 0, 6, "", ("127.0.0.1", port))]
    )
    if is_trusted:
        context = tls_context(ssl.Purpose.SERVER_AUTH)
        monkeypatch.setattr("models.webhook.client.trusted", lambda: context)
    async with a_receiver(tls=tls_context(ssl.Purpose.CLIENT_AUTH)) as receiver:
        assert await send(f"https://{host}:{receiver.port}/") == outcome


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    target.allow(["127.0.0.0/8"])
    async with a_receiver() as receiver:
        assert await send(receiver.url) == Outcome(None, 200)


async def test_no_cookie_is_kept() -> None:
    target.allow(["127.0.0.0/8"])
    async with (
        a_receiver(lambda _: (200, {"set-cookie": "a=b"})) as receiver,
        Client(connections_max=1) as client,
    ):
        for _ in range(2):
            await client.send(receiver.url, b"{}", {}, timestamp=10)

    assert receiver.connections == 1
    assert not any("cookie" in each.headers for each in receiver.deliveries)


async def test_a_user_in_the_url_is_sent_as_credentials() -> None:
    target.allow(["127.0.0.0/8"])
    async with a_receiver() as receiver:
        await send(receiver.url.replace("//", "//ada:secret@"))

    assert receiver.deliveries[0].headers["authorization"] == "Basic YWRhOnNlY3JldA=="
    assert "ada" not in receiver.deliveries[0].headers["host"]


def test_a_message_is_signed_as_others_sign_it() -> None:
    """The vector that the libraries of Standard Webhooks are tested with."""
    headers = signature.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [SECRET]
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_secrets_sign_beside_each_other() -> None:
    secrets = [signature.new_secret(), SECRET]
    alone = [signature.headers("a", 1, b"{}", [secret])["webhook-signature"] for secret in secrets]

    both = signature.headers("a", 1, b"{}", secrets)["webhook-signature"]

    assert both == " ".join(alone)


async def send(url: str) -> Outcome:
    async with Client(connections_max=1) as client:
        return await client.send(url, b"{}", {"webhook-id": "1"}, timestamp=10)
