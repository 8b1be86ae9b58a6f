"""An MCP server on the official Python SDK, uvicorn, uvloop and httptools: one tool, one resource that can be subscribed to
in both eras, and an operator's port where `POST /publish` tells every subscriber."""

import argparse
import asyncio

import mcp.types as types
import uvicorn
import uvloop
from mcp.server import Server, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

URI = "board://bench"
TOOL = "test_simple_text"
ANSWER = "This is a simple text response for testing."

bus = InMemorySubscriptionBus()
subscribers = []


async def call_tool(ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
    if params.name != TOOL:
        raise ValueError("no such tool")
    return types.CallToolResult(content=[types.TextContent(type="text", text=ANSWER)])


async def list_tools(ctx: ServerRequestContext, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name=TOOL, input_schema={"type": "object"})])


async def subscribe(ctx: ServerRequestContext, params: types.SubscribeRequestParams) -> types.EmptyResult:
    subscribers.append(ctx.session)
    return types.EmptyResult()


async def publish() -> None:
    await bus.publish(ResourceUpdated(uri=URI))
    for session in subscribers:
        await session.send_resource_updated(URI)


async def operator(scope, receive, send) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/publish":
        await publish()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


server = Server(
    "python-server",
    version="1",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_subscribe_resource=subscribe,
    on_subscriptions_listen=ListenHandler(bus, max_subscriptions=100_000),
)


async def serve(app, address: str, lifespan: str) -> None:
    host, port = address.split(":")
    config = uvicorn.Config(
        app,
        host=host,
        port=int(port),
        backlog=4096,
        timeout_keep_alive=600,  # the bench's connections wait for their turn
        http="httptools",
        lifespan=lifespan,
        log_level="error",
        access_log=False,
    )
    await uvicorn.Server(config).serve()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen")
    parser.add_argument("--admin")
    arguments = parser.parse_args()
    clients = server.streamable_http_app(json_response=True, max_sessions=None)
    await asyncio.gather(serve(clients, arguments.listen, "on"), serve(operator, arguments.admin, "off"))


uvloop.run(main())
