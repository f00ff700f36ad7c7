//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-mcpauth/sdk/examples/replicas/internal/issuer"
	"github.com/go-mcpauth/sdk/examples/replicas/replica"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// The kinds of requests, as the table names them.
const (
	goodBearer   = "good bearer"
	freshBearer  = "good bearer, new token"
	goodDPoP     = "good DPoP"
	firstDPoP    = "good DPoP, no nonce yet"
	secondDPoP   = "the same, with the nonce"
	slowReader   = "slow reader"
	slowSender   = "slow sender"
	hangUp       = "hangs up"
	greedy       = "greedy"
	noToken      = "no credentials"
	expired      = "expired"
	audience     = "wrong audience"
	forged       = "forged signature"
	unknownKid   = "unknown kid"
	withdrawnKid = "withdrawn key"
	noScope      = "missing scope"
	replayAtOnce = "proof twice at once"
	replayLater  = "used proof, later"
	downgrade    = "bound token as bearer"
	otherURL     = "proof for another URL"
	revokedToken = "revoked"
	hugeBody     = "huge body"
	hugeUnknown  = "huge body, no credentials"
)

// mix is how many of 100 requests are of a kind; those that are not here come of others.
var mix = []struct {
	kind string
	of   int
	send func(*clients, context.Context, int)
}{
	{goodBearer, 25, (*clients).bearer},
	{freshBearer, 3, (*clients).fresh},
	{goodDPoP, 22, (*clients).dpop},
	{firstDPoP, 3, (*clients).withoutNonce},
	{replayAtOnce, 6, (*clients).twiceAtOnce},
	{replayLater, 5, (*clients).later},
	{greedy, 5, (*clients).tooMuch},
	{expired, 5, (*clients).expired},
	{audience, 3, (*clients).audience},
	{forged, 3, (*clients).forged},
	{unknownKid, 3, (*clients).unknownKid},
	{withdrawnKid, 1, (*clients).withdrawn},
	{noScope, 2, (*clients).noScope},
	{noToken, 2, (*clients).noToken},
	{downgrade, 2, (*clients).downgrade},
	{otherURL, 2, (*clients).otherURL},
	{revokedToken, 3, (*clients).revoked},
	{hugeBody, 1, (*clients).huge},
	{hugeUnknown, 1, (*clients).hugeUnknown},
	{slowReader, 1, (*clients).slowReader},
	{slowSender, 1, (*clients).slowSender},
	{hangUp, 1, (*clients).hangUp},
}

// kinds are those of the table.
func kinds() (out []string) {
	for _, m := range mix {
		out = append(out, m.kind)
		if m.kind == firstDPoP {
			out = append(out, secondDPoP)
		}
	}
	return out
}

// scarce is the rate of reports, low enough for the greedy caller to exceed it on any machine. Slow readers are all
// different callers.
var scarce = mcpauth.Rate{Events: 1, Per: 5 * time.Second, Burst: 3}

const (
	users     = 8
	maxKept   = 256             // proofs and revoked tokens that are tried again
	proofLife = 4 * time.Minute // in which a used proof is refused for that, and not for its age
)

// Clients send what users, attackers and broken programs send. They are safe for concurrent use.
type clients struct {
	resource, host string
	urls           []string // of the replicas
	issuer         *issuer.Issuer
	faults         *faults
	tally          *tally
	revocations    []*mcpauth.Revocations // of the replicas
	http           *http.Client
	key            *mcpauthtest.DPoPKey

	mu     sync.Mutex
	tokens map[string]signed // by what they are for
	nonce  string
	used   []usedProof                     // answered 200
	gone   []signed                        // revoked tokens
	old    []signed                        // the last token of each key that was in use
	spoilt time.Time                       // when the next token is revoked
	greed  struct{ first, last time.Time } // when the greedy caller asked first, and was answered last
}

type signed struct{ token, kid string }

type usedProof struct {
	signed
	proof string
	at    time.Time
}

// token returns a token of a user, the same one until the issuer signs with another key.
func (c *clients) token(user string, t issuer.Token) signed {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.tokens[user]
	if ok && known.kid == c.issuer.Signing() {
		return known
	}
	if ok {
		if c.old = append(c.old, known); len(c.old) > maxKept {
			c.old = c.old[1:]
		}
	}
	t.Resource, t.Subject = c.resource, user
	if t.Scope == "" {
		t.Scope = replica.Scope
	}
	var s signed
	s.token, s.kid = c.issuer.Token(t)
	c.tokens[user] = s
	return s
}

func user() string { return "user " + string(rune('a'+rand.IntN(users))) }

func (c *clients) bound() signed {
	return c.token("bound "+user(), issuer.Token{Thumbprint: c.key.Thumbprint()})
}

func (c *clients) proof(token, nonce string) string {
	return c.key.Proof(http.MethodPost, c.resource, token, nonce)
}

// remember keeps what the next request needs of an answer.
func (c *clients) remember(r reply) reply {
	if r.nonce != "" {
		c.mu.Lock()
		c.nonce = r.nonce
		c.mu.Unlock()
	}
	return r
}

func (c *clients) currentNonce() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nonce
}

// judge counts an answer that should be one of the wanted statuses.
func (c *clients) judge(kind, kid string, sent time.Time, r reply, want ...int) {
	v, why := unexplained, "not what it should be; "+r.challenge
	switch {
	case r.wrong != "":
		why = r.wrong
	case slices.Contains(want, r.status):
		v = wanted
	case r.status == 503 && c.faults.explain(redisGone, "", sent),
		(r.status == 401 || r.status == 503) && kid != "" && c.faults.explain(keyIsNew, kid, sent):
		v = explained
	case r.status == 503 && (kind == unknownKid || kind == forged || c.faults.isWithdrawn(kid)) && c.faults.explain(issuerGone, "", sent):
		v = explained
	}
	c.tally.add(kind, r.status, v, why)
}

func (c *clients) bearer(ctx context.Context, n int) {
	s, sent := c.token(user(), issuer.Token{}), time.Now()
	c.judge(goodBearer, s.kid, sent, c.send(ctx, n, s.token, "", strings.NewReader(callWhoami)), 200)
}

// fresh sends a token that nobody remembers.
func (c *clients) fresh(ctx context.Context, n int) {
	token, kid := c.issuer.Token(issuer.Token{Resource: c.resource, Subject: user()})
	sent := time.Now()
	c.judge(freshBearer, kid, sent, c.send(ctx, n, token, "", strings.NewReader(callWhoami)), 200)
}

func (c *clients) dpop(ctx context.Context, n int) {
	s := c.bound()
	proof, sent := c.proof(s.token, c.currentNonce()), time.Now()
	r := c.remember(c.send(ctx, n, s.token, proof, strings.NewReader(callWhoami)))
	c.judge(goodDPoP, s.kid, sent, r, 200)
	c.keep(s, proof, r)
}

// keep keeps a proof that was accepted, to be tried again.
func (c *clients) keep(s signed, proof string, r reply) {
	if r.status != 200 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := usedProof{s, proof, time.Now()}
	if len(c.used) < maxKept {
		c.used = append(c.used, u)
	} else {
		c.used[rand.IntN(maxKept)] = u // so that some are old
	}
}

// withoutNonce begins as a client does that knows no nonce, and goes on at the other replica.
func (c *clients) withoutNonce(ctx context.Context, n int) {
	s, sent := c.bound(), time.Now()
	r := c.remember(c.send(ctx, n, s.token, c.proof(s.token, ""), strings.NewReader(callWhoami)))
	if r.status == 401 && !strings.Contains(r.challenge, "use_dpop_nonce") && !c.faults.explain(keyIsNew, s.kid, sent) {
		r.wrong = "not told to use a nonce: " + r.challenge
	}
	c.judge(firstDPoP, s.kid, sent, r, 401)
	if r.nonce == "" {
		return
	}
	proof, sent := c.proof(s.token, r.nonce), time.Now()
	r = c.remember(c.send(ctx, n+1, s.token, proof, strings.NewReader(callWhoami)))
	c.judge(secondDPoP, s.kid, sent, r, 200)
	c.keep(s, proof, r)
}

// twiceAtOnce sends one proof to both replicas: one of them is to accept it.
func (c *clients) twiceAtOnce(ctx context.Context, _ int) {
	s := c.bound()
	proof, sent := c.proof(s.token, c.currentNonce()), time.Now()
	var replies [2]reply
	var wg sync.WaitGroup
	for at := range replies {
		wg.Go(func() { replies[at] = c.remember(c.send(ctx, at, s.token, proof, strings.NewReader(callWhoami))) })
	}
	wg.Wait()
	// The first is the one that was accepted, or, with Redis gone, the one whose acceptance got lost: an answer of
	// Redis that does not come leaves a proof used.
	if replies[1].status == 200 || replies[1].status == 503 && replies[0].status == 401 {
		replies[0], replies[1] = replies[1], replies[0]
	}
	c.judge(replayAtOnce, s.kid, sent, replies[0], 200)
	c.judge(replayAtOnce, s.kid, sent, replies[1], 401)
	c.keep(s, proof, replies[0])
}

// later sends a proof again that was accepted before.
func (c *clients) later(ctx context.Context, n int) {
	c.mu.Lock()
	c.used = slices.DeleteFunc(c.used, func(u usedProof) bool { return time.Since(u.at) > proofLife })
	var u usedProof
	if len(c.used) > 0 {
		u = c.used[rand.IntN(len(c.used))]
	}
	c.mu.Unlock()
	if u.proof == "" {
		c.dpop(ctx, n)
		return
	}
	sent := time.Now()
	c.judge(replayLater, u.kid, sent, c.remember(c.send(ctx, n, u.token, u.proof, strings.NewReader(callWhoami))), 401)
}

// tooMuch is one caller who asks for more than his rate, everywhere.
func (c *clients) tooMuch(ctx context.Context, n int) {
	s, sent := c.token(greedy, issuer.Token{}), time.Now()
	c.judge(greedy, s.kid, sent, c.send(ctx, n, s.token, "", strings.NewReader(strings.Replace(callReport, "%d", "1", 1))), 200, 429)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.greed.first.IsZero() || sent.Before(c.greed.first) {
		c.greed.first = sent
	}
	c.greed.last = time.Now()
}

// bad sends a token that is never to be accepted.
func (c *clients) bad(ctx context.Context, n int, kind string, t issuer.Token) {
	if t.Resource == "" {
		t.Resource = c.resource
	}
	t.Subject, t.Scope = user(), replica.Scope
	token, kid := c.issuer.Token(t)
	if kind == forged || kind == unknownKid {
		kid = ""
	}
	sent := time.Now()
	c.judge(kind, kid, sent, c.send(ctx, n, token, "", strings.NewReader(callWhoami)), 401)
}

func (c *clients) expired(ctx context.Context, n int) {
	c.bad(ctx, n, expired, issuer.Token{Left: -time.Minute})
}

func (c *clients) audience(ctx context.Context, n int) {
	c.bad(ctx, n, audience, issuer.Token{Resource: "https://other.example.com/mcp"})
}

func (c *clients) forged(ctx context.Context, n int) {
	c.bad(ctx, n, forged, issuer.Token{Forged: true})
}

func (c *clients) unknownKid(ctx context.Context, n int) {
	c.bad(ctx, n, unknownKid, issuer.Token{UnknownKey: true})
}

// withdrawn sends a token of a key that every replica must have given up by now, good in every other respect.
func (c *clients) withdrawn(ctx context.Context, n int) {
	c.mu.Lock()
	var candidates []signed
	for _, s := range c.old {
		if c.faults.gone(s.kid) {
			candidates = append(candidates, s)
		}
	}
	c.mu.Unlock()
	if len(candidates) == 0 {
		c.bearer(ctx, n)
		return
	}
	sent := time.Now()
	old := candidates[rand.IntN(len(candidates))]
	c.judge(withdrawnKid, old.kid, sent, c.send(ctx, n, old.token, "", strings.NewReader(callWhoami)), 401)
}

func (c *clients) noScope(ctx context.Context, n int) {
	s, sent := c.token("poor", issuer.Token{Scope: "other"}), time.Now()
	c.judge(noScope, s.kid, sent, c.send(ctx, n, s.token, "", strings.NewReader(strings.Replace(callReport, "%d", "1", 1))), 403)
}

func (c *clients) noToken(ctx context.Context, n int) {
	sent := time.Now()
	c.judge(noToken, "", sent, c.send(ctx, n, "", "", strings.NewReader(callWhoami)), 401)
}

func (c *clients) downgrade(ctx context.Context, n int) {
	s, sent := c.bound(), time.Now()
	c.judge(downgrade, s.kid, sent, c.send(ctx, n, s.token, "", strings.NewReader(callWhoami)), 401)
}

func (c *clients) otherURL(ctx context.Context, n int) {
	s := c.bound()
	proof, sent := c.key.Proof(http.MethodPost, "https://other.example.com/mcp", s.token, c.currentNonce()), time.Now()
	c.judge(otherURL, s.kid, sent, c.send(ctx, n, s.token, proof, strings.NewReader(callWhoami)), 401)
}

// revoked sends a token that was revoked. Every second it revokes another one, which both replicas have accepted.
func (c *clients) revoked(ctx context.Context, n int) {
	c.mu.Lock()
	due := time.Now().After(c.spoilt)
	if due {
		c.spoilt = time.Now().Add(time.Second)
	}
	var s signed
	if len(c.gone) > 0 {
		s = c.gone[rand.IntN(len(c.gone))]
	}
	c.mu.Unlock()
	if due || s.token == "" {
		s = c.spoil(ctx, n)
	}
	if s.token == "" {
		return
	}
	sent := time.Now()
	c.judge(revokedToken, s.kid, sent, c.send(ctx, n, s.token, "", strings.NewReader(callWhoami)), 401)
}

// spoil revokes a token of its own through one replica. It returns nothing where that is not certain.
func (c *clients) spoil(ctx context.Context, n int) signed {
	t := issuer.Token{Resource: c.resource, Subject: user(), ID: "spoilt " + time.Now().Format(time.RFC3339Nano)}
	token, kid := c.issuer.Token(t)
	for at := range c.urls {
		sent := time.Now()
		c.judge(freshBearer, kid, sent, c.send(ctx, at, token, "", strings.NewReader(callWhoami)), 200)
	}
	sent := time.Now()
	err := c.revocations[n%len(c.revocations)].Revoke(ctx, mcpauth.Revocation{Issuer: c.issuer.URL, JWTID: t.ID, Until: time.Now().Add(2 * time.Hour)})
	switch {
	case err == nil:
	case c.faults.explain(redisGone, "", sent) || ctx.Err() != nil:
		return signed{}
	default:
		c.tally.complain("Revoke: %v", err)
		return signed{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := signed{token, kid}
	if len(c.gone) < maxKept {
		c.gone = append(c.gone, s)
	} else {
		c.gone[rand.IntN(maxKept)] = s
	}
	return s
}

// huge is more than Config.MaxBodyBytes; the answer can get lost, since the server does not read on.
func (c *clients) huge(ctx context.Context, n int) {
	s, sent := c.token(user(), issuer.Token{}), time.Now()
	c.judge(hugeBody, s.kid, sent, c.send(ctx, n, s.token, "", &endless{8 << 20}), 413, 0)
}

func (c *clients) hugeUnknown(ctx context.Context, n int) {
	sent := time.Now()
	c.judge(hugeUnknown, "", sent, c.send(ctx, n, "", "", &endless{8 << 20}), 401, 0)
}

func (c *clients) slowReader(ctx context.Context, n int) {
	token, kid := c.issuer.Token(issuer.Token{Resource: c.resource, Subject: "slow " + strconv.FormatUint(rand.Uint64(), 36), Scope: replica.Scope})
	sent := time.Now()
	c.judge(slowReader, kid, sent, c.readSlowly(ctx, n, token), 200)
}

func (c *clients) slowSender(ctx context.Context, n int) {
	s, sent := c.token(user(), issuer.Token{}), time.Now()
	c.judge(slowSender, s.kid, sent, c.sendSlowly(ctx, n, s.token), 0)
}

// hangUp goes away after some milliseconds, whatever has come by then.
func (c *clients) hangUp(ctx context.Context, n int) {
	s, sent := c.token(user(), issuer.Token{}), time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(5000))*time.Microsecond)
	defer cancel()
	c.judge(hangUp, s.kid, sent, c.send(ctx, n, s.token, "", strings.NewReader(callWhoami)), 200, 0)
}
