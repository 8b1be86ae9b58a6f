"""The Python SDK and the application `board`, by the URIs that its users write: python python_board.py URL ADMIN REVISION"""

import os
import sys
import warnings

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl

from harness import Journal, check, publish, run

URL, ADMIN, REVISION = sys.argv[1:4]
MODERN = REVISION == "2026-07-28"
UPDATED = "notifications/resources/updated"
# New ones in every run, so that a server may see this script twice.
WRITTEN = f"board://Grün-{os.getpid()}/Heute"
# What version 1 of the SDK, and whoever else keeps URIs as URLs, makes of it.
ENCODED = str(AnyUrl(WRITTEN))

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated

async def told(journal, uri, start):
    def fits(entry):
        return entry[0] == UPDATED and str(entry[1].uri) == uri

    await journal.find(fits, f"{UPDATED} of {uri}", start)


@check("a subscriber is told by its own spelling, before the resource is there and after")
async def _(client, journal):
    uris = [WRITTEN, ENCODED]
    if MODERN:
        async with client.listen(resource_subscriptions=uris) as subscription:
            assert list(subscription.honored.resource_subscriptions) == uris
            await publish_and_hear(journal)
        return
    for uri in uris:
        await client.subscribe_resource(uri)
    await publish_and_hear(journal)
    await client.unsubscribe_resource(WRITTEN)
    start = len(journal)
    await publish(ADMIN, [{"uri": WRITTEN}])
    await told(journal, ENCODED, start)
    assert not journal.since(start, lambda entry: entry[0] == UPDATED and str(entry[1].uri) == WRITTEN)


async def publish_and_hear(journal):
    for text in ("one", "two"):
        start = len(journal)
        await publish(ADMIN, [{"uri": WRITTEN, "contents": {"text": text}}])
        for uri in (WRITTEN, ENCODED):
            await told(journal, uri, start)


@check("what is listed can be read, and is a URL to those who keep URIs as such")
async def _(client, _journal):
    resources = (await client.list_resources()).resources
    listed = [str(resource.uri) for resource in resources]
    assert [str(AnyUrl(uri)) for uri in listed] == listed, listed
    for uri in (*listed, WRITTEN, ENCODED):
        assert (await client.read_resource(uri)).contents[0].text == "two", uri


async def main():
    journal = Journal()

    async def note(message):
        if not isinstance(message, Exception):
            journal.push((message.method, message.params))

    mode = "auto" if MODERN else "legacy"
    async with Client(streamable_http_client(URL), mode=mode, read_timeout_seconds=60, message_handler=note) as client:
        return await run(client, journal)


sys.exit(0 if anyio.run(main) else 1)
