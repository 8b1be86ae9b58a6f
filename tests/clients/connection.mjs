// One client of one of the TypeScript SDKs, connected, with a journal of all that it sent, received and was told.
// What differs between the SDKs' two major versions is in the `Sdk` that is handed in.
//
// Sdk: { Client, Transport, hear(client, method, handler), answer(client, method, handler),
//        call(client, params, options), finishAuth(transport, parameters), revision(connection), options }

import { Journal } from './harness.mjs';

const NOTIFICATIONS = [
    'notifications/tools/list_changed',
    'notifications/prompts/list_changed',
    'notifications/resources/list_changed',
    'notifications/resources/updated',
    'notifications/message',
];
const CLIENT_CAPABILITIES = { elicitation: {}, sampling: {}, roots: { listChanged: true } };

export class Connection {
    journal = new Journal();
    #sdk;
    #listening;

    /**
     * Connects; `revision` is the one that a legacy client asks for. Who comes with an account of the issuer's (see
     * account.mjs) is sent to it, logs in, and comes again.
     */
    static async open(sdk, url, { revision, capabilities = CLIENT_CAPABILITIES, account, journal } = {}) {
        const connection = new Connection();
        connection.#sdk = sdk;
        if (journal) connection.journal = journal;
        connection.transport = connection.#spiedTransport(sdk, url, revision, account);
        connection.client = new sdk.Client({ name: 'pinfold-tests', version: '1' }, { ...sdk.options, capabilities });
        for (const method of NOTIFICATIONS) {
            sdk.hear(connection.client, method, ({ params }) => connection.journal.push({ told: method, params }));
        }
        connection.client.onerror = error => connection.journal.push({ fault: error.message });
        try {
            await connection.client.connect(connection.transport);
        } catch (error) {
            if (!account?.sentTo) throw error;
            await sdk.finishAuth(connection.transport, await account.logIn());
            return Connection.open(sdk, url, { revision, capabilities, account, journal: connection.journal });
        }
        // Over HTTP+SSE its POSTs have it in their URL.
        const posted = connection.journal.since(0, ({ http }) => http === 'POST')[0];
        connection.sessionId = connection.transport.sessionId ?? new URL(posted.url).searchParams.get('sessionId') ?? undefined;
        return connection;
    }

    #spiedTransport(sdk, url, revision, authProvider) {
        const { journal } = this;
        const transport = new sdk.Transport(new URL(`${url}${sdk.path ?? ''}`), {
            authProvider,
            fetch: async (input, init) => {
                const response = await fetch(input, init);
                const session = new Headers(init?.headers).get('mcp-session-id') ?? undefined;
                journal.push({ http: init?.method ?? 'GET', status: response.status, url: String(input), session });
                return response;
            },
        });
        const send = transport.send.bind(transport);
        transport.send = (message, options) => {
            if (message.method === 'initialize' && revision) message.params.protocolVersion = revision;
            journal.push({ sent: message });
            return send(message, options);
        };
        let deliver;
        Object.defineProperty(transport, 'onmessage', {
            get: () => deliver,
            set: handler => {
                // Probing for the era puts a handler in and takes it out again.
                deliver = handler && ((message, extra) => {
                    journal.push({ received: message });
                    handler(message, extra);
                });
            },
        });
        return transport;
    }

    call(name, args, options, meta) {
        const params = { name, arguments: args ?? {}, ...(meta && { _meta: meta }) };
        return this.#sdk.call(this.client, params, options);
    }

    /** Answers what the server asks, in either era. */
    answer(method, handler) {
        this.#sdk.answer(this.client, method, handler);
    }

    /** Legacy: what `initialize` was answered. */
    initialized() {
        return this.journal.since(0, ({ received }) => received?.result?.protocolVersion)[0].received.result;
    }

    /** Legacy: the stream that notifications come on is open. */
    standaloneStream() {
        return this.journal.find(({ http, status }) => http === 'GET' && status === 200, 'the GET stream');
    }

    /** From now on, changes of all lists and of these resources are told. Resolves when the server said so. */
    async listen({ lists = true, uris = [] }) {
        if (this.sessionId !== undefined) {
            await this.standaloneStream();
            for (const uri of uris) await this.client.subscribeResource({ uri });
            return;
        }
        const wanted = lists ? { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true } : {};
        this.#listening = await this.client.listen({ ...wanted, resourceSubscriptions: uris });
    }

    async unlisten(uri) {
        if (this.sessionId !== undefined) await this.client.unsubscribeResource({ uri });
        else await this.#listening.close();
    }

    /** 2026-07-28: how the stream of notifications ended, when it has. */
    get unheard() {
        return this.#listening.closed;
    }

    get honored() {
        return this.#listening?.honoredFilter;
    }

    told(method, { from, uri } = {}) {
        const fits = entry => entry.told === method && (uri === undefined || entry.params?.uri === uri);
        return this.journal.find(fits, method, { from });
    }

    /** Reads a resource that is not there; gives the error's code as it was sent, since version 2 translates it. */
    async codeOfUnreadable(uri) {
        const from = this.journal.length;
        const outcome = await this.client.readResource({ uri }).catch(error => error);
        if (!(outcome instanceof Error)) throw new Error(`${uri} was read: ${JSON.stringify(outcome)}`);
        return this.journal.since(from, ({ received }) => received?.error)[0]?.received.error.code;
    }

    close() {
        return this.client.close();
    }
}
