-- The guarded write: everything that one flush saves of one partition number, or nothing.
--
-- KEYS[1] is the partition's meta hash; operations name keys by position.
-- ARGV[1] is an array in MessagePack, since Redis and its client pay for every argument; of it:
--       the token the memory was built on, the new token,
--       n, then n times (field of the vector, value it was built on; '' for absent),
--       m, then m times (meta field, new value),
--       then operations: code, key position, number of arguments, arguments.
-- Answers {'OK', seq, values of incremented fields, ids left in trimmed lists, names left in swept indexes},
-- {'DONE'} if this very write was applied before (its answer was lost), or {'REFUSED', what differs}.
--
-- Lua has no rollback: everything is checked before the first write, and the vector is written last. A write
-- names a field at most once, so each is checked against what is stored.

local ARGV = cmsgpack.unpack(ARGV[1])
local META = KEYS[1]
-- What all keys of the partition begin with: keys that are not named in KEYS may be made of this only.
local ROOT = string.match(META, '^(.*:)meta$')
local SLICE_MAX = 4000
-- Amounts are signed integers of 64 bits, as HINCRBY keeps them (but for the one that has no negative).
local AMOUNT_MAX = '9223372036854775807'
local HIGH_MAX, LOW_MAX = 9223, 372036854775807
-- A sketch: a header with its encoding in the fifth byte, then 16 384 registers of 6 bits, or runs of them.
local SKETCH_HEADER, DENSE, SPARSE, DENSE_LENGTH = 16, 0, 1, 12304

-- What each operation does, and the type its key must have.
local TYPE_OF = {
  H = 'hash',   -- HSET field value ...
  I = 'hash',   -- field amount ...: adds to fields, answers the new values
  M = 'hash',   -- field amount ...: raises fields to this where they are lower or absent
  D = 'hash',   -- HDEL field ...
  A = 'string', -- APPEND bytes
  R = 'list',   -- RPUSH id ...
  L = 'list',   -- bytes, most: notes what this write changed before the others, behind its number; so many stay
  N = 'hash',   -- field, time in ms, day's list, days: keeps the lowest time, but for one so many days back;
                -- files a new time under its day
  T = 'list',   -- hash, prefix, limit: deletes the records that a day's list names, if they have the prefix;
                -- without a prefix those whose time is not past the list's day
  P = 'string', -- PFADD member ..., on a sketch
  S = 'set',    -- SADD name ...
  E = 'set',    -- zset, member, prefix, suffix, limit: takes names off an index and unlinks the key
                -- prefix..name..suffix of each; an empty index takes the member off the zset
  Z = 'zset',   -- ZADD seq member ...
  X = 'zset',   -- ZREM member ...
  U = false,    -- UNLINK
}
-- How many arguments; one or more where nothing is said.
local ARGUMENTS_OF = { H = 'pairs', I = 'pairs', M = 'pairs', A = 1, L = 2, N = 4, T = 3, E = 5, U = 0 }

local stored_token = redis.call('HGET', META, 'token') or ''
if stored_token == ARGV[2] then
  return {'DONE'}
end
if stored_token ~= ARGV[1] then
  return {'REFUSED', 'token'}
end

local at = 3
local guards = tonumber(ARGV[at])
at = at + 1
for _ = 1, guards do
  if (redis.call('HGET', META, ARGV[at]) or '') ~= ARGV[at + 1] then
    return {'REFUSED', ARGV[at]}
  end
  at = at + 2
end

local meta_from = at + 1
local meta_to = at + 2 * tonumber(ARGV[at])
local first_operation = meta_to + 1

local function is_amount(text)
  -- As HINCRBY wants them: no other spelling of a number.
  local digits = text == '0' and text or string.match(text, '^-?([1-9]%d*)$')
  return digits ~= nil and (#digits < #AMOUNT_MAX or (#digits == #AMOUNT_MAX and digits <= AMOUNT_MAX))
end

local function is_negative(amount)
  return string.sub(amount, 1, 1) == '-'
end

-- Amounts are compared and added by their digits: a Lua number is a double.
local function is_less(a, b)
  if is_negative(a) ~= is_negative(b) then
    return is_negative(a)
  elseif is_negative(a) then
    a, b = b, a
  end
  return #a < #b or (#a == #b and a < b)
end

local function halves(amount)
  local digits = string.gsub(amount, '-', '')
  return tonumber(string.sub(digits, 1, -16)) or 0, tonumber(string.sub(digits, -15))
end

local function is_sum_amount(a, b)
  if is_negative(a) ~= is_negative(b) or (#a < #AMOUNT_MAX and #b < #AMOUNT_MAX) then
    return true
  end
  local high_a, low_a = halves(a)
  local high_b, low_b = halves(b)
  local high, low = high_a + high_b, low_a + low_b
  if low >= 1e15 then
    high, low = high + 1, low - 1e15
  end
  return high < HIGH_MAX or (high == HIGH_MAX and low <= LOW_MAX)
end

local function check_type(key, wanted)
  local found = key and redis.call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    return tostring(key) .. ' is a ' .. tostring(found) .. ', not a ' .. wanted
  end
end

-- By the place of an operation's first field: what its fields hold, false for one that is absent. Read once,
-- since every call of Redis costs more than what it does.
local STORED = {}

local function check_amounts(key, from, to, are_added)
  local fields = {}
  for i = from, to, 2 do
    fields[#fields + 1] = ARGV[i]
  end
  STORED[from] = redis.call('HMGET', key, unpack(fields))
  for n, field in ipairs(fields) do
    local value, amount = STORED[from][n] or '0', ARGV[from + 2 * n - 1]
    if not is_amount(value) or not is_amount(amount) then
      return 'field ' .. field .. ' of ' .. key .. ' is no amount'
    elseif are_added and not is_sum_amount(value, amount) then
      return field .. ' of ' .. key .. ': ' .. value .. ' + ' .. amount, 'TOOLARGE'
    end
  end
end

-- PFADD fails on a string that is no sketch. What only a look at every byte would find (a sparse one that is
-- broken within) fails later: so sketches stand first in a write, where no sum was changed yet.
local function check_sketch(key)
  local found = redis.call('TYPE', key).ok
  if found == 'none' then
    return nil -- most sketches are new: they cost one look
  elseif found ~= 'string' then
    return key .. ' is a ' .. found .. ', not a string'
  end
  local header = redis.call('GETRANGE', key, 0, SKETCH_HEADER - 1)
  local encoding = string.byte(header, 5)
  local is_sketch = #header == SKETCH_HEADER and string.sub(header, 1, 4) == 'HYLL'
    and (encoding == SPARSE or (encoding == DENSE and redis.call('STRLEN', key) == DENSE_LENGTH))
  if not is_sketch then
    return key .. ' is no sketch'
  end
end

local function check_sweep(from)
  local key, prefix, limit = KEYS[tonumber(ARGV[from])], ARGV[from + 2], tonumber(ARGV[from + 4])
  if not ROOT or string.sub(prefix, 1, #ROOT) ~= ROOT then
    return 'a sweep of ' .. prefix .. ' leaves the keys of the partition'
  elseif not limit or limit < 1 or limit > SLICE_MAX or limit % 1 ~= 0 then
    return 'a sweep of ' .. ARGV[from + 4] .. ' names'
  end
  return check_type(key, 'zset')
end

local function takes(code, count)
  local wanted = ARGUMENTS_OF[code] or 'some'
  if wanted == 'pairs' then
    return count > 0 and count % 2 == 0
  end
  return count == wanted or (wanted == 'some' and count > 0)
end

local function check_operation(code, key, from, to)
  local wanted = TYPE_OF[code]
  local count = to - from + 1
  if wanted == nil or not key or to > #ARGV or count > SLICE_MAX or not takes(code, count) then
    return 'malformed operation ' .. tostring(code)
  end
  if code == 'P' then
    return check_sketch(key)
  end
  local wrong = wanted and check_type(key, wanted)
  if wrong then
    return wrong
  elseif code == 'I' or code == 'M' then
    return check_amounts(key, from, to, code == 'I')
  elseif code == 'E' then
    return check_sweep(from)
  elseif code == 'N' then
    return check_type(KEYS[tonumber(ARGV[from + 2])], 'list') or check_amounts(key, from, from + 1)
  elseif code == 'T' then
    return check_type(KEYS[tonumber(ARGV[from])], 'hash')
  end
end

local stored_seq = redis.call('HGET', META, 'seq')
if stored_seq and not is_amount(stored_seq) then
  return redis.error_reply('MALFORMED field seq of ' .. META .. ' is no number')
end

at = first_operation
while at <= #ARGV do
  local from = at + 3
  local to = from + tonumber(ARGV[at + 2]) - 1
  local wrong, why = check_operation(ARGV[at], KEYS[tonumber(ARGV[at + 1])], from, to)
  if wrong then
    return redis.error_reply((why or 'MALFORMED') .. ' ' .. wrong)
  end
  at = to + 1
end

local seq = redis.call('HINCRBY', META, 'seq', 1)
local increments, left, swept = {}, {}, {}

-- What was stored, and is no longer than 15 characters, is far below 2^53: a double is exact. Beyond that
-- Redis adds, whose own answer would arrive as a double.
local function add(key, from, to)
  local pairs_of = {}
  for i = from, to, 2 do
    local value, amount = STORED[from][(i - from) / 2 + 1] or '0', ARGV[i + 1]
    if #value <= 15 and #amount <= 15 then
      value = string.format('%.0f', tonumber(value) + tonumber(amount))
      pairs_of[#pairs_of + 1] = ARGV[i]
      pairs_of[#pairs_of + 1] = value
    else
      redis.call('HINCRBY', key, ARGV[i], amount)
      value = redis.call('HGET', key, ARGV[i])
    end
    increments[#increments + 1] = value
  end
  if #pairs_of > 0 then
    redis.call('HSET', key, unpack(pairs_of))
  end
end

local function day_of(time_ms)
  return math.floor(tonumber(time_ms) / 86400000)
end

local function keep_lowest(key, field, value, list, days)
  local before = redis.call('HGET', key, field)
  local is_new = not before or day_of(value) - day_of(before) >= tonumber(days)
  if is_new then
    redis.call('RPUSH', list, field)
  end
  if is_new or is_less(value, before) then
    redis.call('HSET', key, field, value)
  end
end

local function raise(key, from, to)
  for i = from, to, 2 do
    local before = STORED[from][(i - from) / 2 + 1]
    if not before or is_less(before, ARGV[i + 1]) then
      redis.call('HSET', key, ARGV[i], ARGV[i + 1])
    end
  end
end

local function trim(list, hash, prefix, limit)
  local day = tonumber(string.match(list, ':(%-?%d+)$'))
  for _, id in ipairs(redis.call('LPOP', list, limit) or {}) do
    local record = redis.call('HGET', hash, id)
    local is_due = record and string.sub(record, 1, #prefix) == prefix
    if is_due and (prefix ~= '' or day_of(record) <= day) then
      redis.call('HDEL', hash, id)
    end
  end
  left[#left + 1] = redis.call('LLEN', list)
end

local function sweep(index, zset, member, prefix, suffix, limit)
  local keys = {}
  for at, name in ipairs(redis.call('SPOP', index, limit)) do
    keys[at] = prefix .. name .. suffix
  end
  if #keys > 0 then
    redis.call('UNLINK', unpack(keys))
  end
  local names = redis.call('SCARD', index)
  if names == 0 then
    redis.call('ZREM', zset, member)
  end
  swept[#swept + 1] = names
end

local RUN = {
  H = function(key, from, to) redis.call('HSET', key, unpack(ARGV, from, to)) end,
  I = add,
  M = raise,
  D = function(key, from, to) redis.call('HDEL', key, unpack(ARGV, from, to)) end,
  A = function(key, from) redis.call('APPEND', key, ARGV[from]) end,
  R = function(key, from, to) redis.call('RPUSH', key, unpack(ARGV, from, to)) end,
  L = function(key, from)
    redis.call('LPUSH', key, string.format('%.0f ', seq) .. ARGV[from])
    redis.call('LTRIM', key, 0, ARGV[from + 1] - 1)
  end,
  N = function(key, from)
    keep_lowest(key, ARGV[from], ARGV[from + 1], KEYS[tonumber(ARGV[from + 2])], ARGV[from + 3])
  end,
  T = function(key, from) trim(key, KEYS[tonumber(ARGV[from])], ARGV[from + 1], ARGV[from + 2]) end,
  P = function(key, from, to) redis.call('PFADD', key, unpack(ARGV, from, to)) end,
  S = function(key, from, to) redis.call('SADD', key, unpack(ARGV, from, to)) end,
  E = function(key, from) sweep(key, KEYS[tonumber(ARGV[from])], unpack(ARGV, from + 1, from + 4)) end,
  Z = function(key, from, to)
    for i = from, to do
      redis.call('ZADD', key, seq, ARGV[i])
    end
  end,
  X = function(key, from, to) redis.call('ZREM', key, unpack(ARGV, from, to)) end,
  U = function(key) redis.call('UNLINK', key) end,
}

at = first_operation
while at <= #ARGV do
  local from = at + 3
  local to = from + tonumber(ARGV[at + 2]) - 1
  RUN[ARGV[at]](KEYS[tonumber(ARGV[at + 1])], from, to)
  at = to + 1
end

redis.call('HSET', META, 'token', ARGV[2], unpack(ARGV, meta_from, meta_to))
return {'OK', tostring(seq), increments, left, swept}
