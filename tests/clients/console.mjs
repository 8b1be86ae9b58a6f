// The console of a real node, in a real browser, with real clients: each thing that can be done there, by keyboard too, with ten thousand
// sessions, and what a page of another origin can do, which is nothing:
// node console.mjs URL ADMIN SCREENSHOTS

import { createServer } from 'node:http';

import { enter, focused, gone, openPage, shown, sound, startBrowser, stopBrowser, text, until } from './browser.mjs';
import { Guest, crowd } from './guest.mjs';
import { assert, check, run } from './harness.mjs';

const [url, admin, screenshots] = process.argv.slice(2);
const CROWD = 10_000;
const CROWD_PARTS = 20;
const LUNCH = 'board://lunch';
/** Would do something if any of it became markup. */
const HOSTILE = `<img src=x onerror="document.title='taken'">${'<script>document.title="taken"</script>'}‮`;

await startBrowser();

async function console_(hash = '', token = 'may-operate') {
    const page = await openPage(`${admin}/console${hash}`);
    await enter(page, token);
    await gone(page, '#login');
    return page;
}

const ask = async (path, token = 'may-operate') => (await fetch(`${admin}/${path}`, { headers: { authorization: `Bearer ${token}` } })).json();
const publish = uri => fetch(`${admin}/publish`, { method: 'POST', headers: { authorization: 'Bearer may-operate' }, body: JSON.stringify({ uri }) });
const nameOf = async client => (await ask(`sessions?client=${encodeURIComponent(client)}`)).sessions[0].name;
const rows = page => page.locator('#session-list tbody tr').count();

let alice;
let bob;

check('the page comes without a token, under a policy that runs its own script alone', async () => {
    const response = await fetch(`${admin}/console`);
    assert.equal(response.status, 200);
    const policy = response.headers.get('content-security-policy');
    for (const part of ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]) assert.ok(policy.includes(part), policy);
    assert.ok(!policy.includes('unsafe'), policy);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    const page = await openPage(`${admin}/console`);
    await shown(page, '#login');
    // What else is put into it does not run.
    await page.evaluate(() => {
        const script = document.createElement('script');
        try { script.text = 'globalThis.ran = true'; document.head.append(script); } catch { /* stopped one step earlier */ }
        try { document.body.insertAdjacentHTML('beforeend', '<b>'); globalThis.marked = true; } catch { /* as it should be */ }
        const image = document.createElement('img');
        image.src = `${location.origin}/healthz`;
        document.body.append(image);
    });
    assert.deepEqual(await page.evaluate(() => [globalThis.ran, globalThis.marked]), [undefined, undefined]);
    await until(() => page.evaluate(() => globalThis.stopped.join()), it => /img-src/.test(it), 'the image is stopped');
    await page.context().close();
});

check('a wrong token is refused, the right one enters, and neither is in a URL', async () => {
    const page = await openPage(`${admin}/console`);
    const asked = [];
    page.on('request', request => asked.push(request.url()));
    await enter(page, 'not-this-one');
    await text(page, '#login-why', /does not know this token/);
    await page.keyboard.type('may-operate');
    await page.keyboard.press('Enter');
    await shown(page, '#overview');
    assert.ok(asked.length > 1 && asked.every(it => !/may-operate|not-this-one/.test(it)), asked.join());
    await page.reload();
    await shown(page, '#overview');
    await sound(page);
});

check('clients are there: by name, as text whatever they call themselves', async () => {
    alice = await Guest.arrive(url, 'alice-of-the-console', '7.1');
    await alice.listen(LUNCH);
    bob = await Guest.arrive(url, HOSTILE);
    await bob.listen(LUNCH);
    const page = await console_('#sessions');
    await text(page, '#session-list tbody', /alice-of-the-console 7\.1/);
    await text(page, '#session-list tbody', /<img src=x onerror=/);
    assert.match(await page.title(), /^Sessions/);
    await page.fill('#search', 'alice-of');
    await page.keyboard.press('Enter');
    await text(page, '#page-told', /^1 to 1 of 1$/);
    await page.fill('#search', await nameOf('alice-of-the-console'));
    await page.keyboard.press('Enter');
    await text(page, '#session-facts', /alice-of-the-console 7\.1.*2025-11-25/);
    await text(page, '#subscriptions', /board:\/\/lunch/);
    await text(page, '#streams tbody', /get *yes/);
    await sound(page);
});

check('figures of the node', async () => {
    const { status } = await fetch(`${admin}/node`, { headers: { authorization: 'Bearer may-operate' } });
    const page = await console_();
    if (status === 404) {
        await text(page, '#overview-note', /does not offer figures/);
    } else {
        const node = await ask('node');
        await text(page, '#node-name', new RegExp(`^${node.node}$`));
        await text(page, '#node-state', /^ready$/);
        await text(page, '#tiles', /Sessions2of/);
        await text(page, '#cores tbody', /core 0.*core 1/);
        await until(() => page.locator('figure .first').first().getAttribute('d'), path => /L/.test(path ?? ''), 'a line of two points');
        await alice.ask('tools/list');
        await text(page, '#tiles', /Requests[\d.,]+\/s[\d,]+ in all/);
    }
    await sound(page);
});

check('what one session asks and is sent is seen live, by keyboard', async () => {
    const name = await nameOf('alice-of-the-console');
    const page = await console_(`#session/${name}`);
    await text(page, '#session-facts', /alice/);
    await page.keyboard.press('t');
    await text(page, '#trace-told', /Watched/);
    await alice.ask('tools/list');
    await text(page, '#trace-log', /request *tools\/list/);
    await text(page, '#trace-log', /answer/);
    await publish(LUNCH);
    await text(page, '#trace-log', /event/);
    await page.check('#trace-contents');
    await text(page, '#trace-told', /Watched/);
    await until(async () => { await alice.ask('resources/read', { uri: 'board://a-thing-of-contents' }); return page.locator('#trace-log pre').count(); }, count => count > 0, 'contents are shown');
    await text(page, '#trace-log', /a-thing-of-contents/);
    await page.keyboard.press('Escape');
    await shown(page, '#sessions');
    await sound(page);
});

check('errors that a client was answered', async () => {
    await alice.ask('tools/call', { name: 'no-such-tool', arguments: {} });
    const page = await console_(`#session/${await nameOf('alice-of-the-console')}`);
    await text(page, '#errors tbody', /-32602 *Unknown tool: no-such-tool/);
    await sound(page);
});

check('a publication says how many subscribers there are, and they hear of it', async () => {
    const page = await console_('#publish');
    const from = [alice.journal.length, bob.journal.length];
    await page.fill('#publish-uri', LUNCH);
    await page.keyboard.press('Enter');
    await text(page, '#publish-told', /^Accepted at offset \d+\. 2 subscribers of this node are notified\.$/);
    await alice.told(LUNCH, from[0]);
    await bob.told(LUNCH, from[1]);
    await page.fill('#publish-uri', 'board://nobody-listens');
    await page.check('input[name=contents][value=put]');
    await page.fill('#publish-text', 'Soup, and <b>bread</b>.');
    await page.fill('#publish-type', 'text/plain');
    await page.click('#publish-form button[type=submit]');
    await text(page, '#publish-told', /^Accepted at offset \d+\. Nobody on this node subscribes to it\.$/);
    const { text: read } = await alice.ask('resources/read', { uri: 'board://nobody-listens' });
    assert.match(read, /Soup, and <b>bread<\/b>\./);
    await page.check('input[name=contents][value=remove]');
    await page.click('#publish-form button[type=submit]');
    await text(page, '#publish-told', /^Accepted/);
    await page.check('input[name=what][value=topic]');
    await page.click('#publish-form button[type=submit]');
    await text(page, '#publish-told', /^Accepted at offset \d+\. \d+ subscribers of this node are notified\.$/);
    await page.check('input[name=what][value=uri]');
    await page.fill('#publish-uri', 'no uri at all');
    await page.click('#publish-form button[type=submit]');
    await text(page, '#publish-told', /^Refused: /);
    await sound(page);
});

check('a page of another origin can do nothing', async () => {
    const server = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title><body></body>'));
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const from = alice.journal.length;
    // Another site that is this machine, and another port of this machine, which is another origin, too.
    for (const origin of [`http://evil.test:${server.address().port}`, `http://127.0.0.1:${server.address().port}`, `http://localhost:${server.address().port}`]) {
        const page = await openPage(origin);
        const said = await page.evaluate(async ([target, lunch]) => {
            const body = JSON.stringify({ uri: lunch });
            const read = async options => {
                try { return await (await fetch(`${target}/${options.path}`, options)).text(); } catch (error) { return `stopped: ${error.name}`; }
            };
            const authorized = { Authorization: 'Bearer may-operate' };
            const all = [
                await read({ path: 'publish', method: 'POST', body }),
                await read({ path: 'publish', method: 'POST', body, headers: authorized }),
                await read({ path: 'publish', method: 'POST', body, mode: 'no-cors', credentials: 'include' }),
                await read({ path: 'sessions', headers: authorized }),
                await read({ path: 'sessions?principal=0', method: 'DELETE', headers: authorized }),
                await read({ path: 'node', mode: 'no-cors' }),
            ];
            // A form needs no answer: a text whose name and value make JSON.
            const frame = document.createElement('iframe');
            frame.name = 'sink';
            const form = document.createElement('form');
            Object.assign(form, { action: `${target}/publish`, method: 'post', enctype: 'text/plain', target: 'sink' });
            const input = document.createElement('input');
            Object.assign(input, { name: `{"uri":"${lunch}","key":"`, value: '"}' });
            form.append(input);
            document.body.append(frame, form);
            const loaded = new Promise(resolve => frame.addEventListener('load', resolve, { once: true }));
            form.submit();
            await loaded;
            return all;
        }, [admin, LUNCH]);
        for (const text of said) assert.ok(text === '' || text.startsWith('stopped: '), text);
        // In a frame the console does not begin.
        await page.evaluate(target => {
            const frame = document.createElement('iframe');
            frame.id = 'framed';
            frame.src = `${target}/console`;
            const loaded = new Promise(resolve => frame.addEventListener('load', resolve, { once: true }));
            document.body.append(frame);
            return loaded;
        }, admin);
        const inside = page.frames().find(frame => frame !== page.mainFrame() && frame.parentFrame() === page.mainFrame() && !frame.name());
        assert.equal(await inside?.evaluate(() => document.getElementById('login')).catch(() => null) ?? null, null);
        await page.context().close();
    }
    server.close();
    // What is published by somebody who may comes first.
    await publish('board://after-the-attack');
    await publish(LUNCH);
    await alice.told(LUNCH, from);
    assert.equal(alice.journal.since(from, ({ told }) => told?.params?.uri === LUNCH).length, 1);
});

check('another name of this machine does not serve the page', async () => {
    const page = await openPage();
    const response = await page.goto(`http://evil.test:${new URL(admin).port}/console`);
    assert.equal(response.status(), 403);
    await page.context().close();
});

check('whoever may only read or publish is told so', async () => {
    const reads = await console_('#publish', 'may-read');
    await reads.fill('#publish-uri', LUNCH);
    await reads.keyboard.press('Enter');
    await text(reads, '#publish-told', /This token may not do that/);
    await reads.goto(`${admin}/console#session/${await nameOf('alice-of-the-console')}`);
    await text(reads, '#session-facts', /alice/);
    await reads.check('#trace-contents');
    await reads.click('#trace');
    await text(reads, '#trace-told', /may not do that/);
    await reads.click('#end-session');
    await reads.click('#sure-yes');
    await text(reads, '#action-told', /may not do that/);
    await sound(reads);
    const publishes = await console_('#publish', 'may-publish');
    await publishes.fill('#publish-uri', LUNCH);
    await publishes.keyboard.press('Enter');
    await text(publishes, '#publish-told', /^Accepted/);
    await sound(publishes);
});

check('a session is drained: its stream ends, and it stays', async () => {
    const from = alice.journal.length;
    const page = await console_(`#session/${await nameOf('alice-of-the-console')}`);
    await text(page, '#session-facts', /alice/);
    await page.click('#drain-session');
    await page.click('#sure-yes');
    await text(page, '#action-told', /told to come back/);
    await alice.journal.find(({ over }) => over, 'the end of the stream', { from });
    assert.equal((await alice.ask('tools/list')).status, 200);
    await sound(page);
});

check('a session is ended, with the keyboard alone, after a question', async () => {
    const name = await nameOf('alice-of-the-console');
    const page = await console_();
    await page.keyboard.press('/');
    await until(() => focused(page), it => it === 'search', 'the search has the focus');
    await page.keyboard.type('alice-of-the-console');
    await page.keyboard.press('Enter');
    await text(page, '#page-told', /^1 to 1 of 1$/);
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    assert.equal(await focused(page), name);
    await page.keyboard.press('e');
    await text(page, '#sure-text', /alice-of-the-console/);
    assert.equal(await focused(page), 'sure-no');
    await page.keyboard.press('Enter');
    await gone(page, '#sure');
    assert.equal((await alice.ask('tools/list')).status, 200, 'nothing was done');
    await page.keyboard.press('Enter');
    await text(page, '#session-facts', /alice/);
    await page.keyboard.press('e');
    await shown(page, '#sure');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await text(page, '#action-told', /is ended/);
    await text(page, '#session-note', /not here/);
    assert.equal((await alice.ask('tools/list')).status, 404);
    await page.keyboard.press('3');
    await text(page, '#ended-list tbody', /alice-of-the-console 7\.1 *operator: an operator ended it/);
    await page.selectOption('#ended-reason', 'operator');
    await text(page, '#ended-list tbody', /alice-of-the-console/);
    await sound(page);
});

check('the cluster of a node that is alone', async () => {
    const page = await console_('#cluster');
    await text(page, '#cluster-note', /alone|does not offer/);
    await sound(page);
});

// In parts: each has as long as every other check, on however busy a machine.
for (let part = 1; part <= CROWD_PARTS; part += 1) {
    check(`ten thousand sessions come, part ${part}`, () => crowd(url, CROWD / CROWD_PARTS, 'one-of-the-crowd'));
}

check('ten thousand sessions are searched, sorted and turned over, a page at a time', async () => {
    const page = await console_('#sessions');
    await text(page, '#page-told', /^1 to 50 of 10,001$/);
    await page.fill('#search', 'one-of-the-crowd');
    await page.keyboard.press('Enter');
    await text(page, '#page-told', /^1 to 50 of 10,000$/);
    await page.click('#page-next');
    await text(page, '#page-told', /^51 to 100 of 10,000$/);
    const names = () => page.locator('#session-list tbody button').allTextContents();
    const second = await names();
    await page.click('#page-next');
    await text(page, '#page-told', /^101 to 150 of 10,000$/);
    const third = await names();
    assert.equal(new Set([...second, ...third]).size, 100, 'nobody is on two pages');
    await page.click('#page-before');
    await text(page, '#page-told', /^51 to 100 of 10,000$/);
    assert.deepEqual(await names(), second);
    await page.selectOption('#limit', '100');
    await text(page, '#page-told', /^1 to 100 of 10,000$/);
    assert.equal(await rows(page), 100);
    await page.selectOption('#order', 'asc');
    await page.selectOption('#sort', 'activity');
    await text(page, '#page-told', /^1 to 100 of 10,000$/);
    // The line of the page is the same before and after.
    await text(page, 'th[aria-sort=ascending]', /^Last active$/);
    // A page is all there is in the document, and it answers while the list is kept up to date.
    assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 3500);
    await page.keyboard.press('Escape');
    await page.evaluate(() => { document.activeElement.blur(); });
    await page.keyboard.press('1');
    await shown(page, '#overview');
    if (screenshots) await page.screenshot({ path: `${screenshots}/real-overview.png` });
    await page.keyboard.press('2');
    await text(page, '#page-told', /^1 to 100 of 10,000$/);
    if (screenshots) await page.screenshot({ path: `${screenshots}/real-sessions.png` });
    await sound(page);
});

check('the browser ends', async () => {
    bob.leave();
    await stopBrowser();
});

await run();
