"""The Python SDK, both eras: python python_client.py URL ADMIN REVISION"""

import logging
import sys
import urllib.error
import urllib.request
import warnings
from contextlib import asynccontextmanager

import anyio
import mcp.types as types
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from harness import Journal, check, publish, run

URL, ADMIN, REVISION = sys.argv[1:4]
MODERN = REVISION == "2026-07-28"
OVER_SSE = REVISION == "2024-11-05"
WATCHED = "test://watched-resource"
UNWATCHED = "test://static-text"
INVALID_PARAMS = -32602
RESOURCE_NOT_FOUND = -32002
LISTS = [
    ("tools", "test_trigger_tool_change"),
    ("prompts", "test_trigger_prompt_change"),
    ("resources", "test_trigger_resource_list_change"),
]
TEXTS = {
    "test_simple_prompt": (None, "This is a simple prompt for testing."),
    "test_prompt_with_arguments": ({"arg1": "a", "arg2": "b"}, "Prompt with arguments: arg1='a', arg2='b'"),
}

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated


class LogWatch(logging.Handler):
    """The SDK logs what it could not make sense of; nothing that the server sends may get it there."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.records = []

    def emit(self, record):
        self.records.append(f"{record.levelname} {record.name}: {record.getMessage()}")


class Peer:
    """One client, with a journal of what it was told and of the HTTP responses it got."""

    def __init__(self):
        self.journal = Journal()
        self.session_id = None
        self.client = None
        self.elicit = self.sample = None
        self.roots = []

    @asynccontextmanager
    async def open(self, log_level=None):
        http = create_mcp_http_client()
        http.event_hooks = {"response": [self._note_response]}
        async with http:
            transport = streamable_http_client(URL, http_client=http)
            if OVER_SSE:
                transport = sse_client(f"{URL}/sse", httpx_client_factory=self._http, on_session_created=self._note_session)
            self.client = Client(
                transport,
                mode="auto" if MODERN else "legacy",
                read_timeout_seconds=60,
                message_handler=self._note_message,
                elicitation_callback=self._elicit,
                sampling_callback=self._sample,
                list_roots_callback=self._list_roots,
                log_level=log_level,
            )
            async with self.client:
                yield self

    def _http(self, **options):
        http = create_mcp_http_client(**options)
        http.event_hooks = {"response": [self._note_response]}
        return http

    def _note_session(self, session_id):
        self.session_id = session_id

    async def _note_response(self, response):
        self.session_id = response.headers.get("mcp-session-id", self.session_id)
        self.journal.push(("http", response.request.method, response.status_code))

    async def _note_message(self, message):
        if isinstance(message, Exception):
            self.journal.push(("exception", repr(message)))
        else:
            self.journal.push(("told", message.method, message.params))

    async def _elicit(self, _context, params):
        return await self.elicit(params)

    async def _sample(self, _context, params):
        return await self.sample(params)

    async def _list_roots(self, _context):
        return types.ListRootsResult(roots=self.roots)

    async def call(self, name, arguments=None, **options):
        return await self.client.call_tool(name, arguments or {}, **options)

    async def text(self, name, arguments=None, **options):
        result = await self.call(name, arguments, **options)
        assert not result.is_error and len(result.content) == 1, result
        return result.content[0].text

    async def told(self, method, start, uri=None):
        def fits(entry):
            return entry[0] == "told" and entry[1] == method and (uri is None or str(entry[2].uri) == uri)

        return await self.journal.find(fits, method, start)

    def log_data(self, start):
        told = self.journal.since(start, lambda entry: entry[:2] == ("told", "notifications/message"))
        return [entry[2].data for entry in told]

    @asynccontextmanager
    async def listening(self, uris=(WATCHED,)):
        """Changes of all lists and of these resources are told meanwhile."""
        if MODERN:
            lists = {f"{topic}_list_changed": True for topic, _ in LISTS}
            async with self.client.listen(**lists, resource_subscriptions=uris) as subscription:
                assert list(subscription.honored.resource_subscriptions) == list(uris)
                yield
            return
        await self.journal.find(lambda entry: entry == ("http", "GET", 200), "the GET stream")
        for uri in uris:
            await self.client.subscribe_resource(uri)
        try:
            yield
        finally:
            for uri in uris:
                await self.client.unsubscribe_resource(uri)


async def refused(awaitable, code):
    try:
        result = await awaitable
    except MCPError as error:
        assert error.error.code == code, error
    else:
        raise AssertionError(f"an error was expected, not {result}")


@check(f"is connected, {REVISION}")
async def _(peer):
    assert peer.client.protocol_version == REVISION, peer.client.protocol_version
    assert (peer.session_id is None) == MODERN
    assert peer.client.server_info.name
    assert peer.client.server_capabilities.resources.subscribe


@check("lists tools, resources, templates and prompts")
async def _(peer):
    tools = [tool.name for tool in (await peer.client.list_tools()).tools]
    assert tools[0] == "test_simple_text" and "test_tool_with_progress" in tools, tools
    resources = {str(entry.uri) for entry in (await peer.client.list_resources()).resources}
    assert resources == {"test://static-text", "test://static-binary", WATCHED}, resources
    templates = (await peer.client.list_resource_templates()).resource_templates
    assert [entry.uri_template for entry in templates] == ["test://template/{id}/data"]
    prompts = {prompt.name for prompt in (await peer.client.list_prompts()).prompts}
    assert prompts >= set(TEXTS), prompts


@check("calls tools")
async def _(peer):
    assert await peer.text("test_simple_text") == "This is a simple text response for testing."
    kinds = [item.type for item in (await peer.call("test_multiple_content_types")).content]
    assert kinds == ["text", "image", "resource"], kinds
    assert (await peer.call("test_image_content")).content[0].mime_type == "image/png"
    assert (await peer.call("test_audio_content")).content[0].mime_type == "audio/wav"


@check("a tool error is a result")
async def _(peer):
    result = await peer.call("test_error_handling")
    assert result.is_error
    assert result.content[0].text == "This tool intentionally returns an error for testing", result


@check("an unknown tool is refused")
async def _(peer):
    await refused(peer.call("no_such_tool"), INVALID_PARAMS)


@check("three progress notifications before the result")
async def _(peer):
    steps = []

    async def note(progress, total, message):
        steps.append((progress, total, message))

    await peer.text("test_tool_with_progress", progress_callback=note)
    assert steps == [(step, 100, f"Completed step {step} of 100") for step in (0, 50, 100)], steps


@check("twenty calls at once, each with its own answer")
async def _(peer):
    answers = {}

    async def read(uri):
        answers[uri] = (await peer.client.read_resource(uri)).contents[0]

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(read, f"test://template/{number}/data")
    assert len(answers) == 20 and all(str(got.uri) == uri for uri, got in answers.items())


@check("a call is cancelled while it runs, and others go on")
async def _(peer):
    with anyio.CancelScope() as scope:

        async def stop(progress, _total, _message):
            scope.cancel()

        await peer.text("test_tool_with_progress", progress_callback=stop)
        raise AssertionError("the call was not cancelled")
    await peer.text("test_simple_text")


@check("reads resources")
async def _(peer):
    text = (await peer.client.read_resource("test://static-text")).contents[0]
    assert text.text == "This is the content of the static text resource." and text.mime_type == "text/plain"
    assert (await peer.client.read_resource("test://static-binary")).contents[0].blob.startswith("iVBORw0KGgo")
    made = (await peer.client.read_resource("test://template/123/data")).contents[0]
    assert made.text == '{"id":"123","templateTest":true,"data":"Data for ID: 123"}', made


@check("an unknown resource is refused")
async def _(peer):
    await refused(peer.client.read_resource("test://nothing-here"), INVALID_PARAMS if MODERN else RESOURCE_NOT_FOUND)


@check("gets prompts")
async def _(peer):
    for name, (arguments, text) in TEXTS.items():
        messages = (await peer.client.get_prompt(name, arguments)).messages
        assert [message.content.text for message in messages] == [text], messages
    image, request = (await peer.client.get_prompt("test_prompt_with_image")).messages
    assert image.content.type == "image" and request.content.text == "Please analyze the image above."


@check("completes an argument")
async def _(peer):
    ref = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
    result = await peer.client.complete(ref, {"name": "arg1", "value": "test"})
    assert result.completion.values == []


@check("is told when tools and publishers change the lists")
async def _(peer):
    async with peer.listening():
        for topic, trigger in LISTS:
            method = f"notifications/{topic}/list_changed"
            start = len(peer.journal)
            await peer.text(trigger)
            await peer.told(method, start)
            start = len(peer.journal)
            await publish(ADMIN, [{"topic": topic}])
            await peer.told(method, start)


@check("is told when a tool or a publisher updates a watched resource, and of nothing it did not ask for")
async def _(peer):
    async with peer.listening():
        start = len(peer.journal)
        await peer.text("test_trigger_resource_update", {"uri": WATCHED})
        await peer.told("notifications/resources/updated", start, WATCHED)
        start = len(peer.journal)
        await publish(ADMIN, [{"uri": UNWATCHED}, {"uri": WATCHED}, {"topic": "tools"}])
        await peer.told("notifications/resources/updated", start, WATCHED)
        await peer.told("notifications/tools/list_changed", start)
    updates = peer.journal.since(0, lambda entry: entry[:2] == ("told", "notifications/resources/updated"))
    assert {str(entry[2].uri) for entry in updates} == {WATCHED}, updates


@check("hears no more of a resource after it stopped listening")
async def _(peer):
    start = len(peer.journal)
    await publish(ADMIN, [{"uri": WATCHED}])
    async with peer.listening(uris=(UNWATCHED,)):
        await publish(ADMIN, [{"uri": UNWATCHED}])
        await peer.told("notifications/resources/updated", start, UNWATCHED)
    told = peer.journal.since(start, lambda entry: entry[:2] == ("told", "notifications/resources/updated"))
    assert [str(entry[2].uri) for entry in told] == [UNWATCHED], told


@check("pings", when=not MODERN)
async def _(peer):
    await peer.client.send_ping()


@check("log messages come before the result, at the level that was set", when=not MODERN)
async def _(peer):
    await peer.client.set_logging_level("debug")
    start = len(peer.journal)
    await peer.text("test_tool_with_logging")
    expected = ["Tool execution started", "Tool processing data", "Tool execution completed"]
    assert peer.log_data(start) == expected, peer.log_data(start)
    await peer.client.set_logging_level("error")
    start = len(peer.journal)
    await peer.text("test_tool_with_logging")
    assert peer.log_data(start) == []


@check("log messages come only if a request asks for them", when=MODERN)
async def _(peer):
    start = len(peer.journal)
    assert await peer.text("test_logging_tool") == "Logging evaluated"
    assert peer.log_data(start) == []
    await peer.text("test_logging_tool", meta={"io.modelcontextprotocol/logLevel": "debug"})
    assert peer.log_data(start) != []


@check("an elicitation is accepted and declined", when=not MODERN and not OVER_SSE)
async def _(peer):
    async def accept(params):
        assert params.message == "Who are you?", params
        return types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.org"})

    async def decline(params):
        return types.ElicitResult(action="decline")

    peer.elicit = accept
    text = await peer.text("test_elicitation", {"message": "Who are you?"})
    assert text.startswith("User response: action=accept, content={") and "ada@example.org" in text, text
    peer.elicit = decline
    text = await peer.text("test_elicitation", {"message": "Who are you?"})
    assert text.startswith("User response: action=decline"), text


async def answer_paris(_params):
    return types.CreateMessageResult(
        role="assistant", model="m", content=types.TextContent(type="text", text="Paris")
    )


@check("the server samples", when=not MODERN)
async def _(peer):
    peer.sample = answer_paris
    assert await peer.text("test_sampling", {"prompt": "Capital?"}) == "LLM response: Paris"


@check("a result survives the end of its stream", when=not MODERN)
async def _(peer):
    assert (await peer.text("test_reconnection")).startswith("Reconnection test completed successfully.")


@check("tools ask for input, a sample and the roots", when=MODERN)
async def _(peer):
    async def answer(params):
        return types.ElicitResult(action="accept", content={"name": "Ada", "color": "green", "ok": True})

    peer.elicit, peer.sample = answer, answer_paris
    peer.roots = [types.Root(uri="file:///srv/fold", name="fold")]
    assert await peer.text("test_input_required_result_elicitation") == "Hello, Ada!"
    assert "Paris" in await peer.text("test_input_required_result_sampling")
    assert "fold" in await peer.text("test_input_required_result_list_roots")
    assert "state-ok" in await peer.text("test_input_required_result_request_state")
    await peer.text("test_input_required_result_multiple_inputs")
    await peer.text("test_input_required_result_multi_round")


@check("a prompt asks for input", when=MODERN)
async def _(peer):
    async def answer(params):
        return types.ElicitResult(action="accept", content={"context": "sheep"})

    peer.elicit = answer
    messages = (await peer.client.get_prompt("test_input_required_result_prompt")).messages
    assert messages[0].content.text == "Prompt with context: sheep", messages


@check("an argument travels in a header too", when=MODERN)
async def _(peer):
    for region in ("eu-west", " two words ", "Zürich"):
        assert region in await peer.text("test_x_mcp_header", {"region": region})


@check("a cancelled call is asked for twice, and then no more", when=not MODERN and not OVER_SSE)
async def _(_peer):
    brief = Peer()

    def gets(start=0):
        return [entry[2] for entry in brief.journal.since(start, lambda entry: entry[:2] == ("http", "GET"))]

    async with brief.open():
        await brief.journal.find(lambda entry: entry == ("http", "GET", 200), "the GET stream")
        for _ in range(2):
            start = len(brief.journal)
            with anyio.CancelScope() as scope:

                async def cancel(_params, scope=scope):
                    scope.cancel()
                    await anyio.sleep_forever()

                brief.sample = cancel
                await brief.call("test_sampling", {"prompt": "Answer?"})
            await brief.journal.find(lambda _entry: gets(start) == [405, 405], "two tries", start)
        assert gets() == [200, 405, 405, 405, 405], gets()


@check("a session that was left is 404", when=not MODERN and not OVER_SSE)
async def _(_peer):
    brief = Peer()
    async with brief.open():
        await brief.text("test_simple_text")
    assert brief.journal.entries[-1] in (("http", "DELETE", 200), ("http", "DELETE", 204)), brief.journal.entries
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-session-id": brief.session_id,
        "mcp-protocol-version": REVISION,
    }
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

    def status():
        try:
            return urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=60).status
        except urllib.error.HTTPError as error:
            return error.code

    assert await anyio.to_thread.run_sync(status) == 404


async def main():
    watch = LogWatch()
    logging.getLogger().addHandler(watch)

    @check("the SDK found nothing to complain of")
    async def _(peer):
        assert watch.records == [], watch.records
        assert peer.journal.since(0, lambda entry: entry[0] == "exception") == []

    peer = Peer()
    async with peer.open():
        return await run(peer)


sys.exit(0 if anyio.run(main) else 1)
