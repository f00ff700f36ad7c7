// Command server is one replica of an MCP server. Start it several times with the same arguments, but for -listen and
// -admin, and put a balancer in front that passes on the Host of requests:
//
//	NONCE_KEYS=$(openssl rand -base64 32) server -listen 127.0.0.1:8081 -redis 127.0.0.1:6379 \
//		-resource https://mcp.example.com/mcp -issuer https://login.example.com
//
// It ends with status 1 where Redis is out of reach or set up so that it could forget what is to be remembered, and with status 2 where
// the command line cannot be used.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/examples/replicas/replica"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "server:", err)
	}
	os.Exit(statusOf(err))
}

// A usageError is a mistake on the command line or in NONCE_KEYS.
type usageError struct{ error }

func statusOf(err error) int {
	var wrong usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		return 2
	}
	return 1
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:0", "`address` of this replica")
	admin := flags.String("admin", "", "loopback `address` that revokes tokens; empty: none")
	resource := flags.String("resource", "", "`URL` of the MCP endpoint, as clients reach it at the balancer")
	issuer := flags.String("issuer", "", "`URL` of the authorization server")
	address := flags.String("redis", "", "`address` of Redis")
	rate := flags.String("rate", "600/1m", "`events/duration` that one caller may ask for, at all replicas together")
	timeout := flags.Duration("redis-timeout", 0, "the longest `time` that one question to Redis takes; 0: 500 ms")
	forgetful := flags.Bool("dangerously-let-redis-forget", false, "accept a Redis without appendonly: when it restarts, revoked tokens are good again, and used proofs once more")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	switch host, _, err := net.SplitHostPort(*admin); {
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case *resource == "" || *issuer == "" || *address == "":
		return usageError{errors.New("-resource, -issuer and -redis are needed")}
	case *admin != "" && (err != nil || !net.ParseIP(host).IsLoopback()):
		return usageError{fmt.Errorf("-admin: %q is no loopback address such as 127.0.0.1:9001; whoever reaches it can revoke", *admin)}
	}
	limit, err := parseRate(*rate)
	if err != nil {
		return usageError{err}
	}
	keys, err := nonceKeys(os.Getenv("NONCE_KEYS"))
	if err != nil {
		return usageError{err}
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	client := redis.NewClient(&redis.Options{Addr: *address, ContextTimeoutEnabled: true, DialerRetries: 1})
	defer client.Close()
	r, err := replica.New(replica.Config{Resource: *resource, Issuer: *issuer, Redis: client, NonceKeys: keys, Rate: limit, Timeout: *timeout, Logger: logger})
	if err != nil {
		return usageError{err}
	}
	if err := check(ctx, r.Store, *forgetful, logger); err != nil {
		return err
	}
	sites := []site{{"listening", *listen, func(string) http.Handler { return r.Handler }}}
	if *admin != "" {
		sites = append(sites, site{"admin listening", *admin, func(host string) http.Handler { return revoker(r.Revocations, *issuer, host) }})
	}
	return serve(ctx, stdout, sites)
}

// check refuses to start on a Redis that could forget, and says so where that was asked for.
func check(ctx context.Context, store *redisstore.Store, forgetful bool, logger *slog.Logger) error {
	err := store.Check(ctx)
	if forgetful && errors.Is(err, redisstore.ErrForgets) && !errors.Is(err, redisstore.ErrEvicts) && !errors.Is(err, redisstore.ErrReplica) && !errors.Is(err, redisstore.ErrClient) {
		logger.Warn("Redis can forget", "error", err)
		return nil
	}
	return err
}

// A site is a listener with its handler, which learns where it listens.
type site struct {
	what, address string
	handler       func(host string) http.Handler
}

// serve runs until ctx ends, or until one of the sites does.
func serve(ctx context.Context, stdout io.Writer, sites []site) error {
	ended := make(chan error, len(sites))
	var servers []*http.Server
	defer func() {
		// Requests under way may end. The balancer repeats on another replica only what never got an answer.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, s := range servers {
			if s.Shutdown(ctx) != nil {
				s.Close()
			}
		}
	}()
	for _, s := range sites {
		l, err := net.Listen("tcp", s.address)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: s.handler(l.Addr().String()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
		servers = append(servers, server)
		go func() { ended <- server.Serve(l) }()
		fmt.Fprintf(stdout, "%s on http://%s\n", s.what, l.Addr())
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// parseRate reads "600/1m".
func parseRate(s string) (mcpauth.Rate, error) {
	events, per, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(events)
	d, errDuration := time.ParseDuration(per)
	if err != nil || errDuration != nil || n <= 0 || d <= 0 {
		return mcpauth.Rate{}, fmt.Errorf("-rate: %q is not of the form 600/1m", s)
	}
	return mcpauth.Rate{Events: n, Per: d}, nil
}

// nonceKeys reads secrets in base64, separated by commas, the one in use first. An error does not repeat them.
func nonceKeys(s string) ([][]byte, error) {
	if s == "" {
		return nil, nil
	}
	var keys [][]byte
	for text := range strings.SplitSeq(s, ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, errors.New("NONCE_KEYS: write keys in base64, separated by commas, as openssl rand -base64 32 makes them")
		}
		keys = append(keys, key)
	}
	return keys, nil
}
