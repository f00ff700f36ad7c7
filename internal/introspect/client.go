// Package introspect asks one authorization server about tokens that only it can read: RFC 7662, and RFC
// 9701 for signed answers.
//
// An answer is believed only where it is 200 with one strict JSON object whose active is a boolean.
// Everything else is an outage and says nothing about the token, so that nobody throws away a good one
// because a server is down. What an active token may do here is not decided in this package: its claims
// go through the checks of package jwt.
//
// # What costs what
//
// Answers are remembered under the hash of the token in package tokencache, whose fair shares keep one
// user with many tokens from crowding out the others. Active tokens and inactive ones have a cache
// each: whoever invents tokens competes with his like. All who ask about one token share one request,
// which belongs to none of them, unless it has been under way for longer than its answer may be used. Requests, and callers who wait for them, are bounded; one more is turned
// away at once.
package introspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/tokencache"
)

const (
	defaultMaxAge         = time.Minute
	defaultMaxNegativeAge = 5 * time.Second
	maxMaxNegativeAge     = time.Minute
	defaultMaxWaiting     = 256
	defaultMaxInFlight    = 64

	// negativeEntries bounds the memory of inactive tokens to less than 1 MiB.
	negativeEntries = 4096

	maxToken = 16 << 10 // as for JWTs
)

// Config configures a [Client]. Endpoint, Auth and Fetch are required.
type Config struct {
	// Endpoint returns the introspection endpoint, fixed or discovered. It is called under the request's
	// context for each request that is really made, so it must be quick when it knows. What it returns must
	// pass [fetch.CheckURL].
	Endpoint func(context.Context) (string, error)

	Auth  Auth          // how this resource server authenticates (RFC 7662, Section 2.1)
	Fetch *fetch.Client // limits, and the client certificate for Auth.MutualTLS

	// Signed accepts only signed answers (RFC 9701). Nil accepts only plain JSON.
	Signed *Signed

	// MaxAge is how long the answer for an active token is used, and so how late a revocation may be noticed;
	// never past exp. Zero means 60 s; negative: each request asks.
	MaxAge time.Duration
	// MaxNegativeAge is the same for an inactive token. Nothing but {"active":false} is remembered so. Zero
	// means 5 s, more than 1 min is refused by [New]; negative: not remembered.
	MaxNegativeAge time.Duration
	// MaxEntries and MaxBytes bound the answers remembered for active tokens, see [tokencache.Config].
	MaxEntries int
	MaxBytes   int64

	MaxInFlight int // requests under way; zero and negative mean 64
	MaxWaiting  int // callers who wait for one, or for a place; zero and negative mean 256

	// Now must advance; where it is set back, answers from the future are asked for anew. Nil means time.Now.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
}

// A Client introspects tokens of one authorization server for one resource; answers must never be shared
// among resources (RFC 7662, Section 4). It is safe for concurrent use. The nil and the zero Client know of no
// token.
type Client struct {
	cfg    Config
	auth   authenticator
	signed *signed // nil: plain JSON
	log    *slog.Logger

	active   *tokencache.Cache[*Answer]   // nil: not remembered
	inactive *tokencache.Cache[time.Time] // when they were asked for; nil: not remembered
	slots    chan struct{}                // one for each request under way

	mu      sync.Mutex // never held during I/O; the clock and the caches may be asked under it
	flights map[[sha256.Size]byte]*flight
	waiting int
	pause   pause
	trouble trouble
}

// An Answer is what the server said of an active token. It is shared and must not be changed.
type Answer struct {
	// Claims are the members of the answer: nested map[string]any and []any, numbers as json.Number.
	Claims map[string]any
	// Until is the first moment at which the answer is too old to be used for another request. What is made
	// of it must not be kept longer. It may have passed already.
	Until time.Time

	asked time.Time
}

// New returns a Client. It does no I/O and starts no goroutine. An error joins all mistakes in the
// configuration.
func New(cfg Config) (*Client, error) {
	var errs []error
	if cfg.Endpoint == nil {
		errs = append(errs, mistake("Endpoint", "is nil; name the introspection endpoint"))
	}
	if cfg.Fetch == nil {
		errs = append(errs, mistake("Fetch", "is nil; there is no way to ask"))
	}
	if cfg.MaxNegativeAge > maxMaxNegativeAge {
		errs = append(errs, mistake("MaxNegativeAge", "%v is more than %v; a token may become active", cfg.MaxNegativeAge, maxMaxNegativeAge))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&cfg.MaxAge, defaultMaxAge}, {&cfg.MaxNegativeAge, defaultMaxNegativeAge}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = defaultMaxWaiting
	}
	c := &Client{cfg: cfg, log: cfg.Logger, slots: make(chan struct{}, cfg.MaxInFlight), flights: make(map[[sha256.Size]byte]*flight)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.auth, err = cfg.Auth.compile(cfg.Now); err != nil {
		errs = append(errs, err)
	}
	if cfg.Signed != nil {
		if c.signed, err = cfg.Signed.compile(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.MaxAge > 0 {
		c.active = tokencache.New[*Answer](tokencache.Config{MaxEntries: cfg.MaxEntries, MaxBytes: cfg.MaxBytes, Now: cfg.Now})
	}
	if cfg.MaxNegativeAge > 0 {
		c.inactive = tokencache.New[time.Time](tokencache.Config{MaxEntries: negativeEntries, MaxBytes: 1 << 20, Now: cfg.Now})
	}
	return c, nil
}

// mistake says what is wrong with a field of a [Config], and what to write instead.
func mistake(field, format string, args ...any) error {
	return fmt.Errorf(field+": "+format, args...)
}

// Ask returns what the server says of an active token. hash is the SHA-256 of token, all of it: two tokens with one hash would
// share an answer. Any error is an *[Error]: the token is inactive, or it cannot be known now. ctx bounds the waiting of this
// caller alone.
func (c *Client) Ask(ctx context.Context, token string, hash [sha256.Size]byte) (*Answer, error) {
	if c == nil || c.auth == nil {
		return nil, notConfigured
	}
	if a, refusal := c.remembered(hash); a != nil {
		return a, nil
	} else if refusal != nil {
		return nil, refusal
	}
	a, refusal := c.await(ctx, token, hash)
	if refusal != nil {
		return nil, refusal
	}
	return a, nil
}

// remembered returns what is known of a token without asking, or nothing.
func (c *Client) remembered(hash [sha256.Size]byte) (*Answer, *Error) {
	if a, ok := c.active.Get(hash); ok {
		if now := c.cfg.Now(); !now.Before(a.asked) && now.Before(a.Until) {
			return a, nil
		}
	}
	if asked, ok := c.inactive.Get(hash); ok && !c.cfg.Now().Before(asked) {
		return nil, inactive
	}
	return nil, nil
}

// remember holds an answer that was asked for at a.asked. Without claims it is that of an inactive token.
func (c *Client) remember(hash [sha256.Size]byte, a *Answer, size int) {
	if a.Claims == nil {
		c.inactive.Add(hash, tokencache.Item{Expiry: a.Until}, a.asked)
		return
	}
	owner, _ := a.Claims["sub"].(string)
	if owner == "" {
		owner, _ = a.Claims["client_id"].(string)
	}
	c.active.Add(hash, tokencache.Item{Owner: owner, Size: size, Expiry: a.Until}, a)
}
