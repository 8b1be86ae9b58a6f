// The TypeScript SDK of the first generation (legacy only): node typescript_v1.mjs URL ADMIN REVISION

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

import { run } from './harness.mjs';
import { typescriptChecks } from './typescript_checks.mjs';

const SCHEMAS = {
    'notifications/tools/list_changed': types.ToolListChangedNotificationSchema,
    'notifications/prompts/list_changed': types.PromptListChangedNotificationSchema,
    'notifications/resources/list_changed': types.ResourceListChangedNotificationSchema,
    'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
    'notifications/message': types.LoggingMessageNotificationSchema,
    'elicitation/create': types.ElicitRequestSchema,
    'sampling/createMessage': types.CreateMessageRequestSchema,
};

const sdk = {
    Client,
    Transport: StreamableHTTPClientTransport,
    options: {},
    hear: (client, method, handler) => client.setNotificationHandler(SCHEMAS[method], handler),
    answer: (client, method, handler) => client.setRequestHandler(SCHEMAS[method], handler),
    call: (client, params, options) => client.callTool(params, undefined, options),
    revision: connection => connection.transport.protocolVersion,
};

const [url, admin, revision] = process.argv.slice(2);
typescriptChecks({ sdk, url, admin, era: 'legacy', revision });
await run();
