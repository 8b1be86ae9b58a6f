// Clients that log in at an authorization server which others wrote, by the TypeScript SDKs' own flow:
// node oauth.mjs URL ADMIN REVISION ISSUER SDK
// ISSUER is where oidc_provider.mjs listens; SDK is v1 or v2. The application is `conformance`.

import { Account, readToken, turn } from './account.mjs';
import { Connection } from './connection.mjs';
import { WATCHED } from './fixture.mjs';
import { assert, check, onlyText, publish, run } from './harness.mjs';
import { generation } from './generations.mjs';

const [url, admin, revision, issuer, name] = process.argv.slice(2);
const isModern = revision === '2026-07-28';
const sdk = await generation(name, isModern);
const UPDATED = 'notifications/resources/updated';
/** Time enough to use a token on a busy machine, and to see it expire within a check. */
const BRIEF_S = 3;
const POLL_MS = 50;

const alice = new Account('alice');
let peer;

const mine = new URL(url);
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

/** A request by hand, with a token or none, and fields of its own. */
function ask(token, fields = {}, body = ping) {
    const headers = {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(token && { authorization: `Bearer ${token}` }),
        ...fields,
    };
    return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

const challengeOf = response => response.headers.get('www-authenticate') ?? '';
const isTold = from => peer.told(UPDATED, { from, uri: WATCHED });

/** Looks again and again until it is so. The check has its deadline. */
async function until(isSo) {
    while (!(await isSo())) await new Promise(resolve => setTimeout(resolve, POLL_MS));
}

check('nobody gets in without a token, and is told where to get one', async () => {
    const response = await ask();
    assert.equal(response.status, 401, await response.text());
    const [, place] = challengeOf(response).match(/^Bearer .*resource_metadata="([^"]+)"/);
    assert.ok(!challengeOf(response).includes('error='), challengeOf(response));
    assert.equal(place, `${mine.origin}/.well-known/oauth-protected-resource${mine.pathname}`);
    for (const where of [place, `${mine.origin}/.well-known/oauth-protected-resource`]) {
        const metadata = await fetch(where);
        assert.equal(metadata.status, 200, where);
        assert.equal(metadata.headers.get('access-control-allow-origin'), '*');
        const { resource, authorization_servers, bearer_methods_supported } = await metadata.json();
        assert.equal(resource, url);
        assert.deepEqual(authorization_servers, [issuer]);
        assert.deepEqual(bearer_methods_supported, ['header']);
    }
});

check('the SDK finds its way from 401 to a token, and is let in', async () => {
    await turn(issuer, `lifetime?s=${BRIEF_S}`);
    peer = await Connection.open(sdk, url, { revision, account: alice });
    await turn(issuer, 'lifetime?s=600');
    const asked = peer.journal.since(0, ({ http }) => http).map(({ http, status, url }) => [http, status, url]);
    const places = asked.map(([, , place]) => place);
    assert.deepEqual(asked[0], ['POST', 401, url]);
    const order = [`${mine.origin}/.well-known/oauth-protected-resource${mine.pathname}`, `${issuer}/reg`, `${issuer}/token`];
    const found = order.map(place => places.indexOf(place));
    assert.ok(found.every((at, index) => at > (found[index - 1] ?? 0)), JSON.stringify(asked));
    const { header, claims } = readToken(alice.accessToken);
    assert.deepEqual([header.typ, claims.iss, claims.sub, claims.aud], ['at+jwt', issuer, 'alice', url]);
    assert.equal(peer.sessionId === undefined, isModern);
});

check('calls a tool, and is told of a change', async () => {
    onlyText(await peer.call('test_simple_text'));
    await peer.listen({ uris: [WATCHED] });
    const from = peer.journal.length;
    await publish(admin, [{ uri: WATCHED }]);
    await isTold(from);
});

check('a token that expires in mid-session is refused, with the reason', async () => {
    // The first: where all is slow, the SDK has another one already.
    const old = alice.history[0].access_token;
    let refused;
    await until(async () => {
        refused = await ask(old, peer.sessionId && { 'mcp-session-id': peer.sessionId });
        return refused.status === 401;
    });
    assert.match(challengeOf(refused), /^Bearer error="invalid_token", error_description="[^"]*expired/);
    assert.ok(!challengeOf(refused).includes(old));
    assert.ok(!(await refused.text()).includes(old));
});

check('the SDK gets another one, and goes on with the same session', async () => {
    const [from, before] = [peer.journal.length, alice.history.length];
    onlyText(await peer.call('test_simple_text'));
    assert.ok(alice.history.length > 1, `${before}`);
    assert.deepEqual((await turn(issuer, 'tell')).slice(0, 2), ['authorization_code', 'refresh_token']);
    assert.equal(alice.sentTo, undefined, 'nobody had to log in again');
    assert.equal(peer.transport.sessionId, peer.sessionId);
    assert.deepEqual(peer.journal.since(from, ({ sent }) => sent?.method === 'initialize'), []);
});

check('notifications come to who has a new token', async () => {
    if (isModern) await peer.listen({ uris: [WATCHED] });
    const from = peer.journal.length;
    const told = ({ told, params }) => told === UPDATED && params.uri === WATCHED;
    // A stream may end with its token. The SDK comes back to that of a session when it has a new one.
    await until(async () => {
        await publish(admin, [{ uri: WATCHED }]);
        return peer.journal.since(from, told).length > 0;
    });
});

check('a token that is signed by a new key is taken, without a restart', async () => {
    await turn(issuer, 'rotate?alg=ES256');
    const bob = new Account('bob');
    const guest = await Connection.open(sdk, url, { revision, account: bob });
    assert.equal(readToken(bob.accessToken).header.alg, 'ES256');
    onlyText(await guest.call('test_simple_text'));
    await guest.close();
    onlyText(await peer.call('test_simple_text'));
});

check('somebody else cannot have the session, and is not told that there is one', async () => {
    const eve = new Account('eve');
    const other = await Connection.open(sdk, url, { revision, account: eve });
    if (!isModern) {
        const stolen = await ask(eve.accessToken, { 'mcp-session-id': peer.sessionId });
        const madeUp = await ask(eve.accessToken, { 'mcp-session-id': `${peer.sessionId}x` });
        assert.equal(stolen.status, 404);
        assert.equal(madeUp.status, 404);
    }
    await other.close();
    onlyText(await peer.call('test_simple_text'));
});

check('closes', () => peer.close());

await run();
