"""A client whose token is good for less than what it asks for, by the Python SDK's own flow:
python step_up.py URL REVISION ISSUER

ISSUER is where oidc_provider.mjs listens. The Python side of step_up.mjs: this SDK sends its user to the issuer and repeats the
request by itself.
"""

import sys
import warnings

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from account import Account, read_token
from harness import Journal, check, run

URL, REVISION, ISSUER = sys.argv[1:4]
MODERN = REVISION == "2026-07-28"

warnings.simplefilter("ignore")  # the SDK calls what only older revisions have deprecated


def scopes(account):
    _, claims = read_token(account.access_token)
    return sorted(scope for scope in claims["scope"].split() if ":" in scope)


class Peer:
    def __init__(self):
        self.account = Account("alice")
        self.journal = Journal()

    async def note(self, response):
        self.journal.push((response.status_code, str(response.request.url)))

    async def names(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]


@check("it logged in for what everything takes, and no more")
async def _(peer):
    assert scopes(peer.account) == ["board:read"], scopes(peer.account)
    assert "test_simple_text" not in await peer.names()


@check("403 sends it to the issuer, and then the same call works")
async def _(peer):
    start = len(peer.journal)
    result = await peer.client.call_tool("test_simple_text", {})
    assert not result.is_error, result
    asked = peer.journal.since(start, lambda _: True)
    assert asked[0] == (403, URL) and asked.count((403, URL)) == 1, asked
    assert scopes(peer.account) == ["board:read", "board:write"], scopes(peer.account)
    assert "test_simple_text" in await peer.names()


async def main():
    peer = Peer()
    http = create_mcp_http_client(auth=peer.account.provider(URL))
    http.event_hooks = {"response": [peer.note]}
    async with http:
        peer.client = Client(
            streamable_http_client(URL, http_client=http),
            mode="auto" if MODERN else "legacy",
            read_timeout_seconds=60,
        )
        async with peer.client:
            return await run(peer)


sys.exit(0 if anyio.run(main) else 1)
