// A list of named checks, run one after the other, told as TAP. No check waits longer than its deadline, and
// none sleeps: what is awaited is an event, and what must not happen is looked for after a later event has come.

import assert from 'node:assert/strict';

// For what happens within a second when all is well, on however busy a machine.
const CHECK_DEADLINE_MS = 180_000;
const EVENT_DEADLINE_MS = 60_000;

const checks = [];

export function check(name, body, { ms = CHECK_DEADLINE_MS } = {}) {
    checks.push({ name, body, ms });
}

export function within(promise, ms, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Runs all checks, prints TAP, and ends the process: 0 if every check passed. */
export async function run() {
    process.on('unhandledRejection', error => console.log(`# unhandled: ${error?.stack ?? error}`));
    console.log(`TAP version 13\n1..${checks.length}`);
    let failed = 0;
    for (const [index, { name, body, ms }] of checks.entries()) {
        const started = performance.now();
        try {
            await within(Promise.resolve().then(body), ms, name);
            console.log(`ok ${index + 1} - ${name} # ${Math.round(performance.now() - started)} ms`);
        } catch (error) {
            failed += 1;
            console.log(`not ok ${index + 1} - ${name}`);
            console.log(String(error?.stack ?? error).replace(/^/gm, '# '));
        }
    }
    process.exit(failed === 0 ? 0 : 1);
}

/** Everything that happened, in order, and a way to wait for something that has or has not happened yet. */
export class Journal {
    entries = [];
    #waiting = new Set();

    push(entry) {
        this.entries.push(entry);
        for (const wake of this.#waiting) wake();
    }

    /** The first entry from index `from` on that fits. */
    async find(fits, what, { from = 0, ms = EVENT_DEADLINE_MS } = {}) {
        let wake;
        const found = new Promise(resolve => {
            wake = () => {
                const entry = this.entries.slice(from).find(fits);
                if (entry !== undefined) resolve(entry);
            };
        });
        this.#waiting.add(wake);
        wake();
        try {
            return await within(found, ms, what);
        } finally {
            this.#waiting.delete(wake);
        }
    }

    /** The entries from index `from` on that fit, as of now. */
    since(from, fits = () => true) {
        return this.entries.slice(from).filter(fits);
    }

    get length() {
        return this.entries.length;
    }
}

/** What a program without MCP would do: one POST of a batch to the admin listener; every item must be taken. */
export async function publish(admin, items) {
    const answers = await offer(admin, items);
    for (const answer of answers) assert.equal(answer.accepted, true, JSON.stringify(answer));
}

/** The same, of items that may be wrong: the answers, one for each item. */
export async function offer(admin, items) {
    const response = await fetch(`${admin}/publish`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(items),
        signal: AbortSignal.timeout(EVENT_DEADLINE_MS),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    const answers = JSON.parse(text);
    assert.equal(answers.length, items.length, `one answer for each item: ${text}`);
    return answers;
}

/** A promise's rejection, which there must be, with this JSON-RPC error code. */
export async function refused(promise, code) {
    const outcome = await promise.then(value => ({ value }), error => ({ error }));
    assert.ok(outcome.error, `an error was expected, not ${JSON.stringify(outcome.value)}`);
    assert.equal(outcome.error.code, code, String(outcome.error));
    return outcome.error;
}

/** The text of a result that has nothing but one text. */
export function onlyText(result) {
    assert.equal(result.isError ?? false, false, JSON.stringify(result));
    assert.equal(result.content.length, 1, JSON.stringify(result));
    assert.equal(result.content[0].type, 'text');
    return result.content[0].text;
}

export { assert };
