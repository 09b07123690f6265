-- Script for wrk: runs one scenario and writes one JSON line at the end. Environment:
--   STATE     the file written by prep.mjs or fake.mjs
--   SCENARIO  health | get | list | create | create_multiple | update
--   PIN_BASE  first PIN of this run; each request uses the next number
--   CELL      JSON fields (without braces) to copy into the line
--   OUT       file to which the line is appended; if empty, nothing is written
local state = dofile(os.getenv("STATE"))
local scenario = os.getenv("SCENARIO")
local pin = tonumber(os.getenv("PIN_BASE") or "0")
local devices = state.devices
local headers = {
  ["Authorization"] = "Bearer " .. state.api_key,
  ["Content-Type"] = "application/json",
}

local function post(path, body) return wrk.format("POST", path, headers, body) end

local fixed, gets
local at = 0

local scenarios = {
  health = function() return fixed end,
  list = function() return fixed end,
  get = function()
    -- Steps by a prime number, so that consecutive requests do not read neighbouring rows.
    at = (at + 7919) % #gets
    return gets[at + 1]
  end,
  create = function()
    pin = pin + 1
    return post("/access_codes/create", string.format(
      '{"device_id":"%s","name":"bench %d","code":"%d"}', devices[pin % #devices + 1], pin, pin))
  end,
  create_multiple = function()
    pin = pin + 1
    -- Uses a different pair each time: with two fixed locks, the requests would wait for the same two row locks.
    local first = pin * 2 % #devices
    return post("/access_codes/create_multiple", string.format(
      '{"device_ids":["%s","%s"],"name":"bench %d","code":"%d"}',
      devices[first + 1], devices[(first + 1) % #devices + 1], pin, pin))
  end,
  update = function()
    -- Changes one property of one code per request: the name, the PIN and the time frame in turn. Steps by a prime
    -- number, so that no code is changed again before its lock has confirmed the last change.
    pin = pin + 1
    at = (at + 7919) % #state.ids
    local change = ({
      string.format('"name":"bench %d"', pin),
      string.format('"code":"%d"', pin),
      string.format('"starts_at":"2026-01-01T00:00:00Z","ends_at":"2036-01-01T00:%02d:%02dZ"', pin / 60 % 60, pin % 60),
    })[pin % 3 + 1]
    return post("/access_codes/update", string.format('{"access_code_id":"%s",%s}', state.ids[at + 1], change))
  end,
}

request = scenarios[scenario]

function init()
  -- Built here and not above, because wrk.format needs the host, which wrk sets directly before init.
  if scenario == "health" then
    fixed = wrk.format("GET", "/health")
  elseif scenario == "list" then
    fixed = post("/access_codes/list", '{"device_id":"' .. state.list_device .. '"}')
  elseif scenario == "get" then
    gets = {}
    for i, id in ipairs(state.ids) do
      gets[i] = post("/access_codes/get", '{"access_code_id":"' .. id .. '"}')
    end
  end
end

function done(summary, latency)
  local out = os.getenv("OUT")
  if not out or out == "" then return end
  local seconds = summary.duration / 1e6
  local errors = summary.errors
  local file = assert(io.open(out, "a"))
  file:write(string.format(
    '{%s,"seconds":%.2f,"requests":%d,"rps":%.1f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,'
      .. '"bytes_each":%d,"non_2xx":%d,"socket_errors":%d}\n',
    os.getenv("CELL"), seconds, summary.requests, summary.requests / seconds,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    summary.bytes / math.max(1, summary.requests), errors.status, errors.connect + errors.read + errors.write + errors.timeout))
  file:close()
end
