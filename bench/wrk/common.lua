-- What all scripts share: requests are made beforehand, and the last line of the output is the run as JSON.
--
-- With CHECK=1 every answer is checked, which costs wrk more than asking does: it makes a table of each answer's fields.
-- So what is timed runs without, and wrk alone looks at each status. A checked run has one connection on each thread: Lua
-- is not told whose answer it gets, but of a thread with one connection it can only be that of what was asked last. So
-- each answer must have the id of its request.
--
-- A script defines `right(status, headers, body)` and, but for the one that makes its requests as it goes, calls
-- `prepare(body)` in its `init`. SESSIONS in the environment are ids of sessions, separated by spaces; the threads, of
-- which there are THREADS, divide them among themselves, or share them if there are more threads. TOKEN is an access token
-- that all requests show, if there is one.

CHECK = os.getenv('CHECK') == '1'

local threads = {}

function setup(thread)
    local all, share = {}, {}
    for id in (os.getenv('SESSIONS') or ''):gmatch('%S+') do all[#all + 1] = id end
    for index = #threads % math.max(#all, 1) + 1, #all, tonumber(os.getenv('THREADS')) do
        share[#share + 1] = all[index]
    end
    thread:set('sessions', share)
    thread:set('number', #threads)
    threads[#threads + 1] = thread
end

wrk.method = 'POST'
wrk.headers['Accept'] = 'application/json, text/event-stream'
wrk.headers['Content-Type'] = 'application/json'
local token = os.getenv('TOKEN')
if token then wrk.headers['Authorization'] = 'Bearer ' .. token end

-- So many that no two of one id are under way at once, which JSON-RPC forbids in a session, even if one waits long.
local VARIANTS = 1024
local requests, turn = {}, 0

-- Always six digits, and different on each thread.
local function id_of(variant) return 100000 + number * VARIANTS + variant end

-- `ID` in the body becomes the request's id. Each request goes to the next session.
function prepare(body)
    for variant = 1, VARIANTS do
        if #sessions > 0 then
            wrk.headers['MCP-Protocol-Version'] = '2025-11-25'
            wrk.headers['Mcp-Session-Id'] = sessions[variant % #sessions + 1]
        end
        requests[variant] = wrk.format(nil, nil, nil, (body:gsub('ID', id_of(variant))))
    end
end

function request()
    turn = turn % VARIANTS + 1
    return requests[turn]
end

-- The answer is to what this thread asked last.
function has_its_id(body)
    return tonumber(body:match('"id":(%d+)')) == id_of(turn)
end

wrong, sample = 0, ''

function check(status, headers, body)
    if right(status, headers, body) then return end
    wrong = wrong + 1
    if sample == '' then sample = status .. ' ' .. body:sub(1, 200) end
end

-- wrk makes those tables if there is a function of this name.
if CHECK then response = check end

function done(summary, latency)
    local errors = summary.errors
    local count, first = 0, ''
    for _, thread in ipairs(threads) do
        count = count + thread:get('wrong')
        if first == '' then first = thread:get('sample') end
    end
    if not response then count = errors.status end
    local text = first:gsub('[^%w %p]', ' '):gsub('[\\"]', '\\%0')
    io.write(string.format(
        '\n{"requests":%d,"duration_us":%d,"wrong":%d,"broken":%d,"timeouts":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"sample":"%s"}\n',
        summary.requests, summary.duration, count, errors.connect + errors.read + errors.write, errors.timeout,
        latency:percentile(50), latency:percentile(99), latency.max, text))
end
