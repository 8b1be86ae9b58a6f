// The console at one of three nodes, in a real browser: all nodes are shown, searched, and what is at another one is ended, by
// keyboard too:
// node console_nodes.mjs URL-A URL-B URL-C ADMIN-A SCREENSHOTS

import { gone, openPage, shown, sound, startBrowser, stopBrowser, text } from './browser.mjs';
import { Guest } from './guest.mjs';
import { assert, check, run } from './harness.mjs';

const [, urlB, urlC, admin] = process.argv.slice(2);

await startBrowser();

const open = async hash => {
    const page = await openPage(`${admin}/console${hash}`);
    await gone(page, '#login');
    return page;
};

check('one node is shown, and by one key all of them', async () => {
    await Guest.arrive(urlB, 'guest-of-b', '1');
    await Guest.arrive(urlC, 'guest-of-c', '1');
    const page = await open('#sessions');
    await text(page, '#node-name', /^a$/);
    await text(page, '#page-told', /^No session/);
    await page.locator('#sessions-title').focus();
    await page.keyboard.press('a');
    await text(page, '#session-list tbody', /guest-of-b/);
    await text(page, '#session-list tbody', /guest-of-c/);
    await text(page, '#node-name', /^a, b, c$/);
    assert.equal(await page.inputValue('#scope'), 'all');
    await page.keyboard.press('1');
    await text(page, '#cores tbody', /a core 0.*b core 0.*c core 0/);
    await page.keyboard.press('a');
    await text(page, '#node-name', /^a$/);
    await sound(page);
});

check('a session of another node is searched, opened and ended, by keyboard', async () => {
    const page = await open('#sessions');
    await page.selectOption('#scope', 'all');
    await page.fill('#search', 'guest-of-c');
    await page.keyboard.press('Enter');
    await text(page, '#page-told', /^1 to 1 of 1$/);
    await text(page, '#session-list tbody', /guest-of-c 1.*c/);
    await page.locator('#session-list tbody button').first().focus();
    await page.keyboard.press('Enter');
    await text(page, '#session-facts', /guest-of-c 1/);
    await text(page, '#trace-told', /at node c/);
    await page.keyboard.press('e');
    await shown(page, '#sure');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await text(page, '#action-told', /is ended/);
    await text(page, '#session-note', /not here/);
    await page.keyboard.press('3');
    await text(page, '#ended-list tbody', /guest-of-c.*operator/);
    await sound(page);
});

check('the browser ends', stopBrowser);

await run();
