-- The guarded write: everything that one flush saves of one partition number, or nothing.
--
-- KEYS[1] is the partition's meta hash; operations name keys by position.
-- ARGV: the token the memory was built on, the new token,
--       n, then n times (field of the vector, value it was built on; '' for absent),
--       m, then m times (meta field, new value),
--       then operations: code, key position, number of arguments, arguments.
-- Answers {'OK', seq, values of incremented fields, ids left in trimmed lists}, {'DONE'} if this very write
-- was applied before (its answer was lost), or {'REFUSED', what differs}.
--
-- Lua has no rollback: everything is checked before the first write, and the vector is written last.

local META = KEYS[1]
local SLICE_MAX = 4000

-- What each operation does, and the type its key must have.
local TYPE_OF = {
  H = 'hash',   -- HSET field value ...
  I = 'hash',   -- HINCRBY field amount ..., answers the new values
  D = 'hash',   -- HDEL field ...
  A = 'string', -- APPEND bytes
  R = 'list',   -- RPUSH id ...
  N = 'hash',   -- field, value, day's list: keeps the lowest value; files a new field under its day
  T = 'list',   -- hash, prefix, limit: deletes the records that a day's list names, if they have the prefix
  Z = 'zset',   -- ZADD seq member ...
  X = 'zset',   -- ZREM member ...
  U = false,    -- UNLINK
}
-- How many arguments; one or more where nothing is said.
local ARGUMENTS_OF = { H = 'pairs', I = 'pairs', A = 1, N = 3, T = 3, U = 0 }

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
  -- Two of these never add up to more than HINCRBY can hold.
  return #text <= 18 and string.match(text, '^-?%d+$') ~= nil
end

local function check_type(key, wanted)
  local found = key and redis.call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    return tostring(key) .. ' is a ' .. tostring(found) .. ', not a ' .. wanted
  end
end

local function check_amounts(key, from, to)
  for i = from, to, 2 do
    local value = redis.call('HGET', key, ARGV[i])
    if (value and not is_amount(value)) or not is_amount(ARGV[i + 1]) then
      return 'field ' .. ARGV[i] .. ' of ' .. key .. ' is no amount'
    end
  end
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
  local wrong = wanted and check_type(key, wanted)
  if wrong then
    return wrong
  elseif code == 'I' then
    return check_amounts(key, from, to)
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
  local wrong = check_operation(ARGV[at], KEYS[tonumber(ARGV[at + 1])], from, to)
  if wrong then
    return redis.error_reply('MALFORMED ' .. wrong)
  end
  at = to + 1
end

local seq = redis.call('HINCRBY', META, 'seq', 1)
local increments, left = {}, {}

-- A number from Redis arrives as a double; beyond 2^53 only the stored text is exact.
local function exact(number, key, field)
  if number > -9007199254740992 and number < 9007199254740992 then
    return string.format('%.0f', number)
  end
  return redis.call('HGET', key, field)
end

local function keep_lowest(key, field, value, list)
  local before = redis.call('HGET', key, field)
  if not before then
    redis.call('RPUSH', list, field)
  end
  if not before or tonumber(value) < tonumber(before) then
    redis.call('HSET', key, field, value)
  end
end

local function trim(list, hash, prefix, limit)
  for _, id in ipairs(redis.call('LPOP', list, limit) or {}) do
    local record = redis.call('HGET', hash, id)
    if record and string.sub(record, 1, #prefix) == prefix then
      redis.call('HDEL', hash, id)
    end
  end
  left[#left + 1] = redis.call('LLEN', list)
end

local RUN = {
  H = function(key, from, to) redis.call('HSET', key, unpack(ARGV, from, to)) end,
  I = function(key, from, to)
    for i = from, to, 2 do
      increments[#increments + 1] = exact(redis.call('HINCRBY', key, ARGV[i], ARGV[i + 1]), key, ARGV[i])
    end
  end,
  D = function(key, from, to) redis.call('HDEL', key, unpack(ARGV, from, to)) end,
  A = function(key, from) redis.call('APPEND', key, ARGV[from]) end,
  R = function(key, from, to) redis.call('RPUSH', key, unpack(ARGV, from, to)) end,
  N = function(key, from) keep_lowest(key, ARGV[from], ARGV[from + 1], KEYS[tonumber(ARGV[from + 2])]) end,
  T = function(key, from) trim(key, KEYS[tonumber(ARGV[from])], ARGV[from + 1], ARGV[from + 2]) end,
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
return {'OK', tostring(seq), increments, left}
