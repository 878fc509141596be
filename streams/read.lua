-- One consistent view of one partition number: its meta, and sums over the hashes that a reader asks for.
-- KEYS: the meta hash, then the hashes, group after group.
-- ARGV, per group: how many hashes, how many fields (0: every field of each hash), the fields.
-- Reply: {meta as a flat list, per group a flat list of field, amount, ...}; a field may come more than
-- once, absent fields don't come at all: the reader adds up what comes.
--
-- Numbers here are doubles, exact below 2^53 only. So what is longer than 15 digits goes out as it is
-- stored, and a subtotal goes out before it could leave that range.
local SUBTOTAL_MAX = 4000000000000000
local DIGITS_MAX = 15

local function add(sums, out, field, amount)
  if #amount > DIGITS_MAX then
    out[#out + 1] = field
    out[#out + 1] = amount
    return
  end
  local sum = (sums[field] or 0) + tonumber(amount)
  if sum > SUBTOTAL_MAX or sum < -SUBTOTAL_MAX then
    out[#out + 1] = field
    out[#out + 1] = string.format('%.0f', sum)
    sum = nil
  end
  sums[field] = sum
end

local function add_hash(sums, out, key, fields)
  if #fields == 0 then
    local found = redis.call('HGETALL', key)
    for at = 1, #found, 2 do
      add(sums, out, found[at], found[at + 1])
    end
    return
  end
  local found = redis.call('HMGET', key, unpack(fields))
  for at = 1, #fields do
    if found[at] then
      add(sums, out, fields[at], found[at])
    end
  end
end

local reply = {redis.call('HGETALL', KEYS[1])}
local key, arg = 2, 1
while arg <= #ARGV do
  local hashes, count = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local fields = {unpack(ARGV, arg + 2, arg + 1 + count)}
  arg = arg + 2 + count
  local sums, out = {}, {}
  for at = key, key + hashes - 1 do
    add_hash(sums, out, KEYS[at], fields)
  end
  key = key + hashes
  for field, sum in pairs(sums) do
    out[#out + 1] = field
    out[#out + 1] = string.format('%.0f', sum)
  end
  reply[#reply + 1] = out
end
return reply
