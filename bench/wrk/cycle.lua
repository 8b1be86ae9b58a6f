-- `initialize`, then DELETE of the session that it opened, by whichever connection is free next.
require 'common'

local initialize
local opened = {}

function init()
    initialize = wrk.format(nil, nil, nil,
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
            .. '"clientInfo":{"name":"bench","version":"1"}}}')
end

function request()
    local id = table.remove(opened)
    if id == nil then return initialize end
    local fields = { Host = wrk.headers['Host'], ['Mcp-Session-Id'] = id, ['MCP-Protocol-Version'] = '2025-11-25' }
    return wrk.format('DELETE', nil, fields, '')
end

function right(status, headers, body)
    if body:find('"protocolVersion":"2025-11-25"', 1, true) then
        local id = headers['Mcp-Session-Id'] or headers['mcp-session-id']
        opened[#opened + 1] = id
        return status == 200 and id ~= nil
    end
    return (status == 200 or status == 202 or status == 204) and body == ''
end
