// The checks that every TypeScript client goes through, whatever its version and era. `subject` is
// { sdk, url, admin, era: 'legacy' | 'modern', revision }.

import { CONTENTS, LIST_CHANGES, PROMPTS, RECONNECTION_TEXT, RESOURCES, WATCHED } from './fixture.mjs';
import { assert, check, onlyText, publish, refused } from './harness.mjs';
import { Connection } from './connection.mjs';
import { OVER_SSE } from './generations.mjs';

const RESOURCE_UPDATED = 'notifications/resources/updated';
const INVALID_PARAMS = -32602;
const RESOURCE_NOT_FOUND = -32002;
const LOG_LEVEL = 'io.modelcontextprotocol/logLevel';

export function typescriptChecks(subject) {
    const open = options => Connection.open(subject.sdk, subject.url, { revision: subject.revision, ...options });
    let main;

    check(`connects, ${subject.revision}`, async () => {
        main = await open();
        assert.equal(subject.sdk.revision(main), subject.revision);
        assert.ok(main.client.getServerVersion().name);
        const { tools, prompts, resources } = main.client.getServerCapabilities();
        assert.ok(tools.listChanged && prompts.listChanged && resources.listChanged && resources.subscribe);
        if (subject.era === 'legacy') assert.match(main.sessionId, /^[\x21-\x7e]+$/);
        else assert.equal(main.sessionId, undefined);
    });

    const parts = subject.era === 'legacy' ? [...common, ...legacy(subject)] : [...common, ...modern];
    for (const [name, body] of parts) check(name, () => body({ ...subject, main, open }));

    check('closes', () => main.close());
}

const common = [
    ['lists tools', async ({ main }) => {
        const { tools } = await main.client.listTools();
        assert.equal(tools[0].name, 'test_simple_text');
        const names = new Set(tools.map(tool => tool.name));
        for (const name of Object.keys(CONTENTS)) assert.ok(names.has(name), name);
        for (const tool of tools) assert.equal(tool.inputSchema.type, 'object', tool.name);
        assert.equal(names.size, tools.length, 'each name once');
    }],
    ['keeps every keyword of a JSON Schema 2020-12', async ({ main }) => {
        const { tools } = await main.client.listTools();
        const schema = tools.find(tool => tool.name === 'json_schema_2020_12_tool').inputSchema;
        assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
        assert.equal(schema.$defs.address.$anchor, 'addressDef');
        assert.equal(schema.additionalProperties, false);
        assert.deepEqual(schema.allOf, [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }]);
    }],
    ['lists resources', async ({ main }) => {
        const { resources } = await main.client.listResources();
        const listed = Object.fromEntries(resources.map(({ uri, mimeType }) => [uri, mimeType]));
        assert.deepEqual(listed, {
            'test://static-text': 'text/plain',
            'test://static-binary': 'image/png',
            [WATCHED]: 'text/plain',
        });
    }],
    ['lists resource templates', async ({ main }) => {
        const { resourceTemplates } = await main.client.listResourceTemplates();
        assert.deepEqual(resourceTemplates.map(template => template.uriTemplate), ['test://template/{id}/data']);
    }],
    ['lists prompts with their arguments', async ({ main }) => {
        const { prompts } = await main.client.listPrompts();
        const names = prompts.map(prompt => prompt.name);
        for (const [name] of PROMPTS) assert.ok(names.includes(name), name);
        const { arguments: listed } = prompts.find(prompt => prompt.name === 'test_prompt_with_arguments');
        assert.deepEqual(listed.map(({ name, required }) => [name, required]), [['arg1', true], ['arg2', true]]);
    }],
    ...Object.entries(CONTENTS).map(([name, content]) => [`calls ${name}`, async ({ main }) => {
        assert.deepEqual((await main.call(name)).content, content);
    }]),
    ['a tool error is a result', async ({ main }) => {
        const result = await main.call('test_error_handling');
        assert.equal(result.isError, true);
        assert.deepEqual(result.content, [
            { type: 'text', text: 'This tool intentionally returns an error for testing' },
        ]);
    }],
    ['an unknown tool is refused', ({ main }) => refused(main.call('no_such_tool'), INVALID_PARAMS)],
    ['three progress notifications before the result', async ({ main, revision }) => {
        const seen = [];
        const from = main.journal.length;
        const result = await main.call('test_tool_with_progress', {}, { onprogress: step => seen.push(step) });
        const steps = [0, 50, 100].map(progress => (
            { progress, total: 100, message: `Completed step ${progress} of 100` }));
        if (revision === OVER_SSE) {
            // The SDK of the second generation tells a handler nothing of what comes in one piece with the result.
            const received = main.journal.since(from, entry => entry.received).map(entry => entry.received);
            const said = received.map(({ result, params }) => (result ? 'result' : params.progress));
            assert.deepEqual(said, [0, 50, 100, 'result']);
            assert.deepEqual(seen, steps.slice(0, seen.length));
        } else {
            assert.deepEqual(seen, steps);
        }
        onlyText(result);
    }],
    ['twenty calls at once, each with its own answer', async ({ main }) => {
        const uris = Array.from({ length: 20 }, (_, n) => `test://template/${n}/data`);
        const answers = await Promise.all(uris.map(uri => main.client.readResource({ uri })));
        assert.deepEqual(answers.map(({ contents }) => contents[0].uri), uris);
    }],
    ['a call is cancelled while it runs, and nothing comes of it', async ({ main }) => {
        // The tool takes a tenth of a second, and on a busy machine its result may be faster than the cancellation.
        let results;
        for (let attempt = 0; attempt < 10 && results?.length !== 0; attempt += 1) {
            const from = main.journal.length;
            const abort = new AbortController();
            const cancelled = main.call('test_tool_with_progress', {}, {
                onprogress: () => abort.abort('enough'),
                signal: abort.signal,
            });
            await assert.rejects(cancelled);
            const { sent } = main.journal.since(from).find(entry => entry.sent?.method === 'tools/call');
            // A whole second run, longer than what was left of the first one.
            await main.call('test_tool_with_progress', {}, { onprogress: () => {} });
            results = main.journal.since(from, ({ received }) => received?.id === sent.id && received.result);
        }
        assert.deepEqual(results, []);
    }],
    ...Object.entries(RESOURCES).map(([uri, contents]) => [`reads ${uri}`, async ({ main }) => {
        assert.deepEqual((await main.client.readResource({ uri })).contents, [contents]);
    }]),
    ['an unknown resource is refused', async ({ main, era }) => {
        const code = await main.codeOfUnreadable('test://nothing-here');
        assert.equal(code, era === 'legacy' ? RESOURCE_NOT_FOUND : INVALID_PARAMS);
    }],
    ...PROMPTS.map(([name, args, contents]) => [`gets ${name}`, async ({ main }) => {
        const { messages } = await main.client.getPrompt({ name, ...(args && { arguments: args }) });
        assert.deepEqual(messages, contents.map(content => ({ role: 'user', content })));
    }]),
    ['an unknown prompt is refused', ({ main }) => refused(
        main.client.getPrompt({ name: 'no_such_prompt' }), INVALID_PARAMS,
    )],
    ['completes an argument', async ({ main }) => {
        const { completion } = await main.client.complete({
            ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
            argument: { name: 'arg1', value: 'test' },
        });
        assert.deepEqual(completion.values, []);
    }],
    ['listens for changes', ({ main }) => main.listen({ uris: [WATCHED] })],
    ...LIST_CHANGES.map(([topic, trigger, method]) => [`is told when a tool changes the ${topic}`, async ({ main }) => {
        const from = main.journal.length;
        await main.call(trigger);
        await main.told(method, { from });
    }]),
    ...LIST_CHANGES.map(([topic, , method]) => [`is told when a publisher changes the ${topic}`, async ({ main, admin }) => {
        const from = main.journal.length;
        await publish(admin, [{ topic }]);
        await main.told(method, { from });
    }]),
    ['is told when a tool updates a watched resource', async ({ main }) => {
        const from = main.journal.length;
        await main.call('test_trigger_resource_update', { uri: WATCHED });
        await main.told(RESOURCE_UPDATED, { from, uri: WATCHED });
    }],
    ['is told when a publisher updates a watched resource, and of nothing it did not ask for', async ({ main, admin }) => {
        const from = main.journal.length;
        await publish(admin, [{ uri: 'test://static-text' }, { uri: WATCHED }, { topic: 'tools' }]);
        await main.told(RESOURCE_UPDATED, { from, uri: WATCHED });
        await main.told('notifications/tools/list_changed', { from });
        const others = main.journal.since(from, ({ told, params }) => told === RESOURCE_UPDATED && params.uri !== WATCHED);
        assert.deepEqual(others, []);
    }],
    ['another client hears of the same change', async ({ main, open }) => {
        const other = await open();
        try {
            await other.listen({ uris: [WATCHED] });
            const [mine, theirs] = [main.journal.length, other.journal.length];
            await other.call('test_trigger_resource_update', { uri: WATCHED });
            await Promise.all([
                main.told(RESOURCE_UPDATED, { from: mine, uri: WATCHED }),
                other.told(RESOURCE_UPDATED, { from: theirs, uri: WATCHED }),
            ]);
        } finally {
            await other.close();
        }
    }],
];

const elicited = [
    ['an elicitation is accepted', async ({ main }) => {
        const content = { username: 'ada', email: 'ada@example.org' };
        let asked;
        main.answer('elicitation/create', ({ params }) => {
            asked = params;
            return { action: 'accept', content };
        });
        const text = onlyText(await main.call('test_elicitation', { message: 'Who are you?' }));
        assert.equal(asked.message, 'Who are you?');
        assert.deepEqual(Object.keys(asked.requestedSchema.properties).sort(), ['email', 'username']);
        const [, action, json] = text.match(/^User response: action=(\w+), content=(.*)$/);
        assert.equal(action, 'accept');
        assert.deepEqual(JSON.parse(json), content);
    }],
    ['an elicitation is declined', async ({ main }) => {
        main.answer('elicitation/create', () => ({ action: 'decline' }));
        const text = onlyText(await main.call('test_elicitation', { message: 'Who are you?' }));
        assert.match(text, /^User response: action=decline,/);
    }],
    ['a call is cancelled while it waits for an answer, which may come late', async ({ main }) => {
        const abort = new AbortController();
        let answerLate;
        main.answer('elicitation/create', () => new Promise(resolve => {
            answerLate = () => resolve({ action: 'cancel' });
            abort.abort('enough');
        }));
        await assert.rejects(main.call('test_elicitation', { message: 'Never mind' }, { signal: abort.signal }));
        answerLate();
        await main.client.ping();
        onlyText(await main.call('test_simple_text'));
    }],
    ['a client that cannot be asked is not asked', async ({ open }) => {
        const mute = await open({ capabilities: {} });
        try {
            const outcome = await mute.call('test_elicitation', { message: 'Anyone?' }).catch(error => error);
            assert.ok(outcome instanceof Error || outcome.isError, JSON.stringify(outcome));
            assert.deepEqual(mute.journal.since(0, ({ received }) => received?.method === 'elicitation/create'), []);
        } finally {
            await mute.close();
        }
    }],
];

/** What there is of streams and sessions in the transports since 2025-03-26, and not over HTTP+SSE. */
const streamable = [
    // The SDK comes back to every stream that ended without a result. What it must not do is looked for when the same
    // happened to later ones, each of which takes it a second.
    ['a stream that is over is asked for once', async ({ open }) => {
        const brief = await open();
        await brief.standaloneStream();
        const isOver = from => isTold405(brief, from);
        const cancelled = () => cancelledCall(brief);
        const delivered = async () => {
            let seen;
            await brief.call('test_tool_with_logging', {}, { onresumptiontoken: token => (seen = token) });
            const from = brief.journal.length;
            const stop = new AbortController();
            const options = { resumptionToken: seen, signal: stop.signal };
            const again = assert.rejects(brief.call('test_tool_with_logging', {}, options));
            await isOver(from);
            stop.abort();
            await again;
        };
        for (const call of [delivered, cancelled, delivered, cancelled, cancelled]) await call();
        assert.deepEqual(getsOf(brief), [200, 405, 405, 405, 405, 405]);
        await brief.close();
    }],
    ['GETs of one session leave each other in peace', async ({ open, admin }) => {
        const brief = await open();
        await brief.standaloneStream();
        for (let more = 0; more < 2; more += 1) await brief.transport.resumeStream(undefined);
        // The first one ended, and is back.
        await brief.journal.find(() => getsOf(brief).length === 4, 'a fourth GET');
        for (let seconds = 0; seconds < 3; seconds += 1) await cancelledCall(brief);
        assert.deepEqual(getsOf(brief), [200, 200, 200, 200, 405, 405, 405]);
        const from = brief.journal.length;
        await publish(admin, [{ topic: 'prompts' }]);
        await brief.told('notifications/prompts/list_changed', { from });
        await cancelledCall(brief);
        const told = brief.journal.since(from, ({ told }) => told === 'notifications/prompts/list_changed');
        assert.equal(told.length, 1);
        await brief.close();
    }],
    ['a session that was ended is 404', async ({ open, url, revision }) => {
        const brief = await open();
        await brief.standaloneStream();
        await brief.transport.terminateSession();
        const headers = {
            'mcp-session-id': brief.sessionId,
            'mcp-protocol-version': revision,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
        };
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
        assert.equal((await fetch(url, { method: 'POST', headers, body })).status, 404);
        assert.equal((await fetch(url, { headers: { ...headers, accept: 'text/event-stream' } })).status, 404);
        await brief.close();
    }],
];

/** What HTTP+SSE has instead. */
const overSse = [
    ['a session ends with its stream', async ({ open }) => {
        const brief = await open();
        const [{ url: messages }] = brief.journal.since(0, ({ http }) => http === 'POST');
        await brief.close();
        const headers = { 'content-type': 'application/json' };
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
        // The end of its connection may come after this.
        for (let status = 202; status !== 404;) {
            ({ status } = await fetch(messages, { method: 'POST', headers, body }));
            assert.ok([202, 404].includes(status), String(status));
        }
    }],
];

function legacy({ revision }) {
    const isOverSse = revision === OVER_SSE;
    return [
        ['pings', async ({ main }) => assert.deepEqual(await main.client.ping(), {})],
        ['log messages come before the result', async ({ main }) => {
            await main.client.setLoggingLevel('debug');
            const from = main.journal.length;
            await main.call('test_tool_with_logging');
            assert.deepEqual(
                main.journal.since(from, ({ told }) => told === 'notifications/message').map(({ params }) => params.data),
                ['Tool execution started', 'Tool processing data', 'Tool execution completed'],
            );
        }],
        ['log messages below the level that was set do not come', async ({ main }) => {
            await main.client.setLoggingLevel('error');
            const from = main.journal.length;
            await main.call('test_tool_with_logging');
            assert.deepEqual(main.journal.since(from, ({ told }) => told === 'notifications/message'), []);
        }],
        ['the server samples', async ({ main }) => {
            let asked;
            main.answer('sampling/createMessage', ({ params }) => {
                asked = params;
                return { role: 'assistant', model: 'm', content: { type: 'text', text: 'forty-two' } };
            });
            assert.equal(onlyText(await main.call('test_sampling', { prompt: 'Answer?' })), 'LLM response: forty-two');
            assert.deepEqual(asked.messages, [{ role: 'user', content: { type: 'text', text: 'Answer?' } }]);
            assert.equal(asked.maxTokens, 100);
        }],
        // Elicitation came with 2025-06-18.
        ...(isOverSse || revision === '2025-03-26' ? [] : elicited),
        // The server ends the response stream early from 2025-11-25 on; older clients must see nothing of that.
        ['a result survives the end of its stream', async ({ main }) => {
            assert.equal(onlyText(await main.call('test_reconnection')), RECONNECTION_TEXT);
        }],
        ['hears no more of a resource after unsubscribing', async ({ main, admin }) => {
            await main.unlisten(WATCHED);
            const from = main.journal.length;
            await publish(admin, [{ uri: WATCHED }, { topic: 'prompts' }]);
            await main.told('notifications/prompts/list_changed', { from });
            assert.deepEqual(main.journal.since(from, ({ told }) => told === RESOURCE_UPDATED), []);
        }],
        ...(isOverSse ? overSse : streamable),
    ];
}

const getsOf = ({ journal }) => journal.since(0, ({ http }) => http === 'GET').map(({ status }) => status);

function isTold405({ journal }, from) {
    return journal.find(({ http, status }) => http === 'GET' && status === 405, 'the end of a stream', { from });
}

/** A call that is cancelled while it waits for the client, and the SDK's way back to it a second later. */
async function cancelledCall(connection) {
    const from = connection.journal.length;
    const stop = new AbortController();
    connection.answer('sampling/createMessage', () => new Promise(() => stop.abort()));
    await assert.rejects(connection.call('test_sampling', { prompt: 'Answer?' }, { signal: stop.signal }));
    await isTold405(connection, from);
}

const greeting = { role: 'assistant', model: 'm', content: { type: 'text', text: 'Paris' } };
const roots = [{ uri: 'file:///srv/fold', name: 'fold' }];

const modern = [
    ['the listen stream honours what was asked', ({ main }) => {
        assert.deepEqual(main.honored, {
            toolsListChanged: true,
            promptsListChanged: true,
            resourcesListChanged: true,
            resourceSubscriptions: [WATCHED],
        });
    }],
    ['log messages come if this request asks for them', async ({ main }) => {
        const from = main.journal.length;
        onlyText(await main.call('test_logging_tool', {}, {}, { [LOG_LEVEL]: 'debug' }));
        assert.notEqual(main.journal.since(from, ({ told }) => told === 'notifications/message').length, 0);
    }],
    ['log messages do not come unasked', async ({ main }) => {
        const from = main.journal.length;
        assert.equal(onlyText(await main.call('test_logging_tool')), 'Logging evaluated');
        assert.deepEqual(main.journal.since(from, ({ told }) => told === 'notifications/message'), []);
    }],
    ['an argument travels in a header too', async ({ main }) => {
        for (const region of ['eu-west', ' two words ', 'Zürich']) {
            assert.ok(onlyText(await main.call('test_x_mcp_header', { region })).includes(region), region);
        }
    }],
    ['a tool asks for input', async ({ main }) => {
        main.answer('elicitation/create', ({ params }) => {
            assert.equal(params.message, 'What is your name?');
            return { action: 'accept', content: { name: 'Ada' } };
        });
        assert.equal(onlyText(await main.call('test_input_required_result_elicitation')), 'Hello, Ada!');
    }],
    ['a tool samples', async ({ main }) => {
        main.answer('sampling/createMessage', () => greeting);
        assert.match(onlyText(await main.call('test_input_required_result_sampling')), /Paris/);
    }],
    ['a tool asks for the roots', async ({ main }) => {
        main.answer('roots/list', () => ({ roots }));
        assert.match(onlyText(await main.call('test_input_required_result_list_roots')), /fold/);
    }],
    ['a tool asks three things at once', async ({ main }) => {
        onlyText(await main.call('test_input_required_result_multiple_inputs'));
    }],
    ['a tool\'s state goes to the client and back', async ({ main }) => {
        main.answer('elicitation/create', () => ({ action: 'accept', content: { ok: true } }));
        assert.match(onlyText(await main.call('test_input_required_result_request_state')), /state-ok/);
    }],
    ['a tool asks twice, one after the other', async ({ main }) => {
        const asked = [];
        main.answer('elicitation/create', ({ params }) => {
            asked.push(params.message);
            return { action: 'accept', content: { name: 'Ada', color: 'green' } };
        });
        onlyText(await main.call('test_input_required_result_multi_round'));
        assert.deepEqual(asked, ['Step 1: What is your name?', 'Step 2: What is your favorite color?']);
    }],
    ['a prompt asks for input', async ({ main }) => {
        main.answer('elicitation/create', () => ({ action: 'accept', content: { context: 'sheep' } }));
        const { messages } = await main.client.getPrompt({ name: 'test_input_required_result_prompt' });
        assert.equal(messages[0].content.text, 'Prompt with context: sheep');
    }],
    ['hears no more after the listen stream is closed, and can listen again', async ({ main, admin }) => {
        await main.unlisten(WATCHED);
        const from = main.journal.length;
        await publish(admin, [{ uri: WATCHED }]);
        await main.listen({ lists: true });
        await publish(admin, [{ topic: 'tools' }]);
        await main.told('notifications/tools/list_changed', { from });
        assert.deepEqual(main.journal.since(from, ({ told }) => told === RESOURCE_UPDATED), []);
    }],
];
