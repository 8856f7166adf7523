"""What a Valkey or Redis server does for the store in one step: scripts, each atomic.

A video is one hash: `e` the epoch that owns it, `t` when it was stored, `h` its head, `s` its state, `f` how
many frames are folded into it, `a<n>` and `k<n>` the answer to its n-th fold and the frame that it answers,
`w` and `q` the worker that wrote it and the number of that write. A video that was dropped, or that
somebody owns and nobody has stored yet, has nothing but its epoch, which fences as well.

KEYS are the video and the index of all videos that can be gone on with, by the time when they were stored.
What needs memory is written before anything is deleted: a server that has none left refuses a script at its
first such write, and then nothing of it has happened.
"""

#: ARGV: epoch, time, lifetime in ms, name in the index, the time before which a video was quiet for too long.
#: Gives the higher epoch, or "" and the hash.
TAKE_OVER = """
local owner = redis.call('HGET', KEYS[1], 'e')
local epoch = tonumber(ARGV[1])
if owner and tonumber(owner) > epoch then return {owner} end
local stored = redis.call('HGET', KEYS[1], 't')
local alive = stored and tonumber(stored) >= tonumber(ARGV[5])
local found = alive and redis.call('HGETALL', KEYS[1]) or {}
if owner and tonumber(owner) == epoch then return {'', found} end
-- A server that takes no writes still tells what it has: what was found counts as before.
redis.pcall('HSET', KEYS[1], 'e', ARGV[1])
redis.pcall('PEXPIRE', KEYS[1], ARGV[3])
if alive then
  redis.pcall('HSET', KEYS[1], 't', ARGV[2])
  redis.pcall('ZADD', KEYS[2], ARGV[2], ARGV[4])
  redis.pcall('PEXPIRE', KEYS[2], ARGV[3])
end
return {'', found}
"""

#: ARGV: epoch, time, lifetime in ms, name in the index, writer, number of its write, frames folded, answers
#: kept, head, state, answer, frame. Gives the higher epoch, or "" and how many videos there are.
COMMIT = """
local before = redis.call('HMGET', KEYS[1], 'e', 'f', 'w', 'q')
if before[1] and tonumber(before[1]) > tonumber(ARGV[1]) then return {before[1]} end
local folded = tonumber(ARGV[7])
local late = before[3] == ARGV[5] and tonumber(before[4]) >= tonumber(ARGV[6])
if not late then
  local answer, frame = 'a' .. ARGV[7], 'k' .. ARGV[7]
  local gone = {}
  if before[2] and tonumber(before[2]) + 1 ~= folded then -- of another line of frames
    for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
      if string.find(name, '^[ak]%d') and name ~= answer and name ~= frame then gone[#gone + 1] = name end
    end
  elseif folded > tonumber(ARGV[8]) then
    local oldest = string.format('%d', folded - tonumber(ARGV[8]))
    gone = {'a' .. oldest, 'k' .. oldest}
  end
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 't', ARGV[2], 'w', ARGV[5], 'q', ARGV[6], 'f', ARGV[7],
    'h', ARGV[9], 's', ARGV[10], answer, ARGV[11], frame, ARGV[12])
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[4])
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return {'', redis.call('ZCARD', KEYS[2])}
"""

#: ARGV: epoch, lifetime in ms, name in the index. Leaves the epoch. Gives what `COMMIT` gives.
DROP = """
local owner = redis.call('HGET', KEYS[1], 'e')
if owner then
  if tonumber(owner) > tonumber(ARGV[1]) then return {owner} end
  local gone = {}
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if name ~= 'e' then gone[#gone + 1] = name end
  end
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
redis.call('ZREM', KEYS[2], ARGV[3])
return {'', redis.call('ZCARD', KEYS[2])}
"""

#: KEYS: the index. ARGV: the time before which a video was quiet for too long, what video keys begin with,
#: how many go at the most. Gives how many videos are left.
SWEEP = """
local quiet = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[3])
for _, name in ipairs(quiet) do
  redis.call('UNLINK', ARGV[2] .. name)
  redis.call('ZREM', KEYS[1], name)
end
return redis.call('ZCARD', KEYS[1])
"""
