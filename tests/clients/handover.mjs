// A client of the TypeScript SDKs whose node goes on in ten new processes, one after the other, and that must not notice:
// node handover.mjs URL ADMIN REVISION SDK; SDK is v1 or v2, PINFOLD the program. ADMIN of several nodes, with commas in between:
// they are deployed one after the other, twice.
//
// With OPERATOR, a URL of the test that kills or drains a node when it is asked to, the client does notice: its stream ends and its
// requests may fail. But it goes on with the same session, which it has begun once.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { Connection } from './connection.mjs';
import { generation } from './generations.mjs';
import { assert, check, publish, run, within } from './harness.mjs';

const [url, listeners, revision, name] = process.argv.slice(2);
const admins = listeners.split(',');
const { OPERATOR: operator, PINFOLD: program } = process.env;
const HAND_OVERS = admins.length > 1 ? 2 * admins.length : 10;
const LOSSES = operator?.endsWith('/kill') ? 2 : admins.length;
// A node that leaves takes its time, and so does one that starts.
const LOSS_DEADLINE_MS = 300_000;
const GAVE_UP = /Maximum reconnection attempts/;
const UPDATED = 'notifications/resources/updated';
const isModern = revision === '2026-07-28';
const uris = Array.from({ length: 5 }, (_, n) => `board://handed-over/${n}`);

const sdk = await generation(name, isModern, revision);
let peer;

const pause = () => new Promise(resolve => setTimeout(resolve, 20));

// Says who publishes next.
async function handOver(round) {
    const options = ['upgrade', '--wait', '--admin', admins[round % admins.length]];
    const { stdout } = await promisify(execFile)(program, options);
    assert.match(stdout, /has taken over as process \d+/);
    return admins[0];
}

async function lose(round) {
    const from = peer.journal.length;
    const { wasThere, admin } = await (await fetch(`${operator}/${round}`, { method: 'POST' })).json();
    if (wasThere) await (isModern ? listensAgain() : comesBack(from));
    return admin;
}

// By itself. If it has given up, its user opens the stream. Either way it is told of all that it may have missed.
async function comesBack(from) {
    const open = ({ http, status }) => http === 'GET' && status === 200;
    const outcome = entry => open(entry) || GAVE_UP.test(entry.fault);
    const found = await peer.journal.find(outcome, 'the stream again', { from, ms: LOSS_DEADLINE_MS });
    if (!open(found)) await untilDone(() => peer.transport.resumeStream());
    for (const uri of uris) await peer.told(UPDATED, { from, uri });
}

async function listensAgain() {
    const how = await peer.unheard;
    assert.notEqual(how, 'local');
    await untilDone(() => peer.listen({ uris }));
}

// The check has a deadline.
async function untilDone(attempt) {
    while (!(await attempt().then(() => true, () => false))) await pause();
}

// A node of which others may think that it is gone says 503 until it knows better.
async function answered(request) {
    for (;;) {
        try {
            return await request();
        } catch {
            await pause();
        }
    }
}

// Of several nodes a request of 2026-07-28 may go to another one than that before, which has what was posted a moment later.
async function readsAs(text) {
    for (;;) {
        const { contents } = await peer.client.readResource({ uri: uris[0] }, name === 'v1' ? undefined : { cacheMode: 'refresh' });
        if (contents[0].text === text) return;
        assert.ok(isModern && admins.length > 1, `${contents[0].text} is not ${text}`);
        await pause();
    }
}

async function publishAndHear(text, admin = admins[0]) {
    const from = peer.journal.length;
    await publish(admin, uris.map(uri => ({ uri, contents: { text } })));
    for (const uri of uris) await peer.told(UPDATED, { from, uri });
}

check('connects, subscribes and is told', async () => {
    peer = await Connection.open(sdk, url, { revision });
    await peer.listen({ uris });
    await publishAndHear('before');
});

async function goesOn(round, admin) {
    await publishAndHear(`after ${round}`, admin);
    const post = () => peer.call('post', { uri: uris[0], text: `called ${round}` });
    const called = operator ? await answered(post) : await post();
    assert.ok(!called.isError, JSON.stringify(called));
    await within(readsAs(`called ${round}`), 60_000, 'what was posted is read');
}

for (let round = 1; !operator && round <= HAND_OVERS; round += 1) {
    check(`hand-over ${round}: is told of each change, and called tools answer`, async () => goesOn(round, await handOver(round)));
}

for (let round = 1; operator && round <= LOSSES; round += 1) {
    const body = async () => goesOn(round, await lose(round));
    check(`loss ${round}: comes back, is told of each change, and called tools answer`, body, { ms: LOSS_DEADLINE_MS });
}

const sent = method => peer.journal.since(0, entry => entry.sent?.method === method).length;

check('it began once, with one session, and never heard that it is gone', () => {
    assert.equal(sent('initialize'), isModern ? 0 : 1);
    assert.equal(sent('resources/subscribe'), isModern ? 0 : uris.length);
    const named = peer.journal.since(0, ({ session }) => session).map(({ session }) => session);
    assert.deepEqual([...new Set(named)], isModern ? [] : [peer.sessionId]);
    const refused = peer.journal.since(0, ({ status }) => status >= 400 && ![502, 503].includes(status));
    assert.deepEqual(refused, []);
});

if (!operator) {
    check('it opened one stream, and no request of it failed', () => {
        assert.equal(sent('subscriptions/listen'), isModern ? 1 : 0);
        assert.equal(peer.journal.since(0, ({ http }) => http === 'GET').length, isModern ? 0 : 1);
        assert.deepEqual(peer.journal.since(0, ({ status }) => status >= 400), []);
    });
}

await run();
