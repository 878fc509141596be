-- Commands on keys of one slot, done as one: what MULTI does, for a cluster's client that cannot.
-- KEYS: of each command its key. ARGV[1]: an array in MessagePack of {command, arguments behind the key ...}.
-- Answers what each command answers, in order; an error of one of them with its key, and does no more.
local answers = {}
for at, command in ipairs(cmsgpack.unpack(ARGV[1])) do
  local answer = redis.pcall(command[1], KEYS[at], unpack(command, 2))
  if type(answer) == 'table' and answer.err then
    return redis.error_reply(answer.err .. ' (' .. KEYS[at] .. ')')
  end
  answers[at] = answer
end
return answers
