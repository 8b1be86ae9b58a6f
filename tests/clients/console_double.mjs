// A node as its console sees it: the real page with the real headers, and answers that a real node gives only on a bad day. What
// a check turns: its state, who may what, which of the questions it knows, whether it answers at all.

import { createServer } from 'node:http';

const BOUNDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];
const RIGHTS = { read: 1, publish: 2, operate: 3 };

export class Double {
    state = 'ready';
    sessions = [];
    ended = [];
    /** Paths that this node does not know: `/cluster`. */
    unknown = new Set();
    /** By token. */
    roles = { 'reads-only': 'read', 'may-publish': 'publish', 's3cret': 'operate' };
    isSilent = false;
    /** What was asked, in order: method, path with query, token. */
    asked = [];
    /** How many subscribers a publication is said to have; undefined: it is not said. */
    subscribers = 17;
    cluster = undefined;
    #begun = Date.now();
    #traces = new Set();

    /** @param console Where a real node serves its page. */
    static async start(console) {
        const double = new Double();
        const page = await fetch(`${console}/console`);
        double.page = { body: await page.text(), headers: Object.fromEntries(page.headers) };
        for (const name of ['content-length', 'connection', 'date']) delete double.page.headers[name];
        double.server = createServer((request, response) => double.#answer(request, response));
        await new Promise(resolve => double.server.listen(0, '127.0.0.1', resolve));
        double.url = `http://127.0.0.1:${double.server.address().port}`;
        return double;
    }

    close() {
        this.server.closeAllConnections();
        this.server.close();
    }

    /** Writes an event to whoever watches. */
    trace(type, told) {
        for (const stream of this.#traces) stream.write(`event: ${type}\ndata: ${JSON.stringify({ at: Date.now(), ...told })}\n\n`);
    }

    get watchers() { return this.#traces.size; }

    #answer(request, response) {
        if (this.isSilent) return request.socket.destroy();
        const url = new URL(request.url, this.url);
        const tell = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        if (url.pathname === '/console') return response.writeHead(200, this.page.headers).end(this.page.body);
        if (url.pathname === '/healthz') return response.end('ok\n');
        const token = (request.headers.authorization ?? '').replace('Bearer ', '');
        this.asked.push({ method: request.method, path: request.url, token });
        if ([...this.unknown].some(it => url.pathname.startsWith(it))) return tell(404, { error: 'Nothing is here.' });
        const role = this.roles[token];
        if (!role) return tell(401, { error: 'This needs the bearer token of --admin-token-file.' });
        const needed = request.method === 'GET' ? 'read' : url.pathname === '/publish' ? 'publish' : 'operate';
        if (RIGHTS[role] < RIGHTS[needed]) return tell(403, { error: `This needs the role ${needed}; this token has the role ${role}.` });
        const route = `${request.method} ${url.pathname}`;
        if (route === 'GET /node') return tell(200, this.#node());
        if (route === 'GET /cluster') return tell(200, this.cluster ?? { node: 'n1', nodes: [{ node: 'n1', self: true, state: 'alive' }], bus: null, redis: null });
        if (route === 'GET /sessions') return tell(200, this.#list(url.searchParams));
        if (route === 'GET /sessions/ended') return tell(200, { ended: this.ended });
        if (route === 'POST /publish') return request.resume().on('end', () => tell(200, [{ accepted: true, offset: 41, subscribers: this.subscribers }]));
        if (url.pathname.startsWith('/sessions/')) return this.#one(request, response, url, tell);
        tell(404, { error: 'Nothing is here.' });
    }

    #one(request, response, url, tell) {
        const [name, more] = url.pathname.slice('/sessions/'.length).split('/').map(decodeURIComponent);
        const session = this.sessions.find(it => it.name === name);
        if (!session) return tell(404, { error: `No session ${name} is here.` });
        if (more === 'trace') {
            if (url.searchParams.get('contents') && this.roles[this.asked.at(-1).token] !== 'operate') return tell(403, { error: 'Contents need the role operate.' });
            response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': watching\n\n');
            this.#traces.add(response);
            return response.on('close', () => this.#traces.delete(response));
        }
        if (request.method === 'DELETE') {
            this.sessions = this.sessions.filter(it => it !== session);
            this.ended.unshift({ ...session, endedAt: Date.now(), reason: 'operator' });
            return tell(200, { ended: 1 });
        }
        if (more === 'drain') return tell(202, {});
        tell(200, {
            ...session, subscriptions: ['board://lunch', 'board://a-longer-name/with-a-path/that-goes-on'], subscriptionsTotal: 2, logLevel: null,
            streamDetails: [{ kind: 'get', open: true, queuedEvents: 3, queuedBytes: 4096, since: session.createdAt }],
            lastErrors: [{ at: Date.now() - 5000, method: 'tools/call', code: -32602, message: 'There is no tool of this name.' }],
        });
    }

    #list(query) {
        const fits = it => (!query.get('client') || it.client.name.includes(query.get('client')))
            && (query.get('state') !== 'slow' || it.blockedForMs !== null) && (!query.get('era') || it.era === query.get('era'));
        const all = this.sessions.filter(fits);
        const [from, limit] = [Number(query.get('after') ?? 0), Number(query.get('limit') ?? 100)];
        const next = from + limit < all.length ? String(from + limit) : null;
        return { sessions: all.slice(from, from + limit), total: all.length, next, node: 'n1' };
    }

    #node() {
        const now = Date.now();
        const up = (now - this.#begun) / 1000 + 90_000;
        const requests = Math.round(up * 1834.5 + 300 * Math.sin(up / 9));
        const counts = BOUNDS.map((_, at) => Math.round(requests * [.6, .2, .1, .05, .02, .01][at] || 0));
        const core = (index, busy) => ({
            core: index, busyS: up * busy, connections: 5021, sessions: 5000, listeners: 12, streams: 5012, calls: 3, requests: requests / 2,
            deliveries: requests * 4, pendingBytes: 81920 * index, blockedStreams: index, mailbox: 0, lastBeatMs: 4,
        });
        return {
            node: 'n1', version: '0.1.0', incarnation: 77, startedAt: this.#begun - 90_000_000, uptimeS: Math.round(up), state: this.state, driver: 'io_uring', now,
            limits: { connectionsMax: 20000, sessionsMax: 10000, memoryBytesMax: 1 << 30 },
            memory: { heldBytes: 123_456_789, budgetBytes: 536_870_912, shortTotal: 0, lines: [{ line: 'sessions', bytes: 80_000_000 }, { line: 'streams', bytes: 40_000_000 }] },
            totals: {
                connections: 10042, sessions: 10000, streams: { get: 9800, post: 12, listen: 212 }, calls: 6, requests, errors: Math.round(requests / 400),
                publications: Math.round(up * 12), deliveries: requests * 8, conflated: 1200, pendingBytes: 81920, blockedStreams: 1, sessionsEnded: 412, forwards: 33, moves: 7,
            },
            latency: { operations: { boundsS: BOUNDS, counts: [...counts, 0], sumS: up }, publishToLastWrite: { boundsS: BOUNDS, counts: [...counts, 0], sumS: up } },
            cores: [core(0, .42), core(1, .87)],
        };
    }
}

/** So many sessions, a few of them slow, a few modern. */
export function sessionsOf(count) {
    const now = Date.now();
    return Array.from({ length: count }, (_, at) => ({
        name: `n1.${at % 9 === 8 ? '~' : ''}${String(at).padStart(24, 'A')}`, era: at % 9 === 8 ? 'modern' : 'legacy', protocolVersion: at % 9 === 8 ? '2026-07-28' : '2025-11-25',
        client: { name: ['claude-code', 'inspector', 'a-client-with-a-very-long-name-that-nobody-would-give'][at % 3], version: '1.2.3' },
        principal: at % 2 ? 'dc18d98ab34b2f83b5913fec82dc81e9' : null, core: at % 2, createdAt: now - at * 1000 - 60_000, lastActive: now - at * 100,
        streams: 1, open: at % 5 !== 0, calls: 0, subscriptions: 3, pendingEvents: 2, pendingBytes: at * 10, blockedForMs: at % 100 === 7 ? 4200 : null, requests: 12, events: 345,
    }));
}
