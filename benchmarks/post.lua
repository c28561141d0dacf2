-- Posts GraphQL requests in turn. Arguments: a file of lines "token<TAB>body", and, where requests
-- are to be paced instead of sent at once, the mean pause between two on a connection, in ms.
local requests = {}
local turn = 0

function init(args)
  for line in io.lines(args[1]) do
    local token, body = line:match("^(.-)\t(.*)$")
    local headers = { ["content-type"] = "application/json" }
    if token ~= "" then headers["authorization"] = "Bearer " .. token end
    requests[#requests + 1] = wrk.format("POST", "/graphql", headers, body)
  end
  -- Wherever the run before this one ended, begin elsewhere: all of the file gets its turn.
  math.randomseed(os.time())
  turn = math.random(0, #requests - 1)
  if args[2] then
    local pause = tonumber(args[2])
    delay = function() return math.random(math.floor(pause / 2), math.floor(pause * 1.5)) end
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, "longest": %d, '
      .. '"refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(99), latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
