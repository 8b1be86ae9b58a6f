// The TypeScript SDK of the second generation, both eras: node typescript_v2.mjs URL ADMIN REVISION

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

import { run } from './harness.mjs';
import { typescriptChecks } from './typescript_checks.mjs';

const MODERN = '2026-07-28';
const [url, admin, revision] = process.argv.slice(2);
const era = revision === MODERN ? 'modern' : 'legacy';

const sdk = {
    Client,
    Transport: StreamableHTTPClientTransport,
    options: { versionNegotiation: { mode: era === 'modern' ? 'auto' : 'legacy' } },
    hear: (client, method, handler) => client.setNotificationHandler(method, handler),
    answer: (client, method, handler) => client.setRequestHandler(method, handler),
    call: (client, params, options) => client.callTool(params, options),
    revision: connection => connection.client.getNegotiatedProtocolVersion(),
};

typescriptChecks({ sdk, url, admin, era, revision });
await run();
