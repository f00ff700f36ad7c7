//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/examples/replicas/internal/issuer"
	"github.com/go-mcpauth/sdk/examples/replicas/replica"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

const (
	resource     = "https://mcp.example.com/mcp"
	resourceHost = "mcp.example.com"

	workers      = 48
	warmUp       = 5 * time.Second // at most, before the first measurement: caches fill, pools grow
	redisTimeout = time.Second     // twice the default, for a machine that is busy
	connections  = 10              // to Redis, of each replica
	cachedTokens = 128             // so that memory shows what leaks, and not what is remembered on purpose
)

// sabotages are ways to break a replica. A run must notice each.
var sabotages = map[string]func(*mcpauth.Config){
	"replays":     func(c *mcpauth.Config) { c.DPoP.Replay = nil }, // good once at each replica
	"expired":     func(c *mcpauth.Config) { c.Issuers[0].Leeway = 5 * time.Minute },
	"audience":    func(c *mcpauth.Config) { c.Issuers[0].DangerouslyAcceptAnyAudience = true },
	"revocations": func(c *mcpauth.Config) { c.Revoked = nil },
	"limits":      func(c *mcpauth.Config) { c.Limits.Store = nil }, // each replica for itself
	"nonces":      func(c *mcpauth.Config) { c.DPoP.NonceKeys = nil },
	"refusals": func(c *mcpauth.Config) {
		var n atomic.Int64
		c.Policy = func(context.Context, *mcpauth.Call) error {
			if n.Add(1)%100 == 0 {
				return errors.New("no reason at all")
			}
			return nil
		}
	},
	"goroutines": func(c *mcpauth.Config) {
		next := c.OnDecision
		c.OnDecision = func(ctx context.Context, d mcpauth.Decision) {
			go func() { select {} }()
			if next != nil {
				next(ctx, d)
			}
		}
	},
	"memory": func(c *mcpauth.Config) {
		var mu sync.Mutex
		var kept [][]byte
		next := c.OnDecision
		c.OnDecision = func(ctx context.Context, d mcpauth.Decision) {
			mu.Lock()
			kept = append(kept, make([]byte, 64<<10))
			mu.Unlock()
			if next != nil {
				next(ctx, d)
			}
		}
	},
}

// soak makes everything, runs the load, and says what came of it.
func soak(ctx context.Context, h *host, s settings, out io.Writer) error {
	is, err := issuer.Start()
	if err != nil {
		return err
	}
	h.Cleanup(is.Close)
	server := redistest.StartDurable(h)
	key, err := mcpauthtest.NewDPoPKey("")
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	c := &clients{
		resource: resource, host: resourceHost, issuer: is, tally: newTally(kinds()), key: key, tokens: make(map[string]signed),
		faults: &faults{redis: server, issuer: is, out: out, withdrawn: make(map[string]time.Time)},
		http:   &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	for range 2 {
		if err := c.start(h, s, server.Addr(), secret); err != nil {
			return err
		}
	}
	first := c.bound()
	if r := c.remember(c.send(ctx, 0, first.token, c.proof(first.token, ""), http.NoBody)); r.nonce == "" {
		return fmt.Errorf("no nonce from the first request, but %d %s", r.status, r.challenge)
	}
	warm := min(warmUp, s.length/2)
	fmt.Fprintf(out, "two replicas, at most %d requests per second for %v after %v of warm-up\n", s.rate, s.length, warm)
	c.load(ctx, s.rate, warm)
	transport.CloseIdleConnections()
	before := settle(ctx, 0)
	fmt.Fprintf(out, "before  %v\n", before)
	resumed := time.Now()
	c.faults.began = resumed
	broken := make(chan error, 1)
	go func() { broken <- c.faults.run(ctx, s.length) }()
	c.load(ctx, s.rate, s.length)
	err = <-broken
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	transport.CloseIdleConnections()
	after := settle(ctx, before.goroutines)
	fmt.Fprintf(out, "after   %v\n\n", after)
	c.conclude(before, after)
	if !c.tally.print(out) {
		return errors.New("what was WRONG is said above")
	}
	fmt.Fprintln(out, "\nNothing bad was accepted, nothing good was refused but by a fault that was made, and nothing was left behind.")
	return nil
}

// start starts one replica in this process, so that what it leaves behind can be counted.
func (c *clients) start(h *host, s settings, address string, secret []byte) error {
	// A fixed number of connections, which have 64 KiB each, so that those are there from the beginning.
	client := redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true, PoolSize: connections, MinIdleConns: connections})
	h.Cleanup(func() { client.Close() })
	r, err := replica.New(replica.Config{
		Resource: resource, Issuer: c.issuer.URL, Redis: client, NonceKeys: [][]byte{secret}, Timeout: redisTimeout,
		Rate: mcpauth.Rate{Events: 1000, Per: time.Second}, // counted for each request, and never reached
		Change: func(cfg *mcpauth.Config) {
			cfg.CachedTokens = cachedTokens
			cfg.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // idle connections have goroutines
			cfg.Limits.Operations = map[string]mcpauth.Rate{"tools/call report": scarce}
			for _, name := range s.sabotage {
				sabotages[name](cfg)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := r.Store.Check(context.Background()); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r.Handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l) // ends with Close
	h.Cleanup(func() { server.Close() })
	c.urls = append(c.urls, "http://"+l.Addr().String()+"/mcp")
	c.revocations = append(c.revocations, r.Revocations)
	return nil
}

// load sends requests at a rate, or fewer while answers take long, and returns when all are answered.
func (c *clients) load(ctx context.Context, rate int, length time.Duration) {
	var deck []int
	for i, m := range mix {
		for range m.of {
			deck = append(deck, i)
		}
	}
	ticks := time.NewTicker(time.Second / time.Duration(rate))
	defer ticks.Stop()
	over := time.After(length)
	turns := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := range turns {
				mix[deck[shuffled(n, len(deck))]].send(c, ctx, n)
			}
		})
	}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
		case <-over:
		case <-ticks.C:
			select {
			case turns <- n:
			default: // all workers wait for answers
			}
			continue
		}
		break
	}
	close(turns)
	wg.Wait()
}

// shuffled spreads kinds over time, so that neighbours differ: it visits each of 100 once in 100 turns.
func shuffled(n, of int) int { return n * 37 % of }

// conclude says what the table does not.
func (c *clients) conclude(before, after state) {
	const moreGoroutines, moreHeap = 4, 3 << 20
	if after.goroutines > before.goroutines+moreGoroutines {
		c.tally.complain("%d goroutines were left behind, more than %d", after.goroutines-before.goroutines, moreGoroutines)
	}
	if after.heap > before.heap+moreHeap {
		c.tally.complain("the heap has grown by %.1f MiB, more than %d", float64(after.heap-before.heap)/(1<<20), moreHeap>>20)
	}
	// All replicas together, whatever was lost, while he asked: the slowest answer to somebody else may come much later.
	lasted := c.greed.last.Sub(c.greed.first)
	most := scarce.Burst + int(lasted.Seconds()*float64(scarce.Events)/scarce.Per.Seconds()) + 1
	if got := c.tally.of(greedy); got.ok > most {
		c.tally.complain("the greedy caller got %d calls in %v, more than the %d that the rate allows", got.ok, lasted.Round(time.Second), most)
	} else if got.tooMany == 0 {
		c.tally.complain("the greedy caller was never told to wait")
	}
	for _, m := range mix {
		if got := c.tally.of(m.kind); got.sent == 0 && m.kind != withdrawnKid {
			c.tally.complain("%s: none was sent", m.kind)
		}
	}
}
