package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// takeSource is the generic cell rate algorithm. A bucket is one number: when it will be full again, in
// microseconds of the server's clock. Each event moves that by step, the time in which one comes back, and a
// bucket of a given burst is empty when it is full again burst steps from now, which is most. Lua's numbers
// are exact up to 2^53; microseconds will reach that in the year 2255, and steps sees to it that most does not.
//
// All buckets are read before any is written, so that all are taken from or none. One that stands twice in a
// call is taken from twice. A time further away than most was written before the clock was put back, or under
// a rate with a longer burst; it counts as empty and is written so at once, refused or not, so that nobody waits for
// longer than a clock that is right would have him wait.
const takeSource = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full, late, wait, short = {}, {}, 0, 0
local function keep(times)
	for key, at in pairs(times) do
		redis.call('SET', key, string.format('%.0f', at), 'PX', string.format('%.0f', math.ceil((at - now) / 1000)))
	end
end
for i, key in ipairs(KEYS) do
	local step, most = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
	local at = full[key] or tonumber(redis.call('GET', key) or now)
	if not at then
		return redis.error_reply('ERR a count is no number')
	end
	if at > now + most and not full[key] then
		late[key] = now + most
	end
	at = math.min(math.max(at, now), now + most) + step
	full[key] = at
	if at - now - most > wait then
		wait, short = at - now - most, i - 1
	end
end
if wait > 0 then
	keep(late)
	return {wait, short}
end
keep(full)
return {0, 0}
`

var takeScript = redis.NewScript(takeSource)

const (
	maxEvents  = 1_000_000_000
	minPer     = 100 * time.Nanosecond // as mcpauth takes them
	maxPer     = 366 * 24 * time.Hour
	maxBuckets = 1 << 10
	maxMost    = 5e15 // microseconds, 158 years: with the present time it stays below 2^53
)

// Take takes one event from each bucket or none from any, as [mcpauth.LimitStore] wants it, in one script by the
// clock of the server. Rates are kept in whole microseconds, rounded so that never more is given: more than a
// million in a second counts as a million, and a Burst that takes longer than 158 years to come back is cut to
// that. When go-redis sends the script again because an answer was lost, the event is taken twice. A failure
// is an error; [mcpauth.Limits].Open says what it means.
func (s *Store) Take(ctx context.Context, group [32]byte, buckets []mcpauth.LimitBucket) (wait time.Duration, short int, err error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer cancel()
	if len(buckets) == 0 {
		return 0, 0, nil
	}
	if len(buckets) > maxBuckets {
		return 0, 0, fmt.Errorf("redisstore: limits: %d buckets in one call are more than %d", len(buckets), maxBuckets)
	}
	keys, args := make([]string, len(buckets)), make([]any, 0, 2*len(buckets))
	for i, b := range buckets {
		step, most, err := steps(b.Rate)
		if err != nil {
			return 0, 0, err
		}
		keys[i] = s.bucketKey(group, b.Key)
		args = append(args, step, most)
	}
	said, err := takeScript.Run(ctx, s.client, keys, args...).Int64Slice()
	if err != nil {
		return 0, 0, s.failed(ctx, "limits", err)
	}
	if len(said) != 2 || said[0] < 0 || said[1] < 0 || said[1] >= int64(len(buckets)) {
		return 0, 0, errors.New("redisstore: limits: Redis answered with no time, or with a bucket that was not asked for")
	}
	return time.Duration(said[0]) * time.Microsecond, int(said[1]), nil
}

// steps turns a rate into the microseconds in which one event comes back, rounded up, and those in which all do.
func steps(r mcpauth.Rate) (step, most int64, err error) {
	burst := r.Burst
	if burst == 0 {
		burst = r.Events
	}
	if r.Events < 1 || r.Events > maxEvents || r.Per < minPer || r.Per > maxPer || burst < 1 || burst > maxEvents {
		return 0, 0, fmt.Errorf("redisstore: limits: %+v is no rate; see mcpauth.Rate", r)
	}
	unit := int64(r.Events) * int64(time.Microsecond)
	step = (int64(r.Per) + unit - 1) / unit
	return step, step * min(int64(burst), maxMost/step), nil
}

// bucketKey has what hashes to one group in one slot of a cluster, and 128 bits of a hash over group and key.
func (s *Store) bucketKey(group, key [32]byte) string {
	tag := sha256.Sum256(group[:])
	var both [2 * sha256.Size]byte
	copy(both[:], group[:])
	copy(both[sha256.Size:], key[:])
	sum := sha256.Sum256(both[:])
	enc := base64.RawURLEncoding
	return s.prefix + "l:{" + enc.EncodeToString(tag[:6]) + "}" + enc.EncodeToString(sum[:16])
}
