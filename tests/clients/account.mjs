// Somebody with an account at oidc_provider.mjs: what the TypeScript SDKs ask of an application (their OAuthClientProvider), all
// of it in memory, and a browser of few words.

import { randomUUID } from 'node:crypto';

import { assert } from './harness.mjs';

/** Nobody listens there: the browser stops before it. */
const REDIRECT = 'http://127.0.0.1:1/callback';
const REDIRECTS_MAX = 10;

export class Account {
    redirectUrl = REDIRECT;
    clientMetadata = {
        client_name: 'pinfold-tests',
        redirect_uris: [REDIRECT],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
    };
    /** All tokens that this account ever had. */
    history = [];
    #kept = {};

    constructor(name) {
        this.name = name;
    }

    state() {
        this.#kept.state = randomUUID();
        return this.#kept.state;
    }

    clientInformation() {
        return this.#kept.client;
    }

    saveClientInformation(client) {
        this.#kept.client = client;
    }

    tokens() {
        return this.history.at(-1);
    }

    saveTokens(tokens) {
        this.history.push(tokens);
    }

    saveCodeVerifier(verifier) {
        this.#kept.verifier = verifier;
    }

    codeVerifier() {
        return this.#kept.verifier;
    }

    saveDiscoveryState(state) {
        this.#kept.discovered = state;
    }

    discoveryState() {
        return this.#kept.discovered;
    }

    redirectToAuthorization(url) {
        this.sentTo = url;
    }

    get accessToken() {
        return this.history.at(-1).access_token;
    }

    /** What the browser brings back from where it was sent. */
    async logIn() {
        let url = this.sentTo;
        this.sentTo = undefined;
        const cookies = new Map();
        for (let redirects = 0; redirects < REDIRECTS_MAX; redirects += 1) {
            const cookie = [...cookies].map(pair => pair.join('=')).join('; ');
            const response = await fetch(url, { redirect: 'manual', headers: { cookie, login: this.name } });
            const location = response.headers.get('location');
            assert.ok(location, `${url} answers ${response.status}: ${await response.text()}`);
            for (const line of response.headers.getSetCookie()) {
                const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
                cookies.set(name, value);
            }
            url = new URL(location, url);
            if (url.href.startsWith(REDIRECT)) {
                assert.equal(url.searchParams.get('state'), this.#kept.state);
                return url.searchParams;
            }
        }
        throw new Error(`sent on and on, the last time to ${url}`);
    }
}

/** Header and claims of a token, as they stand there. */
export function readToken(token) {
    const [header, claims] = token.split('.').slice(0, 2).map(part => JSON.parse(Buffer.from(part, 'base64url')));
    return { header, claims };
}

/** One of the issuer's controls: see oidc_provider.mjs. */
export async function turn(issuer, control) {
    const response = await fetch(`${issuer}/control/${control}`, { method: 'POST' });
    assert.equal(response.status, 200, control);
    return response.json();
}
