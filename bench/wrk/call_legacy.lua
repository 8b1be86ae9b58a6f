-- `tools/call` in a session.
require 'common'

function init()
    prepare('{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"test_simple_text","arguments":{}}}')
end

function right(status, headers, body)
    return status == 200 and body:find('"text":"This is a simple text response for testing."', 1, true)
        and has_its_id(body) and not body:find('"isError":true', 1, true)
end
