// A client whose token is good for less than what it asks for, by the TypeScript SDK's own flow:
// node step_up.mjs URL REVISION ISSUER
// ISSUER is where oidc_provider.mjs listens. The application is `conformance`; everything takes the scope board:read, and the tool
// `test_simple_text` takes board:write as well.

import { Account, readToken } from './account.mjs';
import { Connection } from './connection.mjs';
import { assert, check, onlyText, run } from './harness.mjs';
import { generation } from './generations.mjs';

const [url, revision, issuer] = process.argv.slice(2);
const isModern = revision === '2026-07-28';
const sdk = await generation('v2', isModern);
const alice = new Account('alice');
let peer;

const scopesOf = token => readToken(token).claims.scope.split(' ').filter(scope => scope.includes(':')).sort();
const names = async () => (await peer.client.listTools()).tools.map(tool => tool.name);

check('it logs in for what everything takes, and no more', async () => {
    peer = await Connection.open(sdk, url, { revision, account: alice });
    assert.deepEqual(scopesOf(alice.accessToken), ['board:read']);
    assert.ok(!(await names()).includes('test_simple_text'));
});

check('403 sends it to the issuer, for what it has and what it lacks', async () => {
    const from = peer.journal.length;
    await assert.rejects(peer.call('test_simple_text'), error => error.constructor.name === 'UnauthorizedError');
    // The answer to the session's GET may come at any time.
    const posted = peer.journal.since(from, ({ http }) => http === 'POST').map(({ status, url: place }) => [status, place]);
    assert.deepEqual(posted[0], [403, url]);
    assert.equal(alice.sentTo.origin, issuer);
    const wanted = alice.sentTo.searchParams.get('scope').split(' ');
    for (const scope of ['board:read', 'board:write']) assert.ok(wanted.includes(scope), `${wanted}`);
});

check('with another token the same call works, in the same session', async () => {
    const from = peer.journal.length;
    await sdk.finishAuth(peer.transport, await alice.logIn());
    assert.deepEqual(scopesOf(alice.accessToken), ['board:read', 'board:write']);
    onlyText(await peer.call('test_simple_text'));
    assert.ok((await names()).includes('test_simple_text'));
    assert.equal(peer.transport.sessionId, peer.sessionId);
    assert.deepEqual(peer.journal.since(from, ({ sent }) => sent?.method === 'initialize'), []);
});

check('what is nobody\'s is unknown to it, and sends it nowhere', async () => {
    const refused = await peer.call('test_image_content').catch(error => error);
    assert.match(String(refused.message ?? JSON.stringify(refused)), /Unknown tool/);
    assert.equal(alice.sentTo, undefined);
});

check('closes', () => peer.close());

await run();
