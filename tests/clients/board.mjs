// The built-in application `board`, whose resources are what publishers put there:
// node board.mjs URL ADMIN REVISION

import { UriTemplate } from '@modelcontextprotocol/client';

import { Connection } from './connection.mjs';
import { generation } from './generations.mjs';
import { assert, check, offer, publish, run } from './harness.mjs';

const [url, admin, revision] = process.argv.slice(2);
const isModern = revision === '2026-07-28';
const NOT_FOUND = isModern ? -32602 : -32002;
// New ones in every run, so that a server may see this script twice.
const GREETING = `board://greeting-${process.pid}`;
const NEWS = `board://news-${process.pid}`;
const UPDATED = 'notifications/resources/updated';
const LIST_CHANGED = 'notifications/resources/list_changed';

const sdk = await generation('v2', isModern, revision);

const put = (uri, text) => publish(admin, [{ uri, contents: { text } }]);
// Past the cache that the client keeps on the server's word.
const fresh = { cacheMode: 'refresh' };
const read = async uri => (await reader.client.readResource({ uri }, fresh)).contents[0];
let reader;

check('connects', async () => {
    reader = await Connection.open(sdk, url, { revision });
});

check('what was published can be listed and read', async () => {
    await put(GREETING, 'hello');
    const { resources } = await reader.client.listResources(undefined, fresh);
    assert.ok(resources.some(({ uri }) => uri === GREETING), JSON.stringify(resources));
    const contents = await read(GREETING);
    assert.equal(contents.uri, GREETING);
    assert.equal(contents.text, 'hello');
});

check('what was not published cannot be read', async () => {
    assert.equal(await reader.codeOfUnreadable('board://nothing'), NOT_FOUND);
});

check('a subscriber is told of new contents, which are there when it looks', async () => {
    await reader.listen({ uris: [GREETING] });
    for (const text of ['one', 'two', 'three']) {
        const from = reader.journal.length;
        await put(GREETING, text);
        await reader.told(UPDATED, { from, uri: GREETING });
        assert.equal((await read(GREETING)).text, text);
    }
});

check('a subscriber is told when the list grows', async () => {
    const from = reader.journal.length;
    await put(NEWS, 'new');
    await reader.told(LIST_CHANGED, { from });
    const { resources } = await reader.client.listResources(undefined, fresh);
    assert.ok(resources.some(({ uri }) => uri === NEWS));
});

check('a batch of a hundred is told to its last word', async () => {
    const from = reader.journal.length;
    const items = Array.from({ length: 100 }, (_, n) => ({ uri: GREETING, contents: { text: `${n}` } }));
    await publish(admin, [...items, { topic: 'tools' }]);
    await reader.told(UPDATED, { from, uri: GREETING });
    assert.equal((await read(GREETING)).text, '99');
});

check('a wrong item of a batch is refused by itself', async () => {
    const answers = await offer(admin, [{ topic: 'sheep' }, { uri: GREETING, contents: { text: 'still here' } }]);
    assert.deepEqual(answers.map(({ accepted }) => accepted), [false, true]);
    assert.ok(answers[0].reason && answers[0].message);
    assert.equal((await read(GREETING)).text, 'still here');
});

check('what a publisher takes away is gone, and a subscriber is told', async () => {
    const from = reader.journal.length;
    await publish(admin, [{ uri: NEWS, contents: null }]);
    await reader.told(LIST_CHANGED, { from });
    const { resources } = await reader.client.listResources(undefined, fresh);
    assert.ok(!resources.some(({ uri }) => uri === NEWS));
    assert.equal(await reader.codeOfUnreadable(NEWS), NOT_FOUND);
});

check('a template filled in by the SDK, from a completion, is a URI to read and to subscribe to', async () => {
    const { resourceTemplates } = await reader.client.listResourceTemplates(undefined, fresh);
    const { uriTemplate } = resourceTemplates[0];
    for (const path of [`menu-${process.pid}/today`, `menu-${process.pid}/grün und gut`]) {
        await put(`board://${path.replaceAll(' ', '%20')}`, 'soup');
        const typed = { name: 'path', value: path.slice(0, -2) };
        const { completion } = await reader.client.complete({ ref: { type: 'ref/resource', uri: uriTemplate }, argument: typed });
        assert.deepEqual(completion.values, [path]);
        const uri = new UriTemplate(uriTemplate).expand({ path: completion.values[0] });
        assert.equal((await read(uri)).text, 'soup');
        await reader.listen({ uris: [uri] });
        const from = reader.journal.length;
        await put(uri, 'stew');
        await reader.told(UPDATED, { from, uri });
        assert.equal((await read(uri)).text, 'stew');
    }
});

check('a subscriber is told by the name that it used, before the resource is there', async () => {
    const spellings = ['Grün', 'gr%C3%BCn', 'gr%c3%bcn'].map(name => `board://${name}-${process.pid}%2Fa`);
    await reader.listen({ uris: spellings });
    const from = reader.journal.length;
    await put(`board://grün-${process.pid}/a`, 'leaf');
    for (const uri of spellings) {
        await reader.told(UPDATED, { from, uri });
        assert.equal((await read(uri)).text, 'leaf');
    }
    const { resources } = await reader.client.listResources(undefined, fresh);
    assert.ok(resources.some(({ uri }) => uri === `board://gr%C3%BCn-${process.pid}/a`), JSON.stringify(resources));
});

check('what is no URI is on no list', async () => {
    const [, answer] = await offer(admin, [{ topic: 'tools' }, { uri: 'board://a|b', contents: { text: 'x' } }]);
    assert.equal(answer.reason, 'bad_uri');
    assert.match(answer.message, /%7C/);
    const posted = await reader.client.callTool({ name: 'post', arguments: { uri: 'board://a|b', text: 'x' } });
    assert.equal(posted.isError, true);
    const { resources } = await reader.client.listResources(undefined, fresh);
    assert.ok(!resources.some(({ uri }) => uri.includes('|')));
});

check('closes', () => reader.close());

await run();
