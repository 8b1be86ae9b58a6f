-- The `ping` request, to a server that answers everything with a greeting.
require 'common'

function init()
    prepare('{"jsonrpc":"2.0","id":ID,"method":"ping"}')
end

function right(status, headers, body)
    return status == 200 and body == 'hello'
end
