package redisstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// putSource keeps the later of what is there and what is new, of both numbers each by itself. The first is a
// Unix time of up to 2^62, which no number of Lua holds; with leading zeros, as text, the larger comes later.
// A record that somebody made permanent stays so.
const putSource = `
local before, life = ARGV[1], tonumber(ARGV[2])
local old = redis.call('GET', KEYS[1])
if old then
	if #old ~= #before then
		return redis.error_reply('ERR a revocation is not of this form')
	end
	if old > before then
		before = old
	end
	local left = redis.call('PTTL', KEYS[1])
	if left == -1 then
		return redis.call('SET', KEYS[1], before)
	end
	life = math.max(life, left)
end
return redis.call('SET', KEYS[1], before, 'PX', string.format('%.0f', life))
`

var putScript = redis.NewScript(putSource)

const beforeDigits = 19 // of the largest int64

// Put records a revocation, as [mcpauth.RevocationStore] wants it. An error means that nothing is certain. When it
// returns nil, the server that answered knows; whether one that takes over from it does, see the package
// comment.
func (s *Store) Put(ctx context.Context, id mcpauth.RevocationID, before int64, until time.Time) error {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if before <= 0 {
		return errors.New("redisstore: revocations: tokens issued before a time that is not positive are none")
	}
	life, _ := s.life(until)
	if err := putScript.Run(ctx, s.client, []string{s.revocationKey(id)}, fmt.Sprintf("%0*d", beforeDigits, before), milliseconds(life)).Err(); err != nil {
		return s.failed(ctx, "revocations", err)
	}
	return nil
}

// Find returns what Put recorded, as [mcpauth.RevocationStore] wants it, in one command. A failure is an error, unless
// Options.DangerouslySkipRevocations says otherwise; a record that cannot be read always is, but for a key of another type,
// which Redis takes for none: see the package comment on who may write.
func (s *Store) Find(ctx context.Context, ids []mcpauth.RevocationID) (before []int64, err error) {
	parent := ctx
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	before = make([]int64, len(ids))
	if len(ids) == 0 {
		return before, nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = s.revocationKey(id)
	}
	values, err := s.client.MGet(ctx, keys...).Result()
	if err != nil {
		err = s.failed(ctx, "revocations", err)
		if s.skip && !errors.Is(parent.Err(), context.Canceled) {
			return before, nil
		}
		return nil, err
	}
	if len(values) != len(ids) {
		return nil, s.failed(ctx, "revocations", fmt.Errorf("%d answers to %d questions", len(values), len(ids)))
	}
	for i, v := range values {
		if v == nil {
			continue
		}
		text, _ := v.(string)
		if before[i], err = strconv.ParseInt(text, 10, 64); err != nil || len(text) != beforeDigits || before[i] <= 0 {
			return nil, s.failed(ctx, "revocations", errors.New("a record cannot be read; who else writes keys with this prefix?"))
		}
	}
	return before, nil
}

// revocationKey puts all of them into one slot of a cluster, so that one command finds all that a token needs.
func (s *Store) revocationKey(id mcpauth.RevocationID) string {
	return s.prefix + "r:{revoked}" + base64.RawURLEncoding.EncodeToString(id[:])
}
