-- One consistent view of one partition number: its meta, what changed, and what a reader asks for.
-- KEYS: the meta hash, the marks of writes, then the keys of the groups.
-- ARGV[1]: number of the write up to which the reader knows what Redis holds, '' for none.
-- ARGV[2] is an array in MessagePack, since Redis and its client pay for every argument; of it, per group:
-- what it wants, how many keys, how many fields, the fields:
--   'H' hashes, each for itself (no fields: every field of each): per key a flat list of the field's place
--       among those asked for, from 0 (no fields: the field), amount, ...; absent fields don't come at all;
--   'R' fields of one hash as they are stored, in order, nil for one that is absent;
--   'C' the estimated number of members of the union of sketches; one that is absent is empty.
-- Reply: {meta as a flat list, marks of the writes after that one, the last first, per group its answer}.
-- Amounts go out as they are stored: numbers here are doubles.

local since = ARGV[1]
local ARGV = cmsgpack.unpack(ARGV[2])

local function places(key, fields)
  local found, out = redis.call('HMGET', key, unpack(fields)), {}
  for at = 1, #fields do
    if found[at] then
      out[#out + 1] = at - 1
      out[#out + 1] = found[at]
    end
  end
  return out
end

local ANSWER = {
  H = function(keys, fields)
    local out = {}
    for at, key in ipairs(keys) do
      out[at] = #fields == 0 and redis.call('HGETALL', key) or places(key, fields)
    end
    return out
  end,
  R = function(keys, fields) return redis.call('HMGET', keys[1], unpack(fields)) end,
  C = function(keys) return #keys > 0 and redis.call('PFCOUNT', unpack(keys)) or 0 end,
}

local function slice(list, from, count)
  local part = {}
  for at = from, from + count - 1 do
    part[#part + 1] = list[at]
  end
  return part
end

local writes = since == '' and 0 or (tonumber(redis.call('HGET', KEYS[1], 'seq')) or 0) - since
local reply = {redis.call('HGETALL', KEYS[1]), writes > 0 and redis.call('LRANGE', KEYS[2], 0, writes - 1) or {}}
local key, arg = 3, 1
while arg <= #ARGV do
  local keys, fields = ARGV[arg + 1], ARGV[arg + 2]
  reply[#reply + 1] = ANSWER[ARGV[arg]](slice(KEYS, key, keys), slice(ARGV, arg + 3, fields))
  key, arg = key + keys, arg + 3 + fields
end
return reply
