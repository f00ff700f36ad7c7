package redisstore_test

import (
	"context"
	"errors"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
)

// One store for all that replicas share. What Check says of a Redis without an append-only file is a warning
// here; all else keeps the server from starting.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true, DialerRetries: 1})
	store, err := redisstore.New(redisstore.Options{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Check(context.Background()); errors.Is(err, redisstore.ErrForgets) {
		log.Print(err)
	} else if err != nil {
		log.Fatal(err)
	}
	revocations := mcpauth.NewRevocations(store, nil)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		DPoP:     mcpauth.DPoP{Replay: store},
		Revoked:  revocations.Revoked,
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = auth // as with any other Config
}
