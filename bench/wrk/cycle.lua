-- `initialize`, then DELETE of the session that it opened, by whichever connection is free next.
--
-- The session's id is in the answer, so this one looks at all of them also while it is timed.
require 'common'

response = check

local INITIALIZE, DELETE = 'initialize', 'DELETE'
local initialize, asked
local opened = {}

function init()
    initialize = wrk.format(nil, nil, nil,
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
            .. '"clientInfo":{"name":"bench","version":"1"}}}')
end

function request()
    local id = table.remove(opened)
    asked = id and DELETE or INITIALIZE
    if id == nil then return initialize end
    local fields = { Host = wrk.headers['Host'], ['Mcp-Session-Id'] = id, ['MCP-Protocol-Version'] = '2025-11-25' }
    return wrk.format('DELETE', nil, fields, '')
end

function right(status, headers, body)
    local answered = body:find('"protocolVersion":"2025-11-25"', 1, true) and INITIALIZE or DELETE
    if CHECK and answered ~= asked then return false end
    if answered == INITIALIZE then
        local id = headers['Mcp-Session-Id'] or headers['mcp-session-id']
        opened[#opened + 1] = id
        return status == 200 and id ~= nil and body:find('"id":1%D')
    end
    return (status == 200 or status == 202 or status == 204) and body == ''
end
