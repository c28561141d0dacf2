-- Posts GraphQL requests in turn. Arguments: a file of lines "token<TAB>body", and, where requests
-- are to be paced instead of sent at once, the mean pause between two on a connection, in ms.
-- A refresh token is valid for one request: a body that holds one is sent with the token of the
-- answer that came first, and left out while all of them are in use.
local requests = {}
local turn = 0
local refresh_tokens = {}
local threads = {}
-- Of this thread; `done` reads it, so it is global.
failed = 0

local function headers_for(token)
  local headers = { ["content-type"] = "application/json" }
  if token ~= "" then headers["authorization"] = "Bearer " .. token end
  return headers
end

local function refresh_of(token, body)
  local before, first, after = body:match('^(.-"refreshToken": ")([^"]+)(".*)$')
  if not first then return nil end
  table.insert(refresh_tokens, first)
  return function()
    local next_token = table.remove(refresh_tokens, 1)
    return next_token and wrk.format("POST", "/graphql", headers_for(token), before .. next_token .. after)
  end
end

local function learn(_, _, body)
  if not body:find('"refreshSession"', 1, true) then return end
  local token = body:match('"refreshToken":"([^"]+)"')
  if token then table.insert(refresh_tokens, token) else failed = failed + 1 end
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  for line in io.lines(args[1]) do
    local token, body = line:match("^(.-)\t(.*)$")
    local refresh = refresh_of(token, body)
    local request = refresh or wrk.format("POST", "/graphql", headers_for(token), body)
    requests[#requests + 1] = request
  end
  -- Reading answers takes time of the load: only where it is needed.
  if #refresh_tokens > 0 then response = learn end
  -- Wherever the run before this one ended, begin elsewhere: all of the file gets its turn.
  math.randomseed(os.time())
  turn = math.random(0, #requests - 1)
  if args[2] then
    local pause = tonumber(args[2])
    delay = function() return math.random(math.floor(pause / 2), math.floor(pause * 1.5)) end
  end
end

function request()
  repeat
    turn = turn % #requests + 1
    local following = requests[turn]
    if type(following) == "function" then following = following() end
    if following then return following end
  until false
end

function done(summary, latency)
  local errors = summary.errors
  local refused = errors.status
  for _, thread in ipairs(threads) do refused = refused + thread:get("failed") end
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, "longest": %d, '
      .. '"refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50),
    latency:percentile(99), latency.max, refused,
    errors.connect + errors.read + errors.write + errors.timeout))
end
