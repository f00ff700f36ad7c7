// Package replica is an MCP server that is made to run several times behind one balancer, as one: what the replicas
// must agree on is in Redis. Copy [New].
package replica

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/scopes"
)

// Scope is what the tool report asks for.
const Scope = "reports:read"

// Config must be the same at all replicas. The zero value is refused.
type Config struct {
	Resource  string        // the URL of the balancer, not of this replica
	Issuer    string        // of the tokens
	Redis     *redis.Client // see redisstore.Options.Client; it stays the caller's, who closes it
	NonceKeys [][]byte      // shared secrets, see mcpauth.DPoP.NonceKeys; nil: proofs need no nonce
	Rate      mcpauth.Rate  // requests of one caller, at all replicas together; zero: no limit
	Timeout   time.Duration // of one question to Redis; zero: 500 ms
	Logger    *slog.Logger  // nil: no log

	// Change edits what New has made of the above before it is used. Nil changes nothing.
	Change func(*mcpauth.Config)
}

// A Replica is made by [New].
type Replica struct {
	Handler     http.Handler         // the MCP endpoint and its metadata, at the path of the resource
	Revocations *mcpauth.Revocations // Revoke counts at all replicas at once
	Store       *redisstore.Store
}

// New makes a replica. It does no I/O: ask Store.Check whether Redis will do before serving.
func New(cfg Config) (*Replica, error) {
	if cfg.Redis == nil {
		return nil, errors.New("replica: Config.Redis is nil; replicas that share nothing accept each proof once each")
	}
	store, err := redisstore.New(redisstore.Options{Client: cfg.Redis, Timeout: cfg.Timeout})
	if err != nil {
		return nil, err
	}
	revocations := mcpauth.NewRevocations(store, nil)
	protection := mcpauth.Config{
		Resource: cfg.Resource,
		Issuers:  []mcpauth.Issuer{{URL: cfg.Issuer}},
		DPoP:     mcpauth.DPoP{Replay: store, Nonces: cfg.NonceKeys != nil, NonceKeys: cfg.NonceKeys},
		Revoked:  revocations.Revoked,
		Logger:   cfg.Logger,
	}
	if cfg.Rate != (mcpauth.Rate{}) {
		protection.Limits = mcpauth.Limits{Store: store, Caller: cfg.Rate}
	}
	if cfg.Change != nil {
		cfg.Change(&protection)
	}
	auth, err := mcpauth.New(protection)
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "replicas", Version: "1.0.0"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami", Description: "Tells who is calling."}, whoami, scopes.Authenticated())
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "report", Description: "Returns a long report."}, report, scopes.All(Scope))
	// Stateless: the next request of a client may come to another replica, which knows no session of this one.
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	mux := http.NewServeMux()
	auth.Mount(mux, handler)
	return &Replica{Handler: mux, Revocations: revocations, Store: store}, nil
}

type (
	none struct{}
	size struct {
		Lines int `json:"lines" jsonschema:"how long the report is"`
	}
)

const maxLines = 10_000

func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return nil, nil, errors.New("nobody is calling")
	}
	return text(caller.Subject()), nil, nil
}

func report(_ context.Context, _ *mcp.CallToolRequest, in size) (*mcp.CallToolResult, any, error) {
	return text(strings.Repeat("All is well, as far as anybody can tell.\n", min(max(in.Lines, 1), maxLines))), nil, nil
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}
