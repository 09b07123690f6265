-- Script for wrk with one connection per thread: each thread runs rounds of requests, one request after the other.
-- The script chooses the keys and ids of the workspaces, so that it need not read the responses. Environment:
--   MODE     single: 20 creates on one lock; multiple: one create_multiple on 20 locks; workspaces: only new workspaces
--   RUN      a number that no other run on this server has
--   OUT      file to which the result is appended, as a line of JSON
local mode, run = os.getenv("MODE") or "single", tonumber(os.getenv("RUN") or "0")
local threads, all = 0, {}

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
  table.insert(all, thread)
end

local codes = 20
local round, at = 0, 0
-- Not local, because `done` reads them from each thread.
rounds, refused, first_refusal = 0, 0, ""
local key, locks, requests

local function post(path, body, api_key)
  local headers = { ["Content-Type"] = "application/json" }
  if api_key then headers["Authorization"] = "Bearer " .. api_key end
  return wrk.format("POST", path, headers, body)
end

-- The requests of one round: create a workspace and 20 codes, advance to their start and end, delete the workspace.
local function begin()
  round = round + 1
  local mark = string.format("%06x%04x%06x", run % 0x1000000, number, round)
  key = "seam_testbench" .. mark
  locks = {}
  for place = 1, mode == "multiple" and codes or 1 do
    locks[place] = string.format("%s-%s-4%s-8000-%04x%s", mark:sub(1, 8), mark:sub(9, 12), mark:sub(13, 15),
      place, mark:sub(9, 16))
  end
  local specs = {}
  for place, id in ipairs(locks) do
    specs[place] = string.format('{"device_type":"august_lock","device_id":"%s"}', id)
  end
  local ttl = mode == "workspaces" and '"ttl":"PT30S",' or ""
  requests = { post("/_emulator/workspaces/create", string.format(
    '{%s"api_key":"%s","clock":{"held_at":"2026-03-02T12:00:00Z"},"locks":[%s]}', ttl, key, table.concat(specs, ","))) }
  if mode == "workspaces" then return end
  local window = '"starts_at":"2026-03-10T15:00:00Z","ends_at":"2026-03-12T11:00:00Z"'
  if mode == "multiple" then
    requests[2] = post("/access_codes/create_multiple",
      string.format('{"device_ids":["%s"],%s}', table.concat(locks, '","'), window), key)
  else
    for code = 1, codes do
      table.insert(requests, post("/access_codes/create",
        string.format('{"device_id":"%s","name":"guest %d",%s}', locks[1], code, window), key))
    end
  end
  table.insert(requests, post("/_emulator/clock/advance", '{"to":"2026-03-10T15:00:00Z"}', key))
  table.insert(requests, post("/_emulator/clock/advance", '{"to":"2026-03-13T00:00:00Z"}', key))
  table.insert(requests, post("/_emulator/workspaces/delete", "{}", key))
end

local looked

request = function()
  if number == 0 and not looked then
    -- wrk calls this function once in its first thread without sending the request.
    looked = true
    begin()
    return requests[1]
  end
  at = at + 1
  if not requests or at > #requests then
    begin()
    at = 1
  end
  return requests[at]
end

response = function(status, _, body)
  if status ~= 200 then
    refused = refused + 1
    first_refusal = first_refusal == "" and body:sub(1, 300) or first_refusal
  end
  -- wrk may call `request` before or after `response`. The last request of a round is counted in both cases.
  if requests and at == #requests then rounds = rounds + 1 end
end

function done(summary, latency)
  local total, wrong, example = 0, 0, ""
  for _, thread in ipairs(all) do
    total = total + thread:get("rounds")
    wrong = wrong + thread:get("refused")
    if thread:get("first_refusal") ~= "" then example = thread:get("first_refusal") end
  end
  local errors = summary.errors
  local failed = wrong + errors.connect + errors.read + errors.write + errors.timeout
  local seconds = summary.duration / 1e6
  local line = string.format(
    '{"mode":"%s","connections":%d,"seconds":%.2f,"rounds":%d,"rounds_per_s":%.1f,"requests_per_s":%.0f,'
      .. '"request_p50_ms":%.3f,"request_p99_ms":%.3f,"failed":%d}',
    mode, threads, seconds, total, total / seconds, summary.requests / seconds,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed)
  print(line)
  if failed > 0 then print("a request failed: " .. example) end
  local out = os.getenv("OUT")
  if out and out ~= "" then
    local file = assert(io.open(out, "a"))
    file:write(line, "\n")
    file:close()
  end
end
