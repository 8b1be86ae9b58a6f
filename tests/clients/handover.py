"""A client of the Python SDK whose node goes on in ten new processes, one after the other, and that must not notice:
python handover.py URL ADMIN REVISION; PINFOLD is the program. ADMIN of several nodes, with commas in between: they are deployed one
after the other, twice."""

import logging
import os
import subprocess
import sys
import warnings

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from harness import Journal, check, publish, run

URL, LISTENERS, REVISION = sys.argv[1:4]
ADMINS = LISTENERS.split(",")
ADMIN = ADMINS[0]
MODERN = REVISION == "2026-07-28"
HAND_OVERS = 2 * len(ADMINS) if len(ADMINS) > 1 else 10
UPDATED = "notifications/resources/updated"
URIS = [f"board://handed-over/{number}" for number in range(5)]
UPGRADE = [os.environ["PINFOLD"], "upgrade", "--wait", "--admin"]

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated


async def publish_and_hear(journal, text):
    start = len(journal)
    await publish(ADMIN, [{"uri": uri, "contents": {"text": text}} for uri in URIS])
    for uri in URIS:
        def fits(entry, uri=uri):
            return entry[0] == UPDATED and str(entry[1].uri) == uri

        await journal.find(fits, f"{UPDATED} of {uri}", start)


def hand_over(number):
    @check(f"hand-over {number}: is told of each change, and called tools answer")
    async def _(client, journal):
        done = await anyio.run_process([*UPGRADE, ADMINS[number % len(ADMINS)]], check=False, stderr=subprocess.STDOUT)
        assert done.returncode == 0 and b"has taken over as process" in done.stdout, done
        await publish_and_hear(journal, f"after {number}")
        called = await client.call_tool("post", {"uri": URIS[0], "text": f"called {number}"})
        assert not called.is_error, called


@check("subscribes and is told")
async def _(client, journal):
    if not MODERN:
        for uri in URIS:
            await client.subscribe_resource(uri)
    await publish_and_hear(journal, "before")


for number in range(1, HAND_OVERS + 1):
    hand_over(number)


@check("it began once, opened one stream, and no request of it failed")
async def _(_client, journal):
    asked = [entry[1:] for entry in journal.since(0, lambda entry: entry[0] == "http")]
    assert all(status < 400 for _, status, _ in asked), asked
    assert sum(method == "GET" for method, _, _ in asked) == (0 if MODERN else 1), asked
    begun = "subscriptions/listen" if MODERN else "initialize"
    assert sum(f'"{begun}"' in body for _, _, body in asked) == 1, asked


async def main():
    journal = Journal()

    async def note(message):
        if not isinstance(message, Exception):
            journal.push((message.method, message.params))

    async def answered(response):
        request = response.request
        body = request.content.decode() if request.method == "POST" else ""
        journal.push(("http", request.method, response.status_code, body))

    http = create_mcp_http_client()
    http.event_hooks = {"response": [answered]}
    mode = "auto" if MODERN else "legacy"
    transport = streamable_http_client(URL, http_client=http)
    async with Client(transport, mode=mode, read_timeout_seconds=15, message_handler=note) as client:
        if not MODERN:
            return await run(client, journal)
        async with client.listen(resource_subscriptions=URIS):
            return await run(client, journal)


sys.exit(0 if anyio.run(main) else 1)
