"""examples/notes, by the Python SDK: python notes.py URL DIRECTORY REVISION

DIRECTORY is the one that the server watches.
"""

import json
import logging
import sys
import warnings
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import mcp.types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from harness import Journal, check, run

URL, DIRECTORY, REVISION = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
MODERN = REVISION == "2026-07-28"
UPDATED = "notifications/resources/updated"
LIST_CHANGED = "notifications/resources/list_changed"

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated


class Peer:
    """One client, with a journal of what it was told and of the HTTP responses it got."""

    def __init__(self):
        self.journal = Journal()
        self.answer = None
        self.asked = []

    @asynccontextmanager
    async def open(self):
        http = create_mcp_http_client()
        http.event_hooks = {"response": [self._note_response]}
        async with http:
            self.client = Client(
                streamable_http_client(URL, http_client=http),
                mode="auto" if MODERN else "legacy",
                read_timeout_seconds=60,
                message_handler=self._note_message,
                elicitation_callback=self._elicit,
            )
            async with self.client:
                yield self

    async def _note_response(self, response):
        self.journal.push(("http", response.request.method, response.status_code))

    async def _note_message(self, message):
        assert not isinstance(message, Exception), message
        self.journal.push(("told", message.method, message.params))

    async def _elicit(self, _context, params):
        self.asked.append(params.message)
        return self.answer

    async def told(self, method, start, uri=None):
        def fits(entry):
            return entry[:2] == ("told", method) and (uri is None or str(entry[2].uri) == uri)

        return await self.journal.find(fits, method, start)

    async def value(self, name, arguments, **options):
        """As the revision has it: an object around what is none, up to 2025-11-25."""
        result = await self.client.call_tool(name, arguments, **options)
        assert not result.is_error, result
        value = result.structured_content if MODERN else result.structured_content["result"]
        assert json.loads(result.content[0].text) == value
        return value

    async def names(self):
        return [entry.name for entry in (await self.client.list_resources()).resources]

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents[0].text


@check("every tool says what it takes and what it answers")
async def _(peer):
    assert peer.client.protocol_version == REVISION
    tools = {tool.name: tool.output_schema for tool in (await peer.client.list_tools()).tools}
    assert list(tools) == ["find", "discard", "import", "pin"], tools
    assert tools["find"]["type"] == ("array" if MODERN else "object")
    assert tools["discard"] is None


@check("a structured answer, null and all, is one by its schema, and progress comes before it")
async def _(peer):
    steps = []

    async def note(progress, total, _message):
        steps.append((progress, total))

    found = await peer.value("find", {"text": "milk"}, progress_callback=note)
    assert found == [
        {"uri": "note:///list.txt", "line": 2, "text": "milk"},
        {"uri": "note:///milk.txt", "line": None, "text": None},
    ], found
    assert steps == [(1, 2), (2, 2)], steps


@check("the user is asked, and what was declined is not done")
async def _(peer):
    (DIRECTORY / "old.txt").write_text("old")
    for answer, remains in [
        (types.ElicitResult(action="decline"), True),
        (types.ElicitResult(action="accept", content={"sure": True}), False),
    ]:
        peer.answer, peer.asked = answer, []
        result = await peer.client.call_tool("discard", {"name": "old.txt"})
        assert result.content[0].text == ("old.txt stays" if remains else "old.txt is gone"), result
        assert peer.asked == ["Throw old.txt away?"], peer.asked
        assert (DIRECTORY / "old.txt").exists() == remains


@check("a note that a tool imports, and one that changes from outside, are told of, listed and read")
async def _(peer):
    uri = "note:///fresh.txt"
    async with AsyncExitStack() as stack:
        if MODERN:
            listening = peer.client.listen(resources_list_changed=True, resource_subscriptions=(uri,))
            await stack.enter_async_context(listening)
        else:
            await peer.journal.find(lambda entry: entry == ("http", "GET", 200), "the GET stream")
            await peer.client.subscribe_resource(uri)
        start = len(peer.journal)
        result = await peer.client.call_tool("import", {"name": "fresh.txt"})
        assert result.structured_content == {"uri": uri, "bytes": 5, "content_type": None}, result
        await peer.told(UPDATED, start, uri)
        await peer.told(LIST_CHANGED, start)
        assert "fresh.txt" in await peer.names()
        start = len(peer.journal)
        (DIRECTORY / "fresh.txt").write_text("changed")
        await peer.told(UPDATED, start, uri)
        assert await peer.read(uri) == "changed"


@check("what a session pins is its own")
async def _(peer):
    if MODERN:
        assert (await peer.client.call_tool("pin", {"name": "a"})).is_error
        return
    async with Peer().open() as other:
        assert await peer.value("pin", {"name": "a"}) == ["a"]
        assert await other.value("pin", {"name": "b"}) == ["b"]
        assert await peer.value("pin", {"name": "c"}) == ["a", "c"]


@check("an unknown note is refused")
async def _(peer):
    try:
        await peer.read("note:///nothing")
    except MCPError as error:
        assert error.error.code == (-32602 if MODERN else -32002), error
    else:
        raise AssertionError("it was read")


async def main():
    logging.basicConfig(level=logging.WARNING, format="# %(name)s: %(message)s", stream=sys.stdout)
    async with Peer().open() as peer:
        return await run(peer)


sys.exit(0 if anyio.run(main) else 1)
