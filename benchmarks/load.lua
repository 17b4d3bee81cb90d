-- Sends the requests of a file in random order; each line is method, target and body, split by tabs.
-- Arguments: the file, a token, a seed, and "keys" when each request carries a key of its own.
local requests, headers, keyed, seed, sent = {}, {}, false, 0, 0

function init(args)
  headers["Authorization"] = "Bearer " .. args[2]
  headers["Content-Type"] = "application/json"
  seed, keyed = tonumber(args[3]), args[4] == "keys"
  math.randomseed(seed)
  for line in io.lines(args[1]) do
    local method, target, body = line:match("^(%S+)\t(%S+)\t(.*)$")
    if body == "" then body = nil end
    if keyed then
      requests[#requests + 1] = { method, target, body }
    else
      requests[#requests + 1] = wrk.format(method, target, headers, body)
    end
  end
end

function request()
  local chosen = requests[math.random(#requests)]
  if not keyed then return chosen end
  sent = sent + 1
  headers["Idempotency-Key"] = seed .. "-" .. sent
  return wrk.format(chosen[1], chosen[2], headers, chosen[3])
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %f %f\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
