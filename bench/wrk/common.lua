-- What all scripts share: requests are made beforehand, every answer is checked, and the last line of the output is the
-- run as JSON.
--
-- A script defines `right(status, headers, body)` and, but for the one that makes its requests as it goes, calls
-- `prepare(body)` in its `init`. SESSIONS in the environment are ids of sessions, separated by spaces; the threads, of
-- which there are THREADS, divide them among themselves.

local threads = {}

function setup(thread)
    local share, index = {}, 0
    for id in (os.getenv('SESSIONS') or ''):gmatch('%S+') do
        if index % tonumber(os.getenv('THREADS')) == #threads then share[#share + 1] = id end
        index = index + 1
    end
    thread:set('sessions', share)
    threads[#threads + 1] = thread
end

wrk.method = 'POST'
wrk.headers['Accept'] = 'application/json, text/event-stream'
wrk.headers['Content-Type'] = 'application/json'

-- So many that no two of one id are under way at once, which JSON-RPC forbids in a session, even if one waits long.
local VARIANTS = 1024
local requests, turn = {}, 0

-- `ID` in the body becomes the request's id, always of four digits. Each request goes to the next session.
function prepare(body)
    for variant = 1, VARIANTS do
        if #sessions > 0 then
            wrk.headers['MCP-Protocol-Version'] = '2025-11-25'
            wrk.headers['Mcp-Session-Id'] = sessions[variant % #sessions + 1]
        end
        requests[variant] = wrk.format(nil, nil, nil, (body:gsub('ID', 1000 + variant)))
    end
end

function request()
    turn = turn % VARIANTS + 1
    return requests[turn]
end

wrong, sample = 0, ''

function response(status, headers, body)
    if right(status, headers, body) then return end
    wrong = wrong + 1
    if sample == '' then sample = status .. ' ' .. body:sub(1, 200) end
end

function done(summary, latency)
    local count, first = 0, ''
    for _, thread in ipairs(threads) do
        count = count + thread:get('wrong')
        if first == '' then first = thread:get('sample') end
    end
    local errors = summary.errors
    local text = first:gsub('[^%w %p]', ' '):gsub('[\\"]', '\\%0')
    io.write(string.format(
        '\n{"requests":%d,"duration_us":%d,"wrong":%d,"broken":%d,"timeouts":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"sample":"%s"}\n',
        summary.requests, summary.duration, count, errors.connect + errors.read + errors.write, errors.timeout,
        latency:percentile(50), latency:percentile(99), latency.max, text))
end
