// A client of the TypeScript SDKs whose node goes on in ten new processes, one after the other, and that must not notice:
// node handover.mjs URL ADMIN REVISION SDK; SDK is v1 or v2, PINFOLD the program. ADMIN of several nodes, with commas in between:
// they are deployed one after the other, twice.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { Connection } from './connection.mjs';
import { generation } from './generations.mjs';
import { assert, check, publish, run, within } from './harness.mjs';

const [url, listeners, revision, name] = process.argv.slice(2);
const admins = listeners.split(',');
const [admin] = admins;
const HAND_OVERS = admins.length > 1 ? 2 * admins.length : 10;
const UPDATED = 'notifications/resources/updated';
const isModern = revision === '2026-07-28';
const uris = Array.from({ length: 5 }, (_, n) => `board://handed-over/${n}`);

const sdk = await generation(name, isModern, revision);
let peer;

const upgrade = admin => promisify(execFile)(process.env.PINFOLD, ['upgrade', '--wait', '--admin', admin]);

// Of several nodes a request of 2026-07-28 may go to another one than that before, which has what was posted a moment later.
async function readsAs(text) {
    for (;;) {
        const { contents } = await peer.client.readResource({ uri: uris[0] }, name === 'v1' ? undefined : { cacheMode: 'refresh' });
        if (contents[0].text === text) return;
        assert.ok(isModern && admins.length > 1, `${contents[0].text} is not ${text}`);
        await new Promise(resolve => setTimeout(resolve, 20));
    }
}

async function publishAndHear(text) {
    const from = peer.journal.length;
    await publish(admin, uris.map(uri => ({ uri, contents: { text } })));
    for (const uri of uris) await peer.told(UPDATED, { from, uri });
}

check('connects, subscribes and is told', async () => {
    peer = await Connection.open(sdk, url, { revision });
    await peer.listen({ uris });
    await publishAndHear('before');
});

for (let round = 1; round <= HAND_OVERS; round += 1) {
    check(`hand-over ${round}: is told of each change, and called tools answer`, async () => {
        const { stdout } = await upgrade(admins[round % admins.length]);
        assert.match(stdout, /has taken over as process \d+/);
        await publishAndHear(`after ${round}`);
        const called = await peer.call('post', { uri: uris[0], text: `called ${round}` });
        assert.ok(!called.isError, JSON.stringify(called));
        await within(readsAs(`called ${round}`), 30_000, 'what was posted is read');
    });
}

check('it began once, opened one stream, and no request of it failed', () => {
    const sent = method => peer.journal.since(0, entry => entry.sent?.method === method).length;
    assert.equal(sent('initialize'), isModern ? 0 : 1);
    assert.equal(sent('subscriptions/listen'), isModern ? 1 : 0);
    assert.equal(sent('resources/subscribe'), isModern ? 0 : uris.length);
    assert.equal(peer.journal.since(0, ({ http }) => http === 'GET').length, isModern ? 0 : 1);
    assert.deepEqual(peer.journal.since(0, ({ status }) => status >= 400), []);
});

await run();
