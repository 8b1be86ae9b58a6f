// An authorization server that others wrote (npm: oidc-provider), on a loopback address: node oidc_provider.mjs PORT
//
// Clients register themselves. Whoever comes to log in is whom their field `Login` names, and agrees to everything; no page is
// shown. Access tokens are JWTs for the resource that was asked for (RFC 8707), and every client gets a refresh token.
// What a test may turn, with one POST to /control/…:
//   lifetime?s=N   how long the access tokens live that are made from now on
//   rotate?alg=A   from now on they are signed by a new key; the old ones stay published
//   forget         only the key that signs is published
//   tell           what was asked for at the token endpoint, as JSON: the grant types, in order

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port] = process.argv.slice(2);
const origin = `http://127.0.0.1:${port}`;
const SCOPES = ['board:read', 'board:write', 'tools:call'];
/** Of a key's making; ES256 is the other one. */
const KINDS = {
    RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};

function makeKey(alg) {
    const jwk = KINDS[alg]().privateKey.export({ format: 'jwk' });
    return { ...jwk, alg, use: 'sig', kid: `${alg}-${performance.now()}` };
}

/** What providers keep, by kind and name: it outlives the provider that made it. */
const kept = new Map();

class Memory {
    constructor(kind) {
        this.kind = kind;
    }

    async upsert(id, entry) {
        // The SDKs register for the scopes that they know of then. Held to those, nobody could ask for more later.
        if (this.kind === 'Client') delete entry.scope;
        kept.set(`${this.kind}:${id}`, entry);
    }

    async find(id) {
        return kept.get(`${this.kind}:${id}`);
    }

    async findByUid(uid) {
        return [...kept.values()].find(entry => entry.uid === uid);
    }

    async consume(id) {
        kept.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
        kept.delete(`${this.kind}:${id}`);
    }

    async revokeByGrantId(grantId) {
        for (const [name, entry] of kept) if (entry.grantId === grantId) kept.delete(name);
    }
}

let keys = [makeKey('RS256')];
let lifetime = 600;
const grants = [];
let handle = serve();

/** A provider by the keys of now. */
function serve() {
    const provider = new Provider(origin, {
        adapter: Memory,
        jwks: { keys },
        clientDefaults: { id_token_signed_response_alg: keys[0].alg },
        enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
        scopes: ['openid', 'offline_access', ...SCOPES],
        pkce: { required: () => true },
        findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
        issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
        interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
        cookies: { keys: ['of nobody'] },
        features: {
            devInteractions: { enabled: false },
            registration: { enabled: true },
            resourceIndicators: {
                enabled: true,
                useGrantedResource: () => true,
                getResourceServerInfo: (_ctx, resource) => ({
                    audience: resource,
                    scope: SCOPES.join(' '),
                    accessTokenTTL: lifetime,
                    accessTokenFormat: 'jwt',
                    jwt: { sign: { alg: keys[0].alg } },
                }),
            },
        },
    });
    provider.on('server_error', (_ctx, error) => console.log(error));
    for (const event of ['grant.error', 'authorization.error', 'registration_create.error']) {
        provider.on(event, (_ctx, error) => console.log(event, error.error, error.error_description, error.error_detail));
    }
    provider.on('grant.success', ctx => grants.push(ctx.oidc.params.grant_type));
    const callback = provider.callback();
    return (request, response) => {
        if (request.url.startsWith('/interaction/')) return agree(provider, request, response);
        return callback(request, response);
    };
}

async function agree(provider, request, response) {
    const { params } = await provider.interactionDetails(request, response);
    const accountId = request.headers.login;
    const grant = new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? '');
    if (params.resource) grant.addResourceScope(params.resource, params.scope ?? '');
    const result = { login: { accountId }, consent: { grantId: await grant.save() } };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const CONTROLS = {
    lifetime: query => { lifetime = Number(query.get('s')); },
    rotate: query => {
        keys = [makeKey(query.get('alg') ?? 'RS256'), ...keys];
        handle = serve();
    },
    forget: () => {
        keys = keys.slice(0, 1);
        handle = serve();
    },
    tell: () => {},
};

const server = createServer((request, response) => {
    const url = new URL(request.url, origin);
    const control = url.pathname.startsWith('/control/') && CONTROLS[url.pathname.slice('/control/'.length)];
    if (!control || request.method !== 'POST') {
        Promise.resolve(handle(request, response)).catch(error => {
            console.log(error);
            response.writeHead(500).end();
        });
        return;
    }
    control(url.searchParams);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(grants));
});

server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
