"""Somebody with an account at oidc_provider.mjs: what the Python SDK asks of an application, and a browser of few words.

The Python side of account.mjs.
"""

import base64
import json
import urllib.parse

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

# Nobody listens there: the browser stops before it.
REDIRECT = "http://127.0.0.1:1/callback"
REDIRECTS_MAX = 10


class Account:
    """A TokenStorage as well; `history` has all tokens that this account ever had."""

    def __init__(self, name):
        self.name = name
        self.history = []
        self.logins = 0
        self._client = None
        self._brought = None

    async def get_tokens(self):
        return self.history[-1] if self.history else None

    async def set_tokens(self, tokens):
        self.history.append(tokens)

    async def get_client_info(self):
        return self._client

    async def set_client_info(self, client_info):
        self._client = client_info

    @property
    def access_token(self):
        return self.history[-1].access_token

    def provider(self, url):
        metadata = OAuthClientMetadata(
            client_name="pinfold-tests",
            redirect_uris=[REDIRECT],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        )
        return OAuthClientProvider(url, metadata, self, self._visit, self._callback)

    async def _visit(self, url):
        """Logs in where the browser is sent; what it brings back is kept."""
        self.logins += 1
        cookies = {}
        async with httpx2.AsyncClient() as browser:
            for _ in range(REDIRECTS_MAX):
                cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
                response = await browser.get(url, headers={"cookie": cookie, "login": self.name})
                assert "location" in response.headers, f"{url} answers {response.status_code}: {response.text}"
                for line in response.headers.get_list("set-cookie"):
                    name, value = line.split(";")[0].split("=", 1)
                    cookies[name] = value
                url = urllib.parse.urljoin(url, response.headers["location"])
                if url.startswith(REDIRECT):
                    self._brought = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                    return
        raise AssertionError(f"sent on and on, the last time to {url}")

    async def _callback(self):
        brought = self._brought
        return AuthorizationCodeResult(code=brought["code"], state=brought["state"], iss=brought.get("iss"))


def read_token(token):
    """Header and claims of a token, as they stand there."""

    def read(part):
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    header, claims, _ = token.split(".")
    return read(header), read(claims)


async def turn(issuer, control):
    """One of the issuer's controls: see oidc_provider.mjs."""
    async with httpx2.AsyncClient() as client:
        response = await client.post(f"{issuer}/control/{control}")
    assert response.status_code == 200, control
    return response.json()
