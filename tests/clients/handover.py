"""A client of the Python SDK whose node goes on in ten new processes, one after the other, and that must not notice:
python handover.py URL ADMIN REVISION; PINFOLD is the program. ADMIN of several nodes, with commas in between: they are deployed one
after the other, twice.

With OPERATOR, a URL of the test that kills or drains a node when it is asked to, the client does notice: its stream ends and its
requests may fail. But it goes on with the same session, which it has begun once."""

import json
import logging
import math
import os
import subprocess
import sys
import urllib.request
import warnings
from contextlib import AsyncExitStack
from types import SimpleNamespace

import anyio
from httpx2 import HTTPError
from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from harness import Journal, check, publish, run

URL, LISTENERS, REVISION = sys.argv[1:4]
ADMINS = LISTENERS.split(",")
OPERATOR = os.environ.get("OPERATOR")
MODERN = REVISION == "2026-07-28"
HAND_OVERS = 2 * len(ADMINS) if len(ADMINS) > 1 else 10
LOSSES = 2 if OPERATOR and OPERATOR.endswith("/kill") else len(ADMINS)
LOSS_DEADLINE_S = 300  # a node that leaves takes its time, and so does one that starts
GAVE_UP = "max reconnection attempts"
UPDATED = "notifications/resources/updated"
URIS = [f"board://handed-over/{number}" for number in range(5)]
UPGRADE = [os.environ["PINFOLD"], "upgrade", "--wait", "--admin"]

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated


class Peer:
    """What the checks get: the client, what happened, and how it hears."""

    def __init__(self, client, journal, http):
        self.client, self.journal, self._http = client, journal, http
        self.heard_by = AsyncExitStack()
        self._subscription = None

    async def listen(self):
        listening = self.client.listen(resource_subscriptions=URIS)
        self._subscription = await self.heard_by.enter_async_context(listening)

    async def listen_again(self):
        try:
            async for _ in self._subscription:
                pass
        except SubscriptionLost:
            pass
        while True:
            try:
                return await self.listen()
            except (MCPError, SubscriptionLost):
                await anyio.sleep(0.02)

    async def come_back(self, start):
        """By itself, or its user for it. Either way it is told of all that it may have missed."""
        await self.journal.find(is_open, "the stream again", start, LOSS_DEADLINE_S)
        for uri in URIS:
            await self.told(uri, start)

    async def stand_in(self):
        """Its user opens the stream when the SDK does so no more, which may be after any loss: streams are passed on by nodes that its
        session was never at."""

        def gave_up(entry):
            return entry[0] == "log" and GAVE_UP in entry[1]

        await self.journal.find(gave_up, "that the SDK gives up", seconds=math.inf)
        asked = self.journal.since(0, lambda entry: entry[0] == "http" and entry[1] == "GET")
        fields = {"Accept": "text/event-stream", "MCP-Session-Id": asked[0][4], "MCP-Protocol-Version": REVISION}
        while True:
            try:
                async with self._http.stream("GET", URL, headers=fields, timeout=None) as answer:
                    if answer.status_code == 200:
                        await self._take_all(answer)
            except HTTPError:
                pass  # its node is gone
            await anyio.sleep(0.02)

    async def _take_all(self, answer):
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                message = json.loads(line.removeprefix("data: "))
                self.journal.push((message.get("method"), SimpleNamespace(**message.get("params", {}))))

    async def told(self, uri, start):
        def fits(entry):
            return entry[0] == UPDATED and str(entry[1].uri) == uri

        await self.journal.find(fits, f"{UPDATED} of {uri}", start)

    async def publish_and_hear(self, text, admin=ADMINS[0]):
        start = len(self.journal)
        await publish(admin, [{"uri": uri, "contents": {"text": text}} for uri in URIS])
        for uri in URIS:
            await self.told(uri, start)

    async def goes_on(self, number, admin):
        await self.publish_and_hear(f"after {number}", admin)
        called = await self._call("post", {"uri": URIS[0], "text": f"called {number}"})
        assert not called.is_error, called

    async def _call(self, name, arguments):
        """A node of which others may think that it is gone says 503 until it knows better."""
        while True:
            try:
                return await self.client.call_tool(name, arguments)
            except MCPError:
                if not OPERATOR:
                    raise
            await anyio.sleep(0.02)


def is_open(entry):
    return entry[:3] == ("http", "GET", 200)


def hand_over(number):
    @check(f"hand-over {number}: is told of each change, and called tools answer")
    async def _(peer):
        done = await anyio.run_process([*UPGRADE, ADMINS[number % len(ADMINS)]], check=False, stderr=subprocess.STDOUT)
        assert done.returncode == 0 and b"has taken over as process" in done.stdout, done
        await peer.goes_on(number, ADMINS[0])


def loss(number):
    def ask():
        with urllib.request.urlopen(f"{OPERATOR}/{number}", b"", timeout=LOSS_DEADLINE_S) as answer:
            return json.load(answer)

    @check(f"loss {number}: comes back, is told of each change, and called tools answer", seconds=LOSS_DEADLINE_S)
    async def _(peer):
        start = len(peer.journal)
        lost = await anyio.to_thread.run_sync(ask)
        if lost["wasThere"]:
            await (peer.listen_again() if MODERN else peer.come_back(start))
        await peer.goes_on(number, lost["admin"])


@check("subscribes and is told")
async def _(peer):
    if MODERN:
        await peer.listen()
    else:
        for uri in URIS:
            await peer.client.subscribe_resource(uri)
    await peer.publish_and_hear("before")


for number in range(1, (LOSSES if OPERATOR else HAND_OVERS) + 1):
    loss(number) if OPERATOR else hand_over(number)


def asked(peer):
    return [entry[1:] for entry in peer.journal.since(0, lambda entry: entry[0] == "http")]


@check("it began once, with one session, and never heard that it is gone")
async def _(peer):
    statuses = {status for _, status, _, _ in asked(peer)}
    assert all(status < 400 or status in (502, 503) for status in statuses), statuses
    begun = sum('"initialize"' in body for _, _, body, _ in asked(peer))
    assert begun == (0 if MODERN else 1), asked(peer)
    sessions = {session for _, _, _, session in asked(peer) if session}
    assert len(sessions) == (0 if MODERN else 1), sessions


@check("it opened one stream, and no request of it failed", when=not OPERATOR)
async def _(peer):
    assert all(status < 400 for _, status, _, _ in asked(peer)), asked(peer)
    assert sum(method == "GET" for method, _, _, _ in asked(peer)) == (0 if MODERN else 1), asked(peer)
    assert sum('"subscriptions/listen"' in body for _, _, body, _ in asked(peer)) == (1 if MODERN else 0), asked(peer)


class Noting(logging.Handler):
    """That the SDK gives up is in its log alone."""

    def __init__(self, journal):
        super().__init__(logging.DEBUG)
        self._journal = journal

    def emit(self, record):
        self._journal.push(("log", record.getMessage()))


async def main():
    journal = Journal()

    async def note(message):
        if not isinstance(message, Exception):
            journal.push((message.method, message.params))

    async def answered(response):
        request = response.request
        body = request.content.decode() if request.method == "POST" else ""
        journal.push(("http", request.method, response.status_code, body, request.headers.get("mcp-session-id")))

    sdk = logging.getLogger("mcp.client.streamable_http")
    sdk.setLevel(logging.DEBUG)
    sdk.addHandler(Noting(journal))
    http = create_mcp_http_client()
    http.event_hooks = {"response": [answered]}
    mode = "auto" if MODERN else "legacy"
    transport = streamable_http_client(URL, http_client=http)
    async with Client(transport, mode=mode, read_timeout_seconds=60, message_handler=note) as client:
        async with anyio.create_task_group() as tasks:
            peer = Peer(client, journal, http)
            if OPERATOR and not MODERN:
                tasks.start_soon(peer.stand_in)
            async with peer.heard_by:
                all_well = await run(peer)
            tasks.cancel_scope.cancel()
    return all_well


sys.exit(0 if anyio.run(main) else 1)
