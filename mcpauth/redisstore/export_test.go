package redisstore

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const (
	PutSource  = putSource
	TakeSource = takeSource
	Margin     = margin
)

// ProofKey, BucketKey and RevocationKey are the keys in Redis.
func (s *Store) ProofKey(p mcpauth.ProofID) string            { return s.proofKey(p) }
func (s *Store) BucketKey(group, key [32]byte) string         { return s.bucketKey(group, key) }
func (s *Store) RevocationKey(id mcpauth.RevocationID) string { return s.revocationKey(id) }

// Steps is what the script is told of a rate.
func Steps(r mcpauth.Rate) (step, most int64, err error) { return steps(r) }

// takeAtScript is the script, but for its clock, which comes last in ARGV, and without expiry, which would
// go by another one.
var takeAtScript = redis.NewScript(instead(instead(takeSource, "redis.call('TIME')", "{0, ARGV[#ARGV]}"),
	", 'PX', string.format('%.0f', math.ceil((at - now) / 1000))", ""))

func instead(source, old, new string) string {
	if strings.Count(source, old) != 1 {
		panic("the script does not have once: " + old)
	}
	return strings.Replace(source, old, new, 1)
}

// TakeAt is Take at a time in microseconds.
func (s *Store) TakeAt(ctx context.Context, at int64, group [32]byte, buckets []mcpauth.LimitBucket) (wait time.Duration, short int, err error) {
	var keys []string
	var args []any
	for _, b := range buckets {
		step, most, err := steps(b.Rate)
		if err != nil {
			return 0, 0, err
		}
		keys, args = append(keys, s.bucketKey(group, b.Key)), append(args, step, most)
	}
	said, err := takeAtScript.Run(ctx, s.client, keys, append(args, at)...).Int64Slice()
	if err != nil {
		return 0, 0, err
	}
	return time.Duration(said[0]) * time.Microsecond, int(said[1]), nil
}
