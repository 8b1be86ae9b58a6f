// A client of few words: it says its name, subscribes, and hears. For a crowd, or a name that no SDK would send.

import { Journal, assert, within } from './harness.mjs';

const ANSWER_MS = 60_000;

export class Guest {
    journal = new Journal();
    #id = 0;
    #gone = new AbortController();

    /** A session under this name. */
    static async arrive(url, name, version = '1') {
        const guest = new Guest();
        guest.url = url;
        const clientInfo = { name, version };
        const response = await guest.#post({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo } });
        assert.equal(response.status, 200, await response.clone().text());
        guest.session = response.headers.get('mcp-session-id');
        await response.text();
        await (await guest.#post({ method: 'notifications/initialized' })).text();
        return guest;
    }

    #post(message) {
        const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
        if (this.session) Object.assign(headers, { 'mcp-session-id': this.session, 'mcp-protocol-version': '2025-11-25' });
        return fetch(this.url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }), signal: AbortSignal.timeout(ANSWER_MS) });
    }

    /** Asks; gives the status, and the body's text. */
    async ask(method, params = {}) {
        this.#id += 1;
        const response = await this.#post({ id: this.#id, method, params });
        return { status: response.status, text: await response.text() };
    }

    /** Its notifications come to the journal from now on. */
    async listen(...uris) {
        const headers = { accept: 'text/event-stream', 'mcp-session-id': this.session, 'mcp-protocol-version': '2025-11-25' };
        const response = await within(fetch(this.url, { headers, signal: this.#gone.signal }), ANSWER_MS, 'the GET stream');
        assert.equal(response.status, 200);
        this.#hear(response.body).catch(() => {}).finally(() => this.journal.push({ over: true }));
        for (const uri of uris) assert.equal((await this.ask('resources/subscribe', { uri })).status, 200);
    }

    async #hear(body) {
        let rest = '';
        for await (const piece of body.pipeThrough(new TextDecoderStream())) {
            rest += piece;
            const lines = rest.split('\n');
            rest = lines.pop();
            for (const line of lines) if (line.startsWith('data: {')) this.journal.push({ told: JSON.parse(line.slice(6)) });
        }
    }

    told(uri, from = 0) {
        return this.journal.find(({ told }) => told?.params?.uri === uri, `news of ${uri}`, { from });
    }

    leave() {
        this.#gone.abort();
    }
}

/** So many sessions that nobody uses, some at a time. */
export async function crowd(url, count, name) {
    let left = count;
    const some = async () => {
        while (left > 0) {
            left -= 1;
            await Guest.arrive(url, name);
        }
    };
    await Promise.all(Array.from({ length: 16 }, some));
}
