// The two generations of the TypeScript SDK, as connection.mjs needs them.

const makers = {
    v1: async () => {
        const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
        const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
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
            Transport: StreamableHTTPClientTransport,
            options: {},
            hear: (client, method, handler) => client.setNotificationHandler(schemas[method], handler),
            answer: (client, method, handler) => client.setRequestHandler(schemas[method], handler),
            call: (client, params, options) => client.callTool(params, undefined, options),
            finishAuth: (transport, parameters) => transport.finishAuth(parameters.get('code')),
            revision: connection => connection.transport.protocolVersion,
        };
    },
    v2: async isModern => {
        const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
        return {
            Client,
            Transport: StreamableHTTPClientTransport,
            options: { versionNegotiation: { mode: isModern ? 'auto' : 'legacy' } },
            hear: (client, method, handler) => client.setNotificationHandler(method, handler),
            answer: (client, method, handler) => client.setRequestHandler(method, handler),
            call: (client, params, options) => client.callTool(params, options),
            finishAuth: (transport, parameters) => transport.finishAuth(parameters),
            revision: connection => connection.client.getNegotiatedProtocolVersion(),
        };
    },
};

export const generation = (name, isModern) => makers[name](isModern);
