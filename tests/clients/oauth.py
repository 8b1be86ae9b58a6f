"""A client that logs in at an authorization server which others wrote, by the Python SDK's own flow:
python oauth.py URL ADMIN REVISION ISSUER

ISSUER is where oidc_provider.mjs listens. The application is `conformance`. The Python side of oauth.mjs.
"""

import sys
import warnings
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from account import Account, read_token, turn
from harness import Journal, check, publish, run

URL, ADMIN, REVISION, ISSUER = sys.argv[1:5]
MODERN = REVISION == "2026-07-28"
WATCHED = "test://watched-resource"
UPDATED = "notifications/resources/updated"
ORIGIN, PATH = URL.removesuffix(urlsplit(URL).path), urlsplit(URL).path
# Time enough to use a token on a busy machine, and to see it expire within a check.
BRIEF_S = 3
POLL_S = 0.05
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated


class Peer:
    """One client, with a journal of what it was told and of the HTTP responses it got."""

    def __init__(self, name):
        self.account = Account(name)
        self.journal = Journal()
        self.session_id = None

    @asynccontextmanager
    async def open(self):
        self.provider = self.account.provider(URL)
        http = create_mcp_http_client(auth=self.provider)
        http.event_hooks = {"response": [self._note_response]}
        async with http:
            self.client = Client(
                streamable_http_client(URL, http_client=http),
                mode="auto" if MODERN else "legacy",
                read_timeout_seconds=60,
                message_handler=self._note_message,
            )
            async with self.client:
                yield self

    async def _note_response(self, response):
        self.session_id = response.headers.get("mcp-session-id", self.session_id)
        self.journal.push(("http", response.request.method, response.status_code, str(response.request.url)))

    async def _note_message(self, message):
        if not isinstance(message, Exception):
            self.journal.push(("told", message.method, message.params))

    async def text(self, name):
        result = await self.client.call_tool(name, {})
        assert not result.is_error and len(result.content) == 1, result
        return result.content[0].text

    @asynccontextmanager
    async def listening(self):
        if MODERN:
            async with self.client.listen(resource_subscriptions=[WATCHED]):
                yield
            return
        await self.journal.find(lambda entry: entry == ("http", "GET", 200, URL), "the GET stream")
        await self.client.subscribe_resource(WATCHED)
        yield

    async def hears(self):
        """Of a change that somebody publishes now."""
        start = len(self.journal)
        await publish(ADMIN, [{"uri": WATCHED}])
        is_told = lambda entry: entry[:2] == ("told", UPDATED) and str(entry[2].uri) == WATCHED  # noqa: E731
        await self.journal.find(is_told, UPDATED, start)


async def ask(token=None, session=None):
    """A request by hand, with a token or none."""
    headers = {"accept": "application/json, text/event-stream"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if session:
        headers["mcp-session-id"] = session
    async with httpx2.AsyncClient() as client:
        return await client.post(URL, json=PING, headers=headers)


async def until(is_so):
    """Looks again and again until it is so. The check has its deadline."""
    while not await is_so():
        await anyio.sleep(POLL_S)


@check("the SDK found its way from 401 to a token, and is let in")
async def _(peer):
    asked = [entry[1:] for entry in peer.journal.since(0, lambda entry: entry[0] == "http")]
    places = [place for _, _, place in asked]
    assert asked[0] == ("POST", 401, URL), asked
    order = [f"{ORIGIN}/.well-known/oauth-protected-resource{PATH}", f"{ISSUER}/reg", f"{ISSUER}/token"]
    found = [places.index(place) for place in order]
    assert found == sorted(found), asked
    header, claims = read_token(peer.account.access_token)
    told = (header["typ"], claims["iss"], claims["sub"], claims["aud"])
    assert told == ("at+jwt", ISSUER, "alice", URL), told
    assert peer.client.protocol_version == REVISION


@check("calls a tool, is told of a change, and its token expires meanwhile")
async def _(peer):
    await peer.text("test_simple_text")
    async with peer.listening():
        await peer.hears()
    # The first: where all is slow, the SDK has another one already.
    old = peer.account.history[0].access_token

    async def is_refused():
        response = await ask(old, peer.session_id)
        if response.status_code != 401:
            return False
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token", error_description="'), challenge
        assert "expired" in challenge and old not in challenge + response.text
        # The SDK asks for another one by its own clock, which began when the token came.
        return len(peer.account.history) > 1 or not peer.provider.context.is_token_valid()

    await until(is_refused)


@check("the SDK gets another token, and goes on with the same session")
async def _(peer):
    start, session = len(peer.journal), peer.session_id
    await peer.text("test_simple_text")
    assert len(peer.account.history) > 1
    assert (await turn(ISSUER, "tell"))[:2] == ["authorization_code", "refresh_token"]
    assert peer.account.logins == 1, "nobody had to log in again"
    assert peer.session_id == session
    refused = peer.journal.since(start, lambda entry: entry[0] == "http" and entry[2] == 404)
    assert not refused, refused


@check("notifications come to who has a new token")
async def _(peer):
    if MODERN:
        async with peer.listening():
            await peer.hears()
        return

    start = len(peer.journal)

    # A stream may end with its token, and the SDK comes back when it has a new one.
    async def hears():
        await publish(ADMIN, [{"uri": WATCHED}])
        return peer.journal.since(start, lambda entry: entry[:2] == ("told", UPDATED))

    await until(hears)


@check("somebody with a token that is signed by a new key is let in, and does not get a session of somebody else")
async def _(peer):
    await turn(ISSUER, "rotate?alg=ES256")
    bob = Peer("bob")
    async with bob.open():
        assert read_token(bob.account.access_token)[0]["alg"] == "ES256"
        await bob.text("test_simple_text")
        if not MODERN:
            stolen = await ask(bob.account.access_token, peer.session_id)
            assert stolen.status_code == 404, stolen.text
    await peer.text("test_simple_text")


async def main():
    await turn(ISSUER, f"lifetime?s={BRIEF_S}")
    peer = Peer("alice")
    async with peer.open():
        await turn(ISSUER, "lifetime?s=600")
        return await run(peer)


sys.exit(0 if anyio.run(main) else 1)
