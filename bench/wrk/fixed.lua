-- The `ping` request, to a server that answers everything alike.
require 'common'

function init()
    prepare('{"jsonrpc":"2.0","id":ID,"method":"ping"}')
end

function right(status, headers, body)
    return status == 200 and body == '{"jsonrpc":"2.0","id":1,"result":{}}'
end
