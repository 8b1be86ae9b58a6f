// An MCP server on the official TypeScript SDK and Node's own HTTP server: one tool, one resource that can be subscribed
// to in both eras, and an operator's port where `POST /publish` tells every subscriber.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node';
import { Server, createMcpHandler } from '@modelcontextprotocol/server';

const URI = 'board://bench';
const TOOL = 'test_simple_text';
const ANSWER = 'This is a simple text response for testing.';

// Ids of sessions to what answers them, and those that are told of changes.
const sessions = new Map();
const subscribers = new Set();

function mcpServer() {
    const capabilities = { tools: {}, resources: { subscribe: true } };
    const server = new Server({ name: 'typescript-server', version: '1' }, { capabilities });
    server.setRequestHandler('tools/call', (request) => {
        if (request.params.name !== TOOL) throw new Error('no such tool');
        return { content: [{ type: 'text', text: ANSWER }] };
    });
    server.setRequestHandler('resources/subscribe', () => {
        subscribers.add(server);
        return {};
    });
    return server;
}

const modern = createMcpHandler(mcpServer, { legacy: 'reject', maxSubscriptions: Infinity });
const serveModern = toNodeHandler(modern);

async function openSession() {
    const server = mcpServer();
    const transport = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        enableJsonResponse: true,
        onsessioninitialized: (id) => void sessions.set(id, transport),
        onsessionclosed: (id) => {
            sessions.delete(id);
            subscribers.delete(server);
        },
    });
    await server.connect(transport);
    return transport;
}

const clients = createServer(async (request, response) => {
    if (request.headers['mcp-protocol-version'] === '2026-07-28') return serveModern(request, response);
    const id = request.headers['mcp-session-id'];
    const transport = id === undefined ? await openSession() : sessions.get(id);
    if (transport === undefined) return response.writeHead(404).end();
    return transport.handleRequest(request, response);
});

async function publish() {
    modern.notify.resourceUpdated(URI);
    await Promise.all([...subscribers].map((server) => server.sendResourceUpdated({ uri: URI })));
}

const operator = createServer(async (request, response) => {
    if (request.url === '/publish') await publish();
    response.end();
});

const { values } = parseArgs({ options: { listen: { type: 'string' }, admin: { type: 'string' } } });
for (const [server, address] of [[clients, values.listen], [operator, values.admin]]) {
    const [host, port] = address.split(':');
    server.keepAliveTimeout = 0; // the bench's connections wait for their turn
    server.listen({ host, port: Number(port), backlog: 4096 });
}
