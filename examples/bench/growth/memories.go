package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/go-mcpauth/sdk/internal/replay"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// A memory is the store that mcpauth keeps used proofs in by itself, given to it as if it were another's: filling it with
// a million proofs that somebody signed would take minutes.
type memory struct {
	live  int
	added int
	store *replay.Store
}

// Add implements [mcpauth.ReplayStore].
func (m *memory) Add(_ context.Context, proof mcpauth.ProofID, until time.Time) (bool, error) {
	m.added++
	err := m.store.Add(proof.Thumbprint, proof.JTI, until)
	if errors.Is(err, replay.ErrSeen) {
		return false, nil
	}
	return err == nil, err
}

// fill makes the store anew where calls more proofs would change how many there are by more than a tenth, if it can.
func (m *memory) fill(calls int) {
	if m.store != nil && m.added+calls <= m.live/10 {
		return
	}
	m.store, m.added = replay.New(replay.Config{}), 0
	until := time.Now().Add(time.Hour)
	for i := range m.live {
		var owner, id [32]byte
		binary.LittleEndian.PutUint64(owner[:], uint64(i%1000))
		binary.LittleEndian.PutUint64(id[:], uint64(i))
		if err := m.store.Add(owner, id, until); err != nil {
			panic(err)
		}
	}
}

// million are the points of what is remembered. Few is the last of them with -quick.
func (s settings) million(few int) []int { return s.sizes(few, 1000, 10_000, 100_000, 1_000_000) }

func proofsPlot(s settings) (*plot, error) {
	whole := &line{Name: "request with a proof", Rules: []expectation{flat(1.25), ceiling("at most so many checks of a signature", 1.5)}}
	insert := &line{Name: "its insert into the store alone", Rules: []expectation{flat(8), ceiling("at most so many checks of a signature", 0.01)}}
	all, err := newIssuers(1, 1)
	if err != nil {
		return nil, err
	}
	key, err := mcpauthtest.NewDPoPKey("ES256")
	if err != nil {
		return nil, err
	}
	token := all[0].sign(0, 1, ada, key.Thumbprint())
	for _, n := range s.million(100_000) {
		seen := &memory{live: n}
		m, err := all.protect(func(cfg *mcpauth.Config) {
			cfg.Now = nil // proofs are made now
			cfg.DPoP = mcpauth.DPoP{Mode: mcpauth.DPoPRequired, Replay: seen}
		})
		if err != nil {
			return nil, err
		}
		var proofs []string
		room := []string{""}
		d := newDriver(m.Wrap(nothing), "", func(h http.Header) {
			room[0], proofs = proofs[0], proofs[1:]
			h["Dpop"] = room
		})
		d.request.Header["Authorization"] = []string{"DPoP " + token}
		prepare := func(calls int) {
			seen.fill(calls)
			for len(proofs) < calls {
				proofs = append(proofs, key.Proof(http.MethodDelete, resource, token, ""))
			}
		}
		prepare(1)
		d.send()
		whole.Points = append(whole.Points, &point{N: n, send: d.send, prepare: prepare})
		insert.Points = append(insert.Points, newInsert(n))
	}
	return &plot{Title: "Proofs that are remembered (DPoP)", X: "live proofs", Lines: []*line{whole, insert}}, nil
}

// newInsert adds proofs that were not seen, in an order that the processor does not foresee.
func newInsert(n int) *point {
	m := &memory{live: n}
	var next uint64
	var until time.Time
	return &point{
		N:       n,
		prepare: func(calls int) { m.fill(calls); until = time.Now().Add(time.Hour) },
		send: func() {
			next++
			var proof mcpauth.ProofID
			binary.LittleEndian.PutUint64(proof.Thumbprint[:], next%1000)
			binary.LittleEndian.PutUint64(proof.JTI[8:], next)
			if added, err := m.Add(context.Background(), proof, until); !added {
				panic(fmt.Sprint("refused: ", err))
			}
		},
	}
}

// callersPlot has callers of whom each request is from another, by chance. Limits and sessions see callers whom an
// authenticator vouches for, so that no signature hides what they cost.
func callersPlot(s settings) (*plot, error) {
	limited := &line{Name: "limit for each caller", Rules: []expectation{flat(4)}}
	sessions := &line{Name: "session of each caller", Rules: []expectation{flat(4)}}
	tokens := &line{Name: "token of each caller", Rules: []expectation{ceiling("never much more than a token verified each time: so many checks of a signature", 2.2)}}
	names := make([]string, 1_000_000)
	for i := range names {
		names[i] = fmt.Sprintf("user-%07d", i)
	}
	for _, n := range s.million(10_000) {
		p, err := limitPoint(names[:n])
		if err != nil {
			return nil, err
		}
		limited.Points = append(limited.Points, p)
		if p, err = sessionPoint(names[:n]); err != nil {
			return nil, err
		}
		sessions.Points = append(sessions.Points, p)
	}
	all, err := newIssuers(1, 1)
	if err != nil {
		return nil, err
	}
	minted := make([]string, len(names))
	for _, n := range s.sizes(3000, 1000, 3000, 10_000, 30_000, 100_000, 1_000_000) {
		p, err := tokenPoint(all, names[:n], minted[:n])
		if err != nil {
			return nil, err
		}
		tokens.Points = append(tokens.Points, p)
	}
	return &plot{Title: "Callers who come in turn", X: "callers", Lines: []*line{limited, sessions, tokens}, keep: []any{names, minted}}, nil
}

// byChance returns numbers below n, without end: first each of them once, up to a number of them.
func byChance(n, once int) func() int {
	random, next := rand.New(rand.NewPCG(1, uint64(n))), 0
	return func() int {
		if next++; next <= once {
			return next - 1
		}
		return random.IntN(n)
	}
}

// vouched makes a middleware for callers who say their name.
func vouched(change func(*mcpauth.Config)) (*mcpauth.Middleware, error) {
	grant := scopes.NewGrant([]string{"notes:read"}, nil)
	cfg := mcpauth.Config{Resource: resource, Now: now, Authenticators: []mcpauth.Authenticator{
		mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			name := r.Header.Get("X-Caller")
			if name == "" {
				return nil, mcpauth.ErrNoCredentials
			}
			return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://names.example.com", Subject: name, Grant: grant}), nil
		}, "Name", "X-Caller"),
	}}
	if change != nil {
		change(&cfg)
	}
	m, err := mcpauth.New(cfg)
	if err == nil {
		m.RequireTool("read_note", scopes.All("notes:read"))
	}
	return m, err
}

var readNote = request("tools/call", `{"name":"read_note","arguments":{}}`)

// hopping sends requests of callers by chance, and has each send one beforehand.
func hopping(h http.Handler, names []string, change func(h http.Header, name []string)) *point {
	who, room := byChance(len(names), len(names)), []string{""}
	d := newDriver(h, readNote, func(h http.Header) {
		room[0] = names[who()]
		h["X-Caller"] = room
		change(h, room)
	})
	return &point{N: len(names), send: warm(d.send, len(names))}
}

// limitPoint has a count for each caller, none of which fills up again.
func limitPoint(names []string) (*point, error) {
	m, err := vouched(func(cfg *mcpauth.Config) {
		cfg.Limits.Caller = mcpauth.Rate{Events: 1000, Per: time.Hour, Burst: 1_000_000}
	})
	if err != nil {
		return nil, err
	}
	return hopping(m.Wrap(nothing), names, func(http.Header, []string) {}), nil
}

// sessionPoint has a session for each caller, which each answer names. Of more than 65,536 those used last are
// known, and others are bound anew.
func sessionPoint(names []string) (*point, error) {
	m, err := vouched(nil)
	if err != nil {
		return nil, err
	}
	h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Mcp-Session-Id"] = r.Header["Mcp-Session-Id"]
	}))
	return hopping(h, names, func(h http.Header, name []string) { h["Mcp-Session-Id"] = name }), nil
}

// enough requests fill the memory of tokens, whatever bounds it.
const enough = 50_000

// tokenPoint has a token for each caller, made when it is first sent.
func tokenPoint(all issuers, names, minted []string) (*point, error) {
	m, err := all.protect(nil)
	if err != nil {
		return nil, err
	}
	who, room := byChance(len(names), min(len(names), enough)), []string{""}
	var coming []int
	prepare := func(calls int) {
		for len(coming) < calls {
			i := who()
			if minted[i] == "" {
				minted[i] = all[0].token(0, i, names[i])
			}
			coming = append(coming, i)
		}
	}
	d := newDriver(m.Wrap(nothing), "", func(h http.Header) {
		room[0], coming = minted[coming[0]], coming[1:]
		h["Authorization"] = room
	})
	calls := min(len(names), enough)
	prepare(calls)
	return &point{N: len(names), send: warm(d.send, calls), prepare: prepare}, nil
}
