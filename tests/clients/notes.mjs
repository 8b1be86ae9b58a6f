// examples/notes, by the TypeScript SDKs: node notes.mjs URL DIRECTORY REVISION SDK
// DIRECTORY is the one that the server watches; SDK is v1 or v2.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Connection } from './connection.mjs';
import { generation } from './generations.mjs';
import { assert, check, run } from './harness.mjs';

const [url, directory, revision, name] = process.argv.slice(2);
const isModern = revision === '2026-07-28';
const UPDATED = 'notifications/resources/updated';
const LIST_CHANGED = 'notifications/resources/list_changed';
// Past the cache that the client keeps on the server's word.
const fresh = { cacheMode: 'refresh' };

const sdk = await generation(name, isModern);
const capabilities = { elicitation: {} };
let peer;

const read = async uri => (await peer.client.readResource({ uri }, name === 'v1' ? undefined : fresh)).contents[0].text;
const names = async () => {
    const { resources } = await peer.client.listResources(undefined, name === 'v1' ? undefined : fresh);
    return resources.map(({ name }) => name);
};
/** As the revision has it: an object around what is none, up to 2025-11-25. */
const value = result => {
    assert.ok(!result.isError, JSON.stringify(result));
    assert.deepEqual(JSON.parse(result.content[0].text), isModern ? result.structuredContent : result.structuredContent.result);
    return isModern ? result.structuredContent : result.structuredContent.result;
};

check('connects', async () => {
    peer = await Connection.open(sdk, url, { revision, capabilities });
    assert.equal(peer.sessionId === undefined, isModern);
});

check('every tool says what it takes and what it answers', async () => {
    const { tools } = await peer.client.listTools();
    const schemas = Object.fromEntries(tools.map(({ name, outputSchema }) => [name, outputSchema]));
    assert.deepEqual(Object.keys(schemas), ['find', 'discard', 'import', 'pin']);
    assert.equal(schemas.find.type, isModern ? 'array' : 'object');
    assert.deepEqual(schemas.import.required, ['uri', 'bytes', 'content_type']);
    assert.equal(schemas.discard, undefined);
});

check('a structured answer, null and all, is one by its schema, and progress comes before it', async () => {
    const steps = [];
    const options = { onprogress: ({ progress, total }) => steps.push(`${progress}/${total}`) };
    const found = value(await peer.call('find', { text: 'milk' }, options));
    assert.deepEqual(found, [
        { uri: 'note:///list.txt', line: 2, text: 'milk' },
        { uri: 'note:///milk.txt', line: null, text: null },
    ]);
    assert.deepEqual(steps, ['1/2', '2/2']);
});

check('the user is asked, and what was declined is not done', async () => {
    await writeFile(join(directory, 'old.txt'), 'old');
    for (const [answer, remains] of [
        [{ action: 'decline' }, true],
        [{ action: 'accept', content: { sure: true } }, false],
    ]) {
        const asked = [];
        peer.answer('elicitation/create', ({ params }) => {
            asked.push(params.message);
            return answer;
        });
        const result = await peer.call('discard', { name: 'old.txt' });
        assert.equal(result.content[0].text, remains ? 'old.txt stays' : 'old.txt is gone');
        assert.deepEqual(asked, ['Throw old.txt away?']);
        assert.equal((await names()).includes('old.txt'), remains);
    }
});

check('a note that a tool imports by HTTP is told of, listed and read', async () => {
    const uri = 'note:///fresh.txt';
    await peer.listen({ uris: [uri] });
    const from = peer.journal.length;
    const { structuredContent } = await peer.call('import', { name: 'fresh.txt' });
    assert.deepEqual(structuredContent, { uri, bytes: 5, content_type: null });
    await peer.told(UPDATED, { from, uri });
    await peer.told(LIST_CHANGED, { from });
    assert.ok((await names()).includes('fresh.txt'));
    assert.equal(await read(uri), 'hello');
});

check('a change from outside is told of, and there is no subscription to what is no note', async () => {
    const uri = 'note:///fresh.txt';
    const from = peer.journal.length;
    await writeFile(join(directory, 'fresh.txt'), 'changed');
    await peer.told(UPDATED, { from, uri });
    assert.equal(await read(uri), 'changed');
    if (!isModern) {
        await assert.rejects(peer.client.subscribeResource({ uri: 'note:///.hidden' }));
    }
});

check('what a session pins is its own', async () => {
    if (isModern) {
        assert.ok((await peer.call('pin', { name: 'a' })).isError);
        return;
    }
    const other = await Connection.open(sdk, url, { revision, capabilities });
    assert.deepEqual(value(await peer.call('pin', { name: 'a' })), ['a']);
    assert.deepEqual(value(await other.call('pin', { name: 'b' })), ['b']);
    assert.deepEqual(value(await peer.call('pin', { name: 'c' })), ['a', 'c']);
    await other.close();
});

check('closes', () => peer.close());

await run();
