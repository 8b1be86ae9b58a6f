// What `pinfold serve --app conformance` answers, word by word.

export const PNG =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
export const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
export const WATCHED = 'test://watched-resource';

const text = text => ({ type: 'text', text });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };

/** Tools that take no arguments, and their whole content. */
export const CONTENTS = {
    test_simple_text: [text('This is a simple text response for testing.')],
    test_image_content: [image],
    test_audio_content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
    test_embedded_resource: [
        {
            type: 'resource',
            resource: {
                uri: 'test://embedded-resource',
                mimeType: 'text/plain',
                text: 'This is an embedded resource content.',
            },
        },
    ],
    test_multiple_content_types: [
        text('Multiple content types test:'),
        image,
        {
            type: 'resource',
            resource: {
                uri: 'test://mixed-content-resource',
                mimeType: 'application/json',
                text: '{"test":"data","value":123}',
            },
        },
    ],
};

/** Resources by URI: what reading them gives. */
export const RESOURCES = {
    'test://static-text': {
        uri: 'test://static-text',
        mimeType: 'text/plain',
        text: 'This is the content of the static text resource.',
    },
    'test://static-binary': { uri: 'test://static-binary', mimeType: 'image/png', blob: PNG },
    [WATCHED]: { uri: WATCHED, mimeType: 'text/plain', text: 'Watched resource content' },
    'test://template/123/data': {
        uri: 'test://template/123/data',
        mimeType: 'application/json',
        text: '{"id":"123","templateTest":true,"data":"Data for ID: 123"}',
    },
};

/** Prompts: name, arguments, messages. */
export const PROMPTS = [
    ['test_simple_prompt', undefined, [text('This is a simple prompt for testing.')]],
    [
        'test_prompt_with_arguments',
        { arg1: 'hello', arg2: 'world' },
        [text("Prompt with arguments: arg1='hello', arg2='world'")],
    ],
    [
        'test_prompt_with_embedded_resource',
        { resourceUri: 'test://example' },
        [
            {
                type: 'resource',
                resource: {
                    uri: 'test://example',
                    mimeType: 'text/plain',
                    text: 'Embedded resource content for testing.',
                },
            },
            text('Please process the embedded resource above.'),
        ],
    ],
    ['test_prompt_with_image', undefined, [image, text('Please analyze the image above.')]],
];

/** A tool or a call that announces a change, and the notification it is worth. */
export const LIST_CHANGES = [
    ['tools', 'test_trigger_tool_change', 'notifications/tools/list_changed'],
    ['prompts', 'test_trigger_prompt_change', 'notifications/prompts/list_changed'],
    ['resources', 'test_trigger_resource_list_change', 'notifications/resources/list_changed'],
];

export const RECONNECTION_TEXT =
    'Reconnection test completed successfully. If you received this, the client properly reconnected after stream closure.';
