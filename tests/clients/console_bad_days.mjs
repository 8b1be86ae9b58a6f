// The console on days that a real node has too seldom for a test: it does not answer, it is an older one, it drains, and whoever
// looks may not do everything. The page and its headers are a real node's:
// node console_bad_days.mjs ADMIN SCREENSHOTS

import { enter, focused, gone, isShown, openPage, shown, sound, startBrowser, stopBrowser, text, until } from './browser.mjs';
import { Double, sessionsOf } from './console_double.mjs';
import { assert, check, run } from './harness.mjs';

const [admin, screenshots] = process.argv.slice(2);
const double = await Double.start(admin);
double.sessions = sessionsOf(10_000);
await startBrowser();

async function console_(token = 's3cret', hash = '', options = {}) {
    const page = await openPage(`${double.url}/console${hash}`, options);
    await enter(page, token);
    await gone(page, '#login');
    return page;
}

/** Whatever becomes of one day, the next begins as all do. */
function day(name, body) {
    check(name, async () => {
        const { roles } = double;
        try { await body(); } finally { Object.assign(double, { roles, state: 'ready', isSilent: false, unknown: new Set(), cluster: undefined }); }
    });
}

const rows = page => page.locator('#session-list tbody tr').count();

day('a token that the node does not know is refused in words, and not kept', async () => {
    const page = await openPage(`${double.url}/console`);
    await enter(page, 'wrong');
    await text(page, '#login-why', /does not know this token/);
    assert.equal(await page.evaluate(() => JSON.stringify([sessionStorage, localStorage])), '[{},{}]');
    await page.fill('#token', 'not a tökén');
    await page.keyboard.press('Enter');
    await text(page, '#login-why', /ASCII/);
    await page.fill('#token', 's3cret');
    await page.keyboard.press('Enter');
    await shown(page, '#overview-body');
    assert.ok(!page.url().includes('s3cret'));
    assert.ok(double.asked.every(({ path }) => !path.includes('s3cret')), 'a token in a URL');
    await sound(page);
});

day('a token is taken back while somebody looks', async () => {
    const page = await console_('may-publish');
    const roles = double.roles;
    double.roles = { s3cret: 'operate' };
    await shown(page, '#login');
    await text(page, '#login-why', /does not know this token/);
    double.roles = roles;
    await enter(page, 's3cret');
    await shown(page, '#overview-body');
    await page.click('#forget');
    await text(page, '#login-why', /forgotten/);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await sound(page);
});

day('figures, rates, plots and cores', async () => {
    const page = await console_();
    await text(page, '#node-name', /^n1$/);
    await text(page, '#node-state', /^ready$/);
    await text(page, '#tiles', /10,000of 10,000 at most/);
    await text(page, '#tiles', /Requests[\d,.]+\/s/);
    await text(page, '#tiles', /Operations[\d.]+ \/ [\d.]+ ms/);
    await text(page, '#cores tbody tr:nth-child(2)', /core 1 *87 %/);
    await until(() => page.locator('figure .first').first().getAttribute('d'), path => /L/.test(path ?? ''), 'a line of two points');
    assert.match(await page.locator('figure svg').first().getAttribute('aria-label'), /^Requests over the last minutes, now /);
    const box = await page.locator('figure svg').first().boundingBox();
    await page.mouse.move(box.x + 2, box.y + 5);
    await text(page, 'figure output', /ago$/);
    await sound(page);
});

day('another state of the node is said aloud', async () => {
    const page = await console_();
    double.state = 'draining';
    await text(page, '#node-state', /^draining$/);
    await text(page, '#live', /The node is draining now/);
    double.state = 'ready';
    await text(page, '#live', /The node is ready now/);
    await sound(page);
});

day('a node that does not answer, and answers again', async () => {
    const page = await console_();
    await page.keyboard.press('2');
    await text(page, '#page-told', /^1 to 50 of 10,000$/);
    double.isSilent = true;
    await text(page, '#banner', /has not answered since \d\d:\d\d:\d\d/);
    assert.equal(await rows(page), 50, 'what was there stays');
    double.isSilent = false;
    await text(page, '#banner', /^$/);
    await text(page, '#live', /answers again/);
    await sound(page);
});

day('a page that nobody sees asks for nothing', async () => {
    const page = await console_();
    await page.evaluate(() => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
        document.dispatchEvent(new Event('visibilitychange'));
    });
    // Who is seen asks twice and more meanwhile; what was under way is through then, too.
    const seen = await console_('may-publish');
    const [asksMore, before] = [double.asked.length, () => double.asked.filter(({ token }) => token === 's3cret').length];
    const first = before();
    await until(() => double.asked.slice(asksMore).filter(({ token }) => token === 'may-publish').length, count => count >= 3, 'the other page asks');
    assert.ok(before() - first <= 1, 'the page asks where nobody sees it');
    await page.evaluate(() => {
        delete document.hidden;
        document.dispatchEvent(new Event('visibilitychange'));
    });
    await until(before, count => count > first + 1, 'it goes on when it is seen');
    await sound(seen);
    await sound(page);
});

day('a node that does not offer what the console shows', async () => {
    double.unknown = new Set(['/node', '/sessions', '/cluster', '/publish']);
    const page = await console_();
    await text(page, '#overview-note', /does not offer figures \(GET \/node\)/);
    for (const [view, sentence] of [['sessions', /GET \/sessions/], ['ended', /GET \/sessions\/ended/], ['cluster', /GET \/cluster/]]) {
        await page.click(`#views a[href="#${view}"]`);
        await text(page, `#${view}-note`, /This node does not offer/);
        await text(page, `#${view}-note`, sentence);
    }
    await page.click('#views a[href="#publish"]');
    await page.fill('#publish-uri', 'board://lunch');
    await page.keyboard.press('Enter');
    await text(page, '#publish-told', /does not offer publishing/);
    // A node that is alone and silent is found out all the same.
    double.isSilent = true;
    await text(page, '#banner', /has not answered/);
    double.isSilent = false;
    await text(page, '#banner', /^$/);
    await sound(page);
});

day('whoever may only read is told so', async () => {
    const page = await console_('reads-only', `#session/${double.sessions[1].name}`);
    await text(page, '#session-facts', /inspector 1\.2\.3/);
    await page.click('#end-session');
    await page.click('#sure-yes');
    await text(page, '#action-told', /This token may not do that.*needs the role operate/);
    assert.equal(double.sessions.length, 10_000);
    await page.check('#trace-contents');
    await page.click('#trace');
    await text(page, '#trace-told', /may not do that/);
    await page.click('#views a[href="#publish"]');
    await page.fill('#publish-uri', 'board://lunch');
    await page.keyboard.press('Enter');
    await text(page, '#publish-told', /needs the role publish/);
    await sound(page);
});

day('of ten thousand sessions there is a page in the document', async () => {
    const page = await console_();
    await page.keyboard.press('2');
    await text(page, '#page-told', /^1 to 50 of 10,000$/);
    assert.equal(await rows(page), 50);
    await page.keyboard.press('n');
    await text(page, '#page-told', /^51 to 100 of 10,000$/);
    assert.equal(await rows(page), 50);
    await page.keyboard.press('p');
    await text(page, '#page-told', /^1 to 50 of 10,000$/);
    await page.selectOption('#filter-state', 'slow');
    await text(page, '#page-told', /^1 to 50 of 100$/);
    await page.fill('#search', 'nobody has this name');
    await page.keyboard.press('Enter');
    await text(page, '#page-told', /^No session fits$/);
    await page.click('button[type=reset]');
    await text(page, '#page-told', /^1 to 50 of 10,000$/);
    assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 3000);
    await sound(page);
});

day('a row keeps the focus while the list moves', async () => {
    const page = await console_('s3cret', '#sessions');
    await text(page, '#page-told', /10,000/);
    for (const key of ['j', 'j', 'j']) await page.keyboard.press(key);
    const name = double.sessions[2].name;
    assert.equal(await focused(page), name);
    const first = double.sessions.shift();
    await until(() => page.locator('#session-list tbody button').first().textContent(), it => it !== first.name, 'the list has moved');
    assert.equal(await focused(page), name);
    // The row itself goes: the next one has the focus, not the page.
    double.sessions = double.sessions.filter(it => it.name !== name);
    await until(() => focused(page), it => /^n1\./.test(it) && it !== name, 'a row has the focus');
    await sound(page);
});

day('a trace is bounded, goes on after a silence, and ends with the view', async () => {
    const session = double.sessions[3].name;
    const page = await console_('s3cret', `#session/${session}`);
    await text(page, '#session-facts', /Client/);
    await page.keyboard.press('t');
    await until(() => double.watchers, count => count === 1, 'it is watched');
    for (let id = 0; id < 1200; id += 1) double.trace('request', { session, method: 'tools/call', id });
    await text(page, '#trace-log li:last-child', /id 1199/);
    assert.equal(await page.locator('#trace-log li').count(), 500);
    await text(page, '#trace-told', /700 older lines are not shown/);
    double.isSilent = true;
    double.server.closeAllConnections();
    await text(page, '#trace-told', /goes on when it does/);
    double.isSilent = false;
    await until(() => double.watchers, count => count === 1, 'it is watched again');
    double.trace('event', { session, topic: 'board://after' });
    await text(page, '#trace-log li:last-child', /board:\/\/after/);
    await page.keyboard.press('Escape');
    await until(() => double.watchers, count => count === 0, 'nobody watches');
    await sound(page);
});

day('three nodes and their bus, with Redis away', async () => {
    const node = (name, state, self = false) => ({ node: name, self, address: '10.0.0.1:8080', incarnation: 7, state, heartbeatAgeMs: 400, version: '0.1.0' });
    double.cluster = {
        node: 'n1', redis: { up: false, since: Date.now() - 60_000 }, nodes: [node('n1', 'alive', true), node('n2', 'draining'), node('n3', 'gone')],
        bus: { lastOffset: 81_231, behindEntries: 4, behindMs: 5300, queued: 2, gaps: 1 },
    };
    const page = await console_('s3cret', '#cluster');
    await text(page, '#cluster-note', /Redis is away/);
    await text(page, '#nodes tbody', /n1 \(this one\)alive.*n2draining.*n3gone/);
    await text(page, '#bus', /Behind4 entries/);
    double.cluster = undefined;
    await text(page, '#cluster-note', /alone/);
    await sound(page);
});

day('everything has a name, and the focus is seen wherever it is', async () => {
    const page = await console_();
    for (const view of ['overview', 'sessions', 'ended', 'publish', 'cluster']) {
        await page.goto(`${double.url}/console#${view}`);
        await shown(page, `#${view}`);
        const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, a[href], [role=region], table')]
            .filter(it => it.checkVisibility() && it.tagName !== 'TABLE')
            .filter(it => !(it.textContent.trim() || it.labels?.length || it.getAttribute('aria-label') || it.getAttribute('aria-labelledby')))
            .map(it => it.outerHTML));
        assert.deepEqual(nameless, []);
        const twice = await page.evaluate(() => [...document.querySelectorAll('[id]')].map(it => it.id).filter((id, at, all) => all.indexOf(id) !== at));
        assert.deepEqual(twice, []);
        await page.evaluate(() => { document.activeElement.blur(); });
        for (let step = 0; step < 12; step += 1) {
            await page.keyboard.press('Tab');
            const unseen = await page.evaluate(() => {
                const { activeElement: it } = document;
                const style = getComputedStyle(it);
                const isSeen = it === document.body || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                return isSeen ? null : it.outerHTML.slice(0, 200);
            });
            assert.equal(unseen, null);
        }
    }
    await sound(page);
});

day('the help, and keys that are switched off', async () => {
    const page = await console_();
    await page.keyboard.press('?');
    await shown(page, '#help');
    await page.uncheck('#single-keys');
    await page.keyboard.press('Escape');
    await gone(page, '#help');
    await page.evaluate(() => { document.activeElement.blur(); });
    await page.keyboard.press('2');
    await page.keyboard.press('?');
    assert.equal(await isShown(page, '#help'), false);
    assert.equal(await isShown(page, '#sessions'), false);
    await sound(page);
});

const colours = page => page.evaluate(() => {
    const light = colour => { const [r, g, b] = colour.match(/\d+/g).map(it => { const c = it / 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
    const ground = it => { for (; it; it = it.parentElement) { const colour = getComputedStyle(it).backgroundColor; if (!/, 0\)$/.test(colour)) return colour; } return 'rgb(255, 255, 255)'; };
    const contrast = (one, other) => { const [high, low] = [light(one), light(other)].sort((a, b) => b - a); return (high + .05) / (low + .05); };
    const faint = [...document.querySelectorAll('main *, header *')].filter(it => it.checkVisibility() && !it.disabled && [...it.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .map(it => [contrast(getComputedStyle(it).color, ground(it)), it.outerHTML.slice(0, 120)]).filter(([ratio]) => ratio < 4.5);
    return { page: light(getComputedStyle(document.body).backgroundColor), faint };
});

for (const [name, options] of Object.entries({
    light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' },
    phone: { colorScheme: 'dark', viewport: { width: 375, height: 740 }, isMobile: true, hasTouch: true },
})) {
    day(`every view can be read: ${name}`, async () => {
        const page = await console_('s3cret', '', options);
        await shown(page, '#overview-body');
        double.ended = sessionsOf(20).map((it, at) => ({ ...it, endedAt: Date.now(), reason: ['idle', 'operator', 'slow_reader'][at % 3] }));
        const inside = { overview: '#overview-body', sessions: '#session-list tbody tr', ended: '#ended-list tbody tr', publish: '#publish-form', cluster: '#cluster-body', [`session/${double.sessions[1].name}`]: '#session-facts dd' };
        for (const [hash, element] of Object.entries(inside)) {
            await page.goto(`${double.url}/console#${hash}`);
            await shown(page, element);
            const { page: ground, faint } = await colours(page);
            assert.equal(ground < .2, options.colorScheme === 'dark');
            assert.deepEqual(faint, []);
            const [wide, width] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
            assert.ok(wide <= width, `${hash} is ${wide} wide, of ${width}`);
            if (screenshots) await page.screenshot({ path: `${screenshots}/${name}-${hash.split('/')[0]}.png` });
        }
        await sound(page);
    });
}

day('nothing moves where nobody wants it to', async () => {
    const page = await console_('s3cret', '', { reducedMotion: 'reduce' });
    const moving = await page.evaluate(() => [...document.querySelectorAll('*')].filter(it => getComputedStyle(it).transitionDuration !== '0s' || getComputedStyle(it).animationName !== 'none').length);
    assert.equal(moving, 0);
    await sound(page);
});

check('the browser ends', async () => {
    await stopBrowser();
    double.close();
});

await run();
