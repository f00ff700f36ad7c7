package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// What [Store.Check] may find, and several of them at once: test for each with errors.Is.
var (
	// ErrEvicts says that the server may drop what it was told to remember when its memory is full. A used
	// proof is then new again, a revoked token good, and a count full.
	ErrEvicts = errors.New("redisstore: Redis may drop keys when its memory is full; set maxmemory-policy to noeviction")

	// ErrForgets says that the server writes no append-only file: what it remembers ends when it restarts.
	// Counts are then full, proofs that are not too old are good once more, and revocations must be made anew.
	ErrForgets = errors.New("redisstore: Redis forgets everything when it restarts; set appendonly to yes")

	// ErrReplica says that the client reaches a server that follows another one.
	ErrReplica = errors.New("redisstore: Redis is a replica here; connect to the primary, with redis.NewFailoverClient for example")

	// ErrClient says that the client knows of one server, which is a node of a cluster.
	ErrClient = errors.New("redisstore: Redis is a cluster here; make Options.Client with redis.NewClusterClient")
)

// Check does once, with random names, what the Store does for requests, and looks at how Redis is set up. Call
// it when the process starts, and treat what it returns as mistakes of the setup or as warnings. The settings
// come from INFO, which the Store itself does not need; where it is forbidden, the error says so. Check cannot
// see whether a failover would lose anything.
func (s *Store) Check(ctx context.Context) error {
	if s == nil || s.client == nil {
		return errUnmade
	}
	tried := s.try(ctx)
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return errors.Join(tried, s.look(ctx, s.client.Info(ctx)))
	}
	var mu sync.Mutex
	var found []error
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		err := s.look(ctx, c.Info(ctx))
		mu.Lock()
		defer mu.Unlock()
		found = append(found, err)
		return nil
	})
	if err != nil {
		err = s.failed(ctx, "check", err)
	}
	return errors.Join(tried, err, errors.Join(found...))
}

// try uses each of the commands. What it leaves behind is gone within seconds.
func (s *Store) try(ctx context.Context) error {
	var name [32]byte
	rand.Read(name[:])
	soon := s.now().Add(time.Second)
	proof, id := mcpauth.ProofID{JTI: name}, mcpauth.RevocationID(name)
	for _, want := range []bool{true, false} {
		switch added, err := s.Add(ctx, proof, soon); {
		case err != nil:
			return err
		case added != want:
			return errors.New("redisstore: replay: Redis does not remember what it was told; what stands before it?")
		}
	}
	switch wait, _, err := s.Take(ctx, name, []mcpauth.LimitBucket{{Key: name, Rate: mcpauth.Rate{Events: 1, Per: time.Second}}}); {
	case err != nil:
		return err
	case wait != 0:
		return errors.New("redisstore: limits: Redis says that a full bucket is empty; what stands before it?")
	}
	if err := s.Put(ctx, id, 1, soon); err != nil {
		return err
	}
	switch before, err := s.Find(ctx, []mcpauth.RevocationID{id}); {
	case err != nil:
		return err
	case before[0] != 1:
		return errors.New("redisstore: revocations: Redis does not remember what it was told; what stands before it?")
	}
	return nil
}

// look judges what INFO says of one server.
func (s *Store) look(ctx context.Context, info *redis.StringCmd) error {
	text, err := info.Result()
	if err != nil {
		return fmt.Errorf("redisstore: how Redis is set up cannot be seen, so nobody knows whether it is safe: %w", s.failed(ctx, "check", err))
	}
	facts := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	var found []error
	// All keys have an expiry, so the policies that begin with volatile drop them just as the others do.
	if policy := facts["maxmemory_policy"]; policy != "noeviction" {
		found = append(found, fmt.Errorf("%w (it is %q)", ErrEvicts, policy))
	}
	if facts["aof_enabled"] != "1" {
		found = append(found, ErrForgets)
	}
	if facts["role"] != "master" {
		found = append(found, ErrReplica)
	}
	if _, ok := s.client.(*redis.Client); ok && facts["cluster_enabled"] == "1" {
		found = append(found, ErrClient)
	}
	return errors.Join(found...)
}
