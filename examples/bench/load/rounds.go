//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// A row is one line of the table: a server, and what it is sent.
type row struct {
	name, server string
	credentials  credentials
	onceOnly     bool
}

// The first row is what the others are compared with. The second is the same again, in a process of its
// own: its ratios would be 1 if nothing disturbed the comparison. The third shows how much of a difference
// is due to the header that net/http has to read, whoever looks at it then.
var rows = []row{
	{unprotected, unprotected, noCredentials, false},
	{"control", unprotected, noCredentials, false},
	{"token-ignored", unprotected, bearer, false},
	{mcpauthBearer, mcpauthBearer, bearer, false},
	{mcpauthDPoP, mcpauthDPoP, dpop, true},
	{sdkBearer, sdkBearer, bearer, false},
	{auth0Bearer, auth0Bearer, bearer, false},
	{auth0DPoP, auth0DPoP, dpop, false},
}

// A turn is what one row got in one round.
type turn struct {
	burst
	server usage
}

func (t turn) requests() float64   { return float64(len(t.Latencies)) }
func (t turn) perRequest() float64 { return float64(t.server.CPU) / t.requests() }
func (t turn) throughput() float64 { return t.requests() / t.Elapsed.Seconds() }

// latency is the given quantile of the round's latencies.
func (t turn) latency(quantile float64) float64 {
	return float64(slices.Sorted(slices.Values(t.Latencies))[int(quantile*t.requests())])
}

func (t *turn) add(u turn) {
	t.Elapsed += u.Elapsed
	t.CPU += u.CPU
	t.Latencies = append(t.Latencies, u.Latencies...)
	t.server = t.server.plus(u.server)
}

// slice is how long one row is fired at before the next one has its chance: each round goes through the
// rows several times, so that what else the machine does falls on all of them.
const slice = 50 * time.Millisecond

// measure returns the turns of each row, round by round. No process is left when it returns.
func measure(ctx context.Context, s settings, stderr io.Writer) (map[string][]turn, error) {
	turns := map[string][]turn{}
	for round := range s.rounds {
		sums, err := measureRound(ctx, s, round, stderr)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
		for name, sum := range sums {
			turns[name] = append(turns[name], *sum)
		}
	}
	return turns, nil
}

// measureRound has processes of its own, so that a round is independent of the others: how memory came to
// be laid out in a process makes a difference of some per cent, which lasts as long as the process.
func measureRound(ctx context.Context, s settings, round int, stderr io.Writer) (sums map[string]*turn, err error) {
	// Several times what it should take, for a machine that is busy.
	ctx, cancel := context.WithTimeout(ctx, time.Minute+4*time.Duration(len(rows))*s.duration)
	defer cancel()
	var children []*child
	defer func() {
		err = errors.Join(err, context.Cause(ctx))
		if err != nil {
			cancel() // which kills them
		}
		for _, c := range children {
			if stopped := c.stop(); err == nil {
				err = stopped
			}
		}
	}()
	begin := func(name, role string, processors int) (*child, error) {
		c, err := start(ctx, name, role, processors, stderr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		children = append(children, c)
		return c, nil
	}
	loader, err := begin("the loader", loaderRole, 1)
	if err != nil {
		return nil, err
	}
	key, err := ask[[]byte](loader, loaderCommand{})
	if err != nil {
		return nil, err
	}
	passes := max(1, int(s.duration/slice))
	sums = map[string]*turn{}
	servers, urls := map[string]*child{}, map[string]string{}
	for pass := range passes {
		for i := range rows {
			// Nobody is always first, or always after the same one.
			at := (i + pass + round) % len(rows)
			if (pass+round)%2 == 1 {
				at = len(rows) - 1 - at
			}
			r := rows[at]
			if servers[r.name] == nil {
				c, err := begin("server "+r.name, serverRole, s.processors)
				if err != nil {
					return nil, err
				}
				cfg := serverConfig{Kind: r.server, Key: key}
				if s.profiles != "" {
					cfg.Profile = filepath.Join(s.profiles, fmt.Sprintf("%s-%d.pprof", r.name, round+1))
				}
				if urls[r.name], err = ask[string](c, cfg); err != nil {
					return nil, err
				}
				servers[r.name], sums[r.name] = c, new(turn)
			}
			one, err := fire(loader, servers[r.name], target{
				Name: r.name, URL: urls[r.name], Credentials: r.credentials, Protected: r.server != unprotected, OnceOnly: r.onceOnly,
				Connections: s.connections, WarmUp: s.warmUp, Duration: s.duration / time.Duration(passes),
			})
			if err != nil {
				return nil, err
			}
			sums[r.name].add(one)
		}
	}
	return sums, nil
}

func fire(loader, server *child, t target) (turn, error) {
	var one turn
	if _, err := ask[bool](loader, loaderCommand{Prepare: &t}); err != nil {
		return one, err
	}
	before, err := ask[usage](server, struct{}{})
	if err != nil {
		return one, err
	}
	if one.burst, err = ask[burst](loader, loaderCommand{Go: true}); err != nil {
		return one, err
	}
	after, err := ask[usage](server, struct{}{})
	one.server = after.minus(before)
	return one, err
}
