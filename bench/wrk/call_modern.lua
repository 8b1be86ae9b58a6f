-- `tools/call` of 2026-07-28, which has no sessions.
require 'common'

function init()
    wrk.headers['MCP-Protocol-Version'] = '2026-07-28'
    wrk.headers['Mcp-Method'] = 'tools/call'
    wrk.headers['Mcp-Name'] = 'test_simple_text'
    prepare('{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"name":"test_simple_text","arguments":{},'
        .. '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        .. '"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},'
        .. '"io.modelcontextprotocol/clientCapabilities":{}}}}')
end

function right(status, headers, body)
    return status == 200 and body:find('"text":"This is a simple text response for testing."', 1, true)
        and has_its_id(body) and body:find('"resultType":"complete"', 1, true)
        and not body:find('"isError":true', 1, true)
end
