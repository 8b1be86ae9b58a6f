// The two generations of the TypeScript SDK, as connection.mjs needs them. `path` is where their transport is, below the endpoint.

const makers = {
    v1: async (_isModern, overSse) => {
        const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
        const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
        const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
        const types = await import('@modelcontextprotocol/sdk/types.js');
        const schemas = {
            'notifications/tools/list_changed': types.ToolListChangedNotificationSchema,
            'notifications/prompts/list_changed': types.PromptListChangedNotificationSchema,
            'notifications/resources/list_changed': types.ResourceListChangedNotificationSchema,
            'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
            'notifications/message': types.LoggingMessageNotificationSchema,
            'elicitation/create': types.ElicitRequestSchema,
            'sampling/createMessage': types.CreateMessageRequestSchema,
        };
        return {
            Client,
            Transport: overSse ? SSEClientTransport : StreamableHTTPClientTransport,
            path: overSse ? '/sse' : '',
            options: {},
            hear: (client, method, handler) => client.setNotificationHandler(schemas[method], handler),
            answer: (client, method, handler) => client.setRequestHandler(schemas[method], handler),
            call: (client, params, options) => client.callTool(params, undefined, options),
            finishAuth: (transport, parameters) => transport.finishAuth(parameters.get('code')),
            revision: connection => connection.initialized().protocolVersion,
        };
    },
    v2: async (isModern, overSse) => {
        const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
        return {
            Client,
            Transport: overSse ? SSEClientTransport : StreamableHTTPClientTransport,
            path: overSse ? '/sse' : '',
            options: { versionNegotiation: { mode: isModern ? 'auto' : 'legacy' } },
            hear: (client, method, handler) => client.setNotificationHandler(method, handler),
            answer: (client, method, handler) => client.setRequestHandler(method, handler),
            call: (client, params, options) => client.callTool(params, options),
            finishAuth: (transport, parameters) => transport.finishAuth(parameters),
            revision: connection => connection.client.getNegotiatedProtocolVersion(),
        };
    },
};

/** The revision whose transport is HTTP+SSE. */
export const OVER_SSE = '2024-11-05';

export const generation = (name, isModern, revision) => makers[name](isModern, revision === OVER_SSE);
