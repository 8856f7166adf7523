"""What a Valkey or Redis server does for the store in one step: scripts, each atomic.

A video is one hash: `e` the epoch under which it was taken over or stored, `t` when, `h` its head, `s` its
state, `f` how many frames are folded into it, `a<n>` and `k<n>` the answer to its n-th fold and the frame
that it answers, `w` and `q` the worker that wrote it and the number of that write. A session is a hash, too:
`e` the epoch that owns it, which is the fence for all its videos, and `g` its newest video.

KEYS begin with the video, its session, and the index of all videos that can be gone on with, by the time when
they were stored. What needs memory is written before anything is deleted: a server that has none left
refuses a script at its first such write, and then nothing of it has happened.
"""

#: ARGV: epoch, time, lifetime in ms, name in the index, the time before which a video was quiet for too long,
#: the epoch until which all owners are known, those that are known after it. Gives the epoch that owns it, or
#: "" and the hash.
TAKE_OVER = """
local owner = redis.call('HGET', KEYS[2], 'e')
local known = not owner or owner == ARGV[1] or tonumber(owner) <= tonumber(ARGV[6])
for number = 7, #ARGV do known = known or owner == ARGV[number] end
if not known or (owner and tonumber(owner) > tonumber(ARGV[1])) then return {owner} end
local before = redis.call('HMGET', KEYS[1], 'e', 't')
local alive = before[2] and tonumber(before[2]) >= tonumber(ARGV[5])
local found = alive and redis.call('HGETALL', KEYS[1]) or {}
-- A server that takes no writes still tells what it has: what was found counts as before.
if owner ~= ARGV[1] then
  redis.pcall('HSET', KEYS[2], 'e', ARGV[1])
  redis.pcall('PEXPIRE', KEYS[2], ARGV[3])
end
if alive and before[1] ~= ARGV[1] then
  redis.pcall('HSET', KEYS[1], 'e', ARGV[1], 't', ARGV[2])
  redis.pcall('PEXPIRE', KEYS[1], ARGV[3])
  redis.pcall('ZADD', KEYS[3], ARGV[2], ARGV[4])
  redis.pcall('PEXPIRE', KEYS[3], ARGV[3])
end
return {'', found}
"""

#: KEYS may end with the index of the videos from one origin. ARGV: epoch, time, lifetime in ms, name in the
#: index, writer, number of its write, frames folded, answers kept, generation, head, state, answer, frame.
#: Gives the higher epoch, or "" and how many videos there are.
COMMIT = """
local owner = redis.call('HGET', KEYS[2], 'e')
if owner and tonumber(owner) > tonumber(ARGV[1]) then return {owner} end
local before = redis.call('HMGET', KEYS[1], 'f', 'w', 'q')
local folded = tonumber(ARGV[7])
local late = before[2] == ARGV[5] and tonumber(before[3]) >= tonumber(ARGV[6])
if not late then
  local answer, frame = 'a' .. ARGV[7], 'k' .. ARGV[7]
  local gone = {}
  if before[1] and tonumber(before[1]) + 1 ~= folded then -- of another line of frames
    for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
      if string.find(name, '^[ak]%d') and name ~= answer and name ~= frame then gone[#gone + 1] = name end
    end
  elseif folded > tonumber(ARGV[8]) then
    local oldest = string.format('%d', folded - tonumber(ARGV[8]))
    gone = {'a' .. oldest, 'k' .. oldest}
  end
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 't', ARGV[2], 'w', ARGV[5], 'q', ARGV[6], 'f', ARGV[7],
    'h', ARGV[10], 's', ARGV[11], answer, ARGV[12], frame, ARGV[13])
  redis.call('HSET', KEYS[2], 'e', ARGV[1], 'g', ARGV[9])
  for number, key in ipairs(KEYS) do
    if number > 2 then redis.call('ZADD', key, ARGV[2], ARGV[4]) end
    redis.call('PEXPIRE', key, ARGV[3])
  end
  if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
end
return {'', redis.call('ZCARD', KEYS[3])}
"""

#: ARGV: epoch, name in the index, generation. Leaves the session's epoch. Gives what `COMMIT` gives.
DROP = """
local known = redis.call('HMGET', KEYS[2], 'e', 'g')
if known[1] and tonumber(known[1]) > tonumber(ARGV[1]) then return {known[1]} end
redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[2])
if known[2] == ARGV[3] then redis.call('HDEL', KEYS[2], 'g') end
return {'', redis.call('ZCARD', KEYS[3])}
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
