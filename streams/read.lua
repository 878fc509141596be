-- One consistent view of one partition number: its meta, and what a reader asks for, group after group.
-- KEYS: the meta hash, then the keys of the groups.
-- ARGV[1] is an array in MessagePack, since Redis and its client pay for every argument; of it, per group:
-- what it wants, how many keys, how many fields, the fields:
--   'S' sums over hashes (no fields: every field of each), a flat list of field, amount, ...;
--       a field may come more than once, absent fields don't come at all: the reader puts together what comes;
--   'R' fields of one hash as they are stored, in order, nil for one that is absent;
--   'C' the estimated number of members of the union of sketches; one that is absent is empty.
-- Reply: {meta as a flat list, per group its answer}.

local ARGV = cmsgpack.unpack(ARGV[1])
-- Numbers here are doubles, exact below 2^53 only. So what is longer than 15 digits goes out as it is
-- stored, and a subtotal goes out before it could leave that range.
local SUBTOTAL_MAX = 4000000000000000
local DIGITS_MAX = 15
-- Fields whose highest value is wanted, not their sum.
local HIGHEST = 'max.'

local function add(sums, out, key, field, amount)
  if #amount > DIGITS_MAX then
    out[#out + 1] = field
    out[#out + 1] = amount
    return
  end
  local number, before = tonumber(amount), sums[field]
  if not number then
    error({err = 'MALFORMED field ' .. field .. ' of ' .. key .. ' is no amount'})
  elseif not before then
    sums[field] = number
  elseif string.sub(field, 1, #HIGHEST) == HIGHEST then
    sums[field] = math.max(before, number)
  elseif math.abs(before + number) > SUBTOTAL_MAX then
    out[#out + 1] = field
    out[#out + 1] = string.format('%.0f', before + number)
    sums[field] = nil
  else
    sums[field] = before + number
  end
end

local function add_hash(sums, out, key, fields)
  if #fields == 0 then
    local found = redis.call('HGETALL', key)
    for at = 1, #found, 2 do
      add(sums, out, key, found[at], found[at + 1])
    end
    return
  end
  local found = redis.call('HMGET', key, unpack(fields))
  for at = 1, #fields do
    if found[at] then
      add(sums, out, key, fields[at], found[at])
    end
  end
end

local ANSWER = {
  S = function(keys, fields)
    local sums, out = {}, {}
    for _, key in ipairs(keys) do
      add_hash(sums, out, key, fields)
    end
    for field, sum in pairs(sums) do
      out[#out + 1] = field
      out[#out + 1] = string.format('%.0f', sum)
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

local reply = {redis.call('HGETALL', KEYS[1])}
local key, arg = 2, 1
while arg <= #ARGV do
  local keys, fields = ARGV[arg + 1], ARGV[arg + 2]
  reply[#reply + 1] = ANSWER[ARGV[arg]](slice(KEYS, key, keys), slice(ARGV, arg + 3, fields))
  key, arg = key + keys, arg + 3 + fields
end
return reply
