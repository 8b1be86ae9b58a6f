-- `ping`, in a session where there are sessions.
require 'common'

function init()
    prepare('{"jsonrpc":"2.0","id":ID,"method":"ping"}')
end

-- Servers differ in the order of the members.
function right(status, headers, body)
    return status == 200 and body:find('"result":{}', 1, true) and has_its_id(body)
end
