package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Add records a DPoP proof and reports whether it is new, as [mcpauth.ReplayStore] wants it: one command that
// Redis executes as a whole, so that of any number of calls one is told so. Whatever fails is an error, and
// the request is answered 503: a proof whose first use may or may not have been recorded is never accepted.
func (s *Store) Add(ctx context.Context, proof mcpauth.ProofID, until time.Time) (added bool, err error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer cancel()
	life, past := s.life(until)
	if past {
		return false, errors.New("redisstore: replay: the proof need not be remembered any more; is Options.Now the clock of mcpauth.Config.Now?")
	}
	// go-redis sends a command again when the connection broke before the answer came. The value says which
	// call was the first, so that one does not mistake itself for a replay. As the decimal form of a 64-bit
	// integer it costs Redis no memory of its own.
	mine := strconv.FormatInt(random(), 10)
	first, err := s.client.Do(ctx, "SET", s.proofKey(proof), mine, "NX", "GET", "PX", milliseconds(life)).Text()
	switch {
	case errors.Is(err, redis.Nil):
		return true, nil // nothing was there
	case err != nil:
		return false, s.failed(ctx, "replay", err)
	}
	return first == mine, nil
}

// proofKey has 128 bits of a hash over both members: short, since there is one for each proof. Who makes two
// proofs with one key, at the price of 2^64 attempts, has the second one refused.
func (s *Store) proofKey(proof mcpauth.ProofID) string {
	var both [2 * sha256.Size]byte
	copy(both[:], proof.Thumbprint[:])
	copy(both[sha256.Size:], proof.JTI[:])
	sum := sha256.Sum256(both[:])
	return s.prefix + "p:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func random() int64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:]))
}
