// Debian's Chromium, headless, and what checks of a page need: something seen, something said, nothing that the page's policy stopped.

import { chromium } from 'playwright-core';

import { assert } from './harness.mjs';

const LOOK_DEADLINE_MS = 60_000;
const LOOK_AGAIN_MS = 50;

let browser;

/** It ends with this process, however that ends. Names of hosts below `.test` are this machine. */
export async function startBrowser() {
    browser = await chromium.launch({
        executablePath: new URL('./.tools/chromium', import.meta.url).pathname,
        // As root it does not start with its sandbox; and nothing but our own pages is opened.
        args: ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP *.test 127.0.0.1'],
    });
    return browser;
}

export async function stopBrowser() {
    await browser?.close();
}

/** A page in a profile of its own; what it did wrong is kept until `sound` asks. */
export async function openPage(url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(LOOK_DEADLINE_MS);
    await context.addInitScript(() => {
        globalThis.stopped = [];
        addEventListener('securitypolicyviolation', event => globalThis.stopped.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    const page = await context.newPage();
    page.faults = [];
    page.on('pageerror', error => page.faults.push(String(error.stack)));
    page.on('console', message => {
        // A refusal is no fault of the page: the browser writes it down all the same.
        if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) page.faults.push(message.text());
    });
    if (url) await page.goto(url);
    return page;
}

/** Closes a page that made no mistake and was not stopped by its own policy. */
export async function sound(page) {
    assert.deepEqual(await page.evaluate(() => globalThis.stopped), []);
    assert.deepEqual(page.faults, []);
    await page.context().close();
}

/** What there is as soon as it fits. */
export async function until(look, fits, what) {
    const deadline = performance.now() + LOOK_DEADLINE_MS;
    for (;;) {
        const seen = await look();
        if (fits(seen)) return seen;
        if (performance.now() > deadline) throw new Error(`${what}: the last that was seen is ${JSON.stringify(seen)}`);
        await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN_MS));
    }
}

/** The text of an element that is shown, as soon as it fits. */
export function text(page, selector, pattern) {
    const look = () => page.locator(selector).first().evaluate(it => it.textContent, undefined, { timeout: LOOK_DEADLINE_MS });
    return until(look, seen => pattern.test(seen), `${selector} says ${pattern}`);
}

export const isShown = (page, selector) => page.locator(selector).isVisible();
export const shown = (page, selector) => page.locator(selector).first().waitFor({ state: 'visible' });
export const gone = (page, selector) => page.locator(selector).first().waitFor({ state: 'hidden' });
export const focused = page => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim() || document.activeElement?.tagName);

/** Enters a token with the keyboard alone. */
export async function enter(page, token) {
    await shown(page, '#login');
    await until(() => focused(page), it => it === 'token', 'the token is asked for');
    await page.keyboard.type(token);
    await page.keyboard.press('Enter');
}
