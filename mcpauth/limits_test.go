package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func requireLimited(t testing.TB, w *httptest.ResponseRecorder, after string) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, w.Code, w.Body)
	require.Equal(t, after, w.Header().Get("Retry-After"))
	require.NotContains(t, w.Header(), "Www-Authenticate", "CH-23: another token is no cure")
	require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":429,"message":"Too Many Requests"}}`, w.Body.String())
}

// Each caller has its own count, each application one of all its users, and each operation one of each caller.
func TestLimits(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Limits = mcpauth.Limits{
			Caller: mcpauth.Rate{Events: 4, Per: 4 * time.Second}, Client: mcpauth.Rate{Events: 6, Per: 6 * time.Second},
			Operations: map[string]mcpauth.Rate{"tools/call wri*": {Events: 1, Per: 2 * time.Second}, "ping": {Events: 2, Per: time.Minute, Burst: 1}},
		}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	ada, uma, rio := is.scoped(t, "files:write"), is.token(t, claims{"sub": "uma"}), is.token(t, claims{"sub": "rio", "client_id": "other"})
	status := func(body, token string) int { return serve(h, post(body, token)).Code }
	for range 4 {
		require.Equal(t, http.StatusOK, status(call("whoami"), ada))
	}
	log.take()
	requireLimited(t, serve(h, post(call("whoami"), ada)), "1")
	d := log.take()
	require.Len(t, d, 1)
	require.Equal(t, mcpauth.ReasonRateLimit, d[0].Reason)
	require.Equal(t, "ada", d[0].Principal.Subject())
	require.Equal(t, "at most 4 in 4s for the caller", d[0].Expected)
	require.Equal(t, "more; there is room again in 1s", d[0].Got)

	require.Equal(t, http.StatusOK, status(call("whoami"), uma), "another user, the same application")
	require.Equal(t, http.StatusOK, status(call("whoami"), uma))
	requireLimited(t, serve(h, post(call("whoami"), uma)), "1")
	for range 4 {
		require.Equal(t, http.StatusOK, status(call("whoami"), rio), "another application")
	}
	requireLimited(t, serve(h, post(call("whoami"), rio)), "1")

	clock.advance(time.Minute)
	require.Equal(t, http.StatusOK, status(call("write"), ada))
	requireLimited(t, serve(h, post(call("write"), ada)), "2")
	require.Equal(t, http.StatusOK, status(call("whoami"), ada), "other operations go on")
	clock.advance(10 * time.Second)
	require.Equal(t, http.StatusOK, status(rpc("ping", nil), ada))
	requireLimited(t, serve(h, post(rpc("ping", nil), ada)), "30")
	clock.advance(2 * time.Second)
	require.Equal(t, http.StatusOK, status(call("write"), ada))

	clock.advance(time.Minute)
	for range 4 {
		require.Equal(t, http.StatusForbidden, status(call("purge"), ada), "what is refused counts for the caller")
	}
	requireLimited(t, serve(h, post(call("purge"), ada)), "1")
	clock.advance(time.Minute)
	require.Equal(t, http.StatusForbidden, status(call("write"), uma), "but not for the operation: a refusal costs nothing there")
	require.Equal(t, http.StatusOK, status(call("write"), is.token(t, claims{"sub": "uma", "scope": "files:write"})))
}

// A request that is one too many is not read: the limit comes before its body.
func TestLimits_ComeBeforeTheBody(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits.Caller = mcpauth.Rate{Events: 1, Per: time.Minute} })
	inner := &spy{}
	h := auth.Wrap(inner)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t))).Code)
	require.Equal(t, http.StatusTooManyRequests, serve(h, post("no json", is.token(t))).Code)
	r := httptest.NewRequest(http.MethodGet, testResource, nil)
	r.Header.Set("Authorization", "Bearer "+is.token(t))
	require.Equal(t, http.StatusTooManyRequests, serve(h, r).Code, "on every method")
	require.Equal(t, 1, inner.runs())
}

// Without HTTP, the same counts hold.
func TestLimits_Stdio(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Operations: map[string]mcpauth.Rate{"tools/call *": {Events: 2, Per: time.Minute}}}
	})
	local, err := connectLocal(t, mcpauth.NewContext(t.Context(), adas("files:write")), newServer(auth))
	require.NoError(t, err)
	require.Contains(t, local.call("whoami"), "ada")
	require.Contains(t, local.call("write"), "ada")
	require.Contains(t, local.call("whoami"), "Forbidden")

	auth, _ = newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.Limits.Caller = mcpauth.Rate{Events: 20, Per: time.Hour} })
	local, err = connectLocal(t, mcpauth.NewContext(t.Context(), adas("files:write")), newServer(auth))
	require.NoError(t, err)
	refused := 0
	for range 30 {
		if strings.Contains(local.call("whoami"), "Forbidden") {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 10, "each operation is a request of the caller, too")
	require.Less(t, refused, 30)
}

// A limitStore counts nothing and answers as a test likes.
type limitStore struct {
	wait   time.Duration
	short  int
	err    error
	groups [][32]byte
	asked  [][]mcpauth.LimitBucket
}

func (s *limitStore) Take(ctx context.Context, group [32]byte, buckets []mcpauth.LimitBucket) (time.Duration, int, error) {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > 2*time.Second {
		return 0, 0, errors.New("nobody waits longer than 2 s")
	}
	s.groups, s.asked = append(s.groups, group), append(s.asked, buckets)
	return s.wait, s.short, s.err
}

func TestLimits_SharedStore(t *testing.T) {
	is := newIssuer(t)
	for _, open := range []bool{false, true} {
		store := &limitStore{}
		var text logBuffer
		auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
			cfg.Limits = mcpauth.Limits{
				Caller: mcpauth.Rate{Events: 4, Per: time.Second}, Client: mcpauth.Rate{Events: 5, Per: time.Second, Burst: 7},
				Operations: map[string]mcpauth.Rate{"tools/call whoami": {Events: 6, Per: time.Second}}, Store: store, Open: open,
			}
		})
		h := auth.Wrap(sdkHandler(newServer(auth), true))
		status := func(token string) int { return serve(h, post(call("whoami"), token)).Code }
		require.Equal(t, http.StatusOK, status(is.token(t)))
		require.Len(t, store.asked, 2, "one round trip before the body is read, and one when its rule was met")
		require.Equal(t, []int{2, 1}, []int{len(store.asked[0]), len(store.asked[1])})
		require.Equal(t, 4, store.asked[0][0].Rate.Events)
		require.Equal(t, mcpauth.Rate{Events: 5, Per: time.Second, Burst: 7}, store.asked[0][1].Rate)
		require.Equal(t, 6, store.asked[1][0].Rate.Events)
		keys := func(token string) (out [3][32]byte) {
			store.asked = nil
			require.Equal(t, http.StatusOK, status(token))
			copy(out[:], []([32]byte){store.asked[0][0].Key, store.asked[0][1].Key, store.asked[1][0].Key})
			return out
		}
		ada, uma, other := keys(is.token(t)), keys(is.token(t, claims{"sub": "uma"})), keys(is.token(t, claims{"client_id": "other"}))
		require.NotEqual(t, ada[0], uma[0])
		require.Equal(t, ada[1], uma[1], "users of one application share its count")
		require.NotEqual(t, ada[2], uma[2])
		require.Equal(t, ada[0], other[0], "a user stays the same with another application")
		require.NotEqual(t, ada[1], other[1])
		require.Equal(t, ada[2], other[2])

		store.wait = 90 * time.Second
		for short, whose := range map[int]string{-1: "caller", 0: "caller", 1: "application", 9: "application"} { // one that there is not is the nearest
			store.short = short
			text.Reset()
			requireLimited(t, serve(h, post(call("whoami"), is.token(t))), "90")
			require.Contains(t, text.String(), "for the "+whose)
		}
		store.wait, store.err = 0, errors.New("out of reach")
		text.Reset()
		if open {
			require.Equal(t, http.StatusOK, status(is.token(t)))
			require.Equal(t, http.StatusOK, status(is.token(t)))
			require.Equal(t, 1, strings.Count(text.String(), "nobody counts"), "said once, not each time")
			clock.advance(10 * time.Second)
			require.Equal(t, http.StatusOK, status(is.token(t)))
			require.Equal(t, 1, strings.Count(text.String(), "nobody counts"))
			clock.advance(time.Second)
			require.Equal(t, http.StatusOK, status(is.token(t)))
			require.Equal(t, 2, strings.Count(text.String(), "nobody counts"))
			continue
		}
		require.Equal(t, http.StatusServiceUnavailable, status(is.token(t)))
		require.Contains(t, text.String(), string(mcpauth.ReasonLimitStore))
		require.Contains(t, text.String(), "out of reach")
	}
}

// A store that is gone costs a request its time once, however many operations are in it.
func TestLimits_OpenAsksALostStoreOnce(t *testing.T) {
	is := newIssuer(t)
	for _, open := range []bool{false, true} {
		store := &limitStore{err: errors.New("out of reach")}
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Limits = mcpauth.Limits{Operations: map[string]mcpauth.Rate{"tools/call *": {Events: 6, Per: time.Second}}, Store: store, Open: open}
		})
		reached := &spy{}
		auth.RequireTool("whoami", scopes.Authenticated())
		batch := "[" + strings.Repeat(call("whoami")+",", 9) + call("whoami") + "]"
		w := serve(auth.Wrap(reached), post(batch, is.token(t)))
		require.Len(t, store.asked, 1)
		require.Equal(t, open, w.Code == http.StatusOK)
		require.Equal(t, open, reached.runs() == 1)

		store.err, store.asked = nil, nil
		require.Equal(t, http.StatusOK, serve(auth.Wrap(reached), post(batch, is.token(t))).Code)
		require.Len(t, store.asked, 10, "each counts where somebody counts")
	}
}

// A memory that is full refuses whom it does not know, and goes on for whom it does.
func TestLimits_FullMemory(t *testing.T) {
	is := newIssuer(t)
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 10, Per: time.Minute}, MaxBuckets: 16}
	})
	h := auth.Wrap(&spy{})
	status := func(sub string) int { return serve(h, post(rpc("ping", nil), is.token(t, claims{"sub": sub}))).Code }
	refused := 0
	for i := range 40 {
		if status(string(rune('a'+i))) == http.StatusServiceUnavailable {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 24)
	require.Equal(t, http.StatusOK, status("a"), "who is known goes on")
	clock.advance(time.Minute)
	require.Equal(t, http.StatusOK, status("later"), "buckets that are full again make room")
}

// SEC-06: whoever sends one bad credential after another is not looked at any more, and others are.
func TestSEC06_Failures(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ci", Name: "ci"}}})
	require.NoError(t, err)
	var log audit
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Authenticators = []mcpauth.Authenticator{keys, mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			if r.Header.Get("Authorization") == "Basic good" {
				return adas(), nil
			}
			return nil, mcpauth.ErrNoCredentials
		}, "", "Authorization")}
		cfg.Limits = mcpauth.Limits{
			Failures: mcpauth.Rate{Events: 3, Per: 3 * time.Minute}, Proxies: mcpauth.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}},
		}
	})
	h := auth.Wrap(&spy{})
	known, fresh, bad := is.token(t), is.token(t, claims{"jti": "2"}), is.token(t, claims{"aud": "https://other.example"})
	from := func(addr string, r *http.Request) int {
		r.RemoteAddr = addr
		return serve(h, r).Code
	}
	ping := func(token string) *http.Request { return post(rpc("ping", nil), token) }
	require.Equal(t, http.StatusOK, from("192.0.2.1:1", ping(known)))
	for range 2 {
		require.Equal(t, http.StatusUnauthorized, from("192.0.2.1:2", ping(bad)))
		require.Equal(t, http.StatusUnauthorized, from("192.0.2.1:2", ping("")), "no credentials are no failure")
	}
	require.Equal(t, http.StatusUnauthorized, from("192.0.2.1:3", with(ping(""), "X-Api-Key", key+"x")))
	log.take()
	r := ping(bad)
	r.RemoteAddr = "192.0.2.1:4"
	requireLimited(t, serve(h, r), "60")
	require.Equal(t, mcpauth.ReasonFailures, log.take()[0].Reason)
	for name, r := range map[string]*http.Request{
		"a good token": ping(fresh), "a good key": with(ping(""), "X-Api-Key", key), "a good scheme of one's own": with(ping(""), "Authorization", "Basic good"),
	} {
		require.Equal(t, http.StatusTooManyRequests, from("192.0.2.1:5", r), name)
	}
	require.Equal(t, http.StatusOK, from("192.0.2.1:6", ping(known)), "what is remembered as good goes on")
	require.Equal(t, http.StatusUnauthorized, from("192.0.2.1:6", ping("")), "and so does the way to a login")
	require.Equal(t, http.StatusOK, from("192.0.2.2:1", ping(fresh)), "another address")

	clock.advance(time.Minute)
	third := is.token(t, claims{"jti": "3", "exp": epoch.Add(time.Hour).Unix()})
	require.Equal(t, http.StatusOK, from("192.0.2.1:7", ping(third)))

	t.Run("one subscriber has a whole network", func(t *testing.T) {
		for range 3 {
			require.Equal(t, http.StatusUnauthorized, from("[2001:db8::1]:1", ping(bad)))
		}
		require.Equal(t, http.StatusTooManyRequests, from("[2001:db8::2]:1", ping(bad)))
		require.Equal(t, http.StatusUnauthorized, from("[2001:db8:0:1::1]:1", ping(bad)))
	})
	t.Run("behind a proxy", func(t *testing.T) {
		for range 3 {
			require.Equal(t, http.StatusUnauthorized, from("10.0.0.1:1", with(ping(bad), "X-Forwarded-For", "198.51.100.9, 198.51.100.1")))
		}
		require.Equal(t, http.StatusTooManyRequests, from("10.0.0.1:1", with(ping(bad), "X-Forwarded-For", "198.51.100.8, 198.51.100.1")), "what the client writes does not count")
		require.Equal(t, http.StatusUnauthorized, from("10.0.0.1:1", with(ping(bad), "X-Forwarded-For", "198.51.100.2")))
		require.Equal(t, http.StatusUnauthorized, from("10.0.0.9:1", with(ping(bad), "X-Forwarded-For", "198.51.100.1")), "nor what others write")
	})
}

// DPoP's first proof without a nonce is how every client begins.
func TestSEC06_NoncesAreNoFailures(t *testing.T) {
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) {
		cfg.DPoP.Nonces = true
		cfg.Limits.Failures = mcpauth.Rate{Events: 1, Per: time.Minute}
	})
	for range 3 {
		requireNonceAsked(t, serve(h, k.signed(post(call("whoami"), ""), token)))
	}
}

func TestLimits_OfGuests(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Guests = []string{"tools/list"}
		cfg.Limits.Caller = mcpauth.Rate{Events: 1, Per: time.Minute}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	list := func(addr string) int {
		r := post(rpc("tools/list", nil), "")
		r.RemoteAddr = addr
		return serve(h, r).Code
	}
	require.Equal(t, http.StatusOK, list("192.0.2.1:1"))
	require.Equal(t, http.StatusTooManyRequests, list("192.0.2.1:2"))
	require.Equal(t, http.StatusOK, list("192.0.2.2:1"))
}

func TestLimits_Mistakes(t *testing.T) {
	is := newIssuer(t)
	good := mcpauth.Rate{Events: 1, Per: time.Second}
	for want, limits := range map[string]mcpauth.Limits{
		"Limits.Caller":   {Caller: mcpauth.Rate{Events: 1}},
		"Limits.Client":   {Client: mcpauth.Rate{Events: -1, Per: time.Second}},
		"Limits.Failures": {Failures: mcpauth.Rate{Events: 1, Per: time.Second, Burst: -1}},
		`Limits.Operations["a"]: the Rate is zero`: {Operations: map[string]mcpauth.Rate{"a": {}}},
		`Limits.Operations[""]`:                    {Operations: map[string]mcpauth.Rate{"": good}},
		`an asterisk may only stand at the end`:    {Operations: map[string]mcpauth.Rate{"a*b": good}},
		`write "tools/call *"`:                     {Operations: map[string]mcpauth.Rate{"tools/call": good}},
		"Limits.Proxies.Trusted":                   {Caller: good, Proxies: mcpauth.Proxies{Trusted: []netip.Prefix{{}}}},
		"Limits.Proxies.Field":                     {Caller: good, Proxies: mcpauth.Proxies{Field: "X-Real-Ip"}},
		"Limits.MaxBuckets: -1":                    {Caller: good, MaxBuckets: -1},
		"Limits: has no Rate":                      {Open: true},
		"Limits.MaxBuckets: is for":                {Caller: good, MaxBuckets: 10, Store: &limitStore{}},
		"Limits.MaxBuckets: 4194305":               {Caller: good, MaxBuckets: 1<<22 + 1},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Limits: limits})
		require.ErrorContains(t, err, want)
	}
	for _, limits := range []mcpauth.Limits{{Store: &limitStore{}}, {MaxBuckets: 1}, {Proxies: mcpauth.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}}} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Limits: limits})
		require.ErrorContains(t, err, "Limits: has no Rate")
	}
	for _, limits := range []mcpauth.Limits{
		{Caller: good, MaxBuckets: 1 << 22}, {Failures: good, MaxBuckets: 10, Store: &limitStore{}},
		{Operations: map[string]mcpauth.Rate{"*": good, "tools/*": good, "tools/call*": good, "tools/call *": good, "tools/call a": good, "ping": good}},
	} {
		newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits = limits })
	}
}

// The exact key, then the longest prefix; no key counts for what it does not name.
func TestLimits_WhichKey(t *testing.T) {
	is := newIssuer(t)
	store := &limitStore{}
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		rate := func(events int) mcpauth.Rate { return mcpauth.Rate{Events: events, Per: time.Minute, Burst: 9} }
		cfg.Limits = mcpauth.Limits{Store: store, Operations: map[string]mcpauth.Rate{
			"tools/call w": rate(1), "tools/call wr*": rate(2), "tools/call write*": rate(3), "tools/call whoami": rate(4), "tools/call who*": rate(5),
			"tools/call f*": rate(6), "tools/call ma*": rate(7), "tools/call exactly-this": rate(8), "ping": rate(9), "tools/l*": rate(10),
			"tools/call a*": rate(11), "tools/call ab*": rate(12), "tools/call abc*": rate(13), "tools/call abcd*": rate(14), "tools/call abcde*": rate(15),
		}}
	})
	auth.RequireTool("*", scopes.Authenticated())
	h := auth.Wrap(&spy{})
	for body, want := range map[string]int{
		call("w"): 1, call("wr"): 2, call("write"): 3, call("writer"): 3, call("wri"): 2, call("whoami"): 4, call("whoami2"): 5, call("who"): 5,
		call("f"): 6, call("mad"): 7, call("m"): 0, call("wx"): 0, call("exactly-this-and-more"): 0, call("exactly"): 0,
		call("a"): 11, call("abx"): 12, call("abcx"): 13, call("abcdx"): 14, call("abcdef"): 15,
		rpc("ping", nil): 9, rpc("tools/list", nil): 10, rpc("prompts/list", nil): 0,
	} {
		store.asked = nil
		require.Equal(t, http.StatusOK, serve(h, post(body, is.token(t))).Code)
		if want == 0 {
			require.Empty(t, store.asked, "where nothing counts, nobody is asked: %s", body)
			continue
		}
		require.Len(t, store.asked, 1, body)
		require.Equal(t, want, store.asked[0][0].Rate.Events, body)
	}
	store.wait = time.Second
	log.take()
	serve(h, post(call("w"), is.token(t)))
	require.Equal(t, "at most 1 in 1m0s, 9 at once for the caller, of tools/call w", log.take()[0].Expected)
	serve(h, post(rpc("ping", nil), is.token(t)))
	require.Equal(t, "at most 9 in 1m0s for the caller, of ping", log.take()[0].Expected)
}

// Names that only look alike when they are written one behind the other have counts of their own.
func TestLimits_KeysOfCallers(t *testing.T) {
	store := &limitStore{}
	var p *mcpauth.Principal
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return p, nil }, "", "X-Signature")}
		rate := mcpauth.Rate{Events: 1, Per: time.Minute}
		cfg.Limits = mcpauth.Limits{Caller: rate, Client: rate, Operations: map[string]mcpauth.Rate{"ping": rate}, Store: store}
	})
	h := auth.Wrap(&spy{})
	ask := func(issuer, client string) (out []mcpauth.LimitBucket) {
		store.asked = nil
		p = mcpauth.NewPrincipal(mcpauth.Identity{Issuer: issuer, Subject: "ada", ClientID: client, Grant: scopes.NewGrant(nil, nil)})
		require.Equal(t, http.StatusOK, serve(h, with(post(rpc("ping", nil), ""), "X-Signature", "s")).Code)
		for _, buckets := range store.asked {
			out = append(out, buckets...)
		}
		return out
	}
	one, two := ask("urn:a", "bc"), ask("urn:ab", "c")
	require.Len(t, one, 3)
	for i := range one {
		require.NotEqual(t, one[i].Key, two[i].Key)
	}
	require.NotEqual(t, ask("urn:b", "c")[1].Key, ask("urn:c", "c")[1].Key, "a client id is unique within one issuer")
	require.Len(t, ask("urn:a", ""), 2, "without a client id there is no application to count for")
}

// One user who registers client after client has one count, and does not use up the memory for others.
func TestLimits_OneUserWithManyClients(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 100, Per: time.Minute}, Client: mcpauth.Rate{Events: 10, Per: time.Minute}, MaxBuckets: 64}
	})
	h := auth.Wrap(&spy{})
	status := func(sub, client string) int {
		return serve(h, post(rpc("ping", nil), is.token(t, claims{"sub": sub, "client_id": client}))).Code
	}
	refused := 0
	for i := range 80 {
		if status("mallory", fmt.Sprint("client ", i)) == http.StatusServiceUnavailable {
			refused++
		}
	}
	require.GreaterOrEqual(t, refused, 45, "half of the memory is not to be had for one user")
	require.Equal(t, http.StatusOK, status("ada", "app"))
}

// A batch counts as often as it calls, and nothing of it counts where it is refused for another reason.
func TestLimits_Batches(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Operations = map[string]mcpauth.Rate{"tools/call whoami": {Events: 2, Per: time.Minute}}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), false))
	session := serve(h, atRevision("2025-03-26", post(rpc("initialize", map[string]any{
		"protocolVersion": "2025-03-26", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "c", "version": "1"},
	}), is.token(t)))).Header().Get("Mcp-Session-Id")
	require.NotEmpty(t, session)
	batch := func(tools ...string) int {
		var calls []string
		for _, name := range tools {
			calls = append(calls, strings.Replace(call(name), `"id":7`, `"id":"`+name+`"`, 1))
		}
		return serve(h, with(atRevision("2025-03-26", post("["+strings.Join(calls, ",")+"]", is.token(t))), "Mcp-Session-Id", session)).Code
	}
	require.Equal(t, http.StatusForbidden, batch("whoami", "whoami", "purge"))
	require.Equal(t, http.StatusTooManyRequests, batch("whoami", "whoami", "whoami"))
}

// What is asked at once is asked in one call, of buckets that are always in one group: those of an issuer where applications are
// counted, which have callers in common, else those of a caller.
func TestLimits_Groups(t *testing.T) {
	one := mcpauth.Rate{Events: 1, Per: time.Minute}
	for name, tt := range map[string]struct {
		limits     mcpauth.Limits
		sameIssuer bool // all callers of an issuer are in one group
		calls      []int
	}{
		"all":                    {mcpauth.Limits{Caller: one, Client: one, Operations: map[string]mcpauth.Rate{"tools/call whoami": one}}, true, []int{2, 1}},
		"applications":           {mcpauth.Limits{Client: one}, true, []int{1}},
		"callers":                {mcpauth.Limits{Caller: one}, false, []int{1}},
		"callers, operations":    {mcpauth.Limits{Caller: one, Operations: map[string]mcpauth.Rate{"tools/call *": one}}, false, []int{1, 1}},
		"operations by a caller": {mcpauth.Limits{Operations: map[string]mcpauth.Rate{"tools/call *": one}}, false, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			is, other := newIssuer(t), newIssuer(t)
			store := &limitStore{}
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Limits, cfg.Limits.Store = tt.limits, store
				cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL})
			})
			server := newServer(auth)
			h := auth.Wrap(sdkHandler(server, true))
			groupOf := map[[32]byte][32]byte{}
			group := func(token string) [32]byte {
				store.asked, store.groups = nil, nil
				require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), token)).Code)
				require.Len(t, store.asked, len(tt.calls))
				for i, buckets := range store.asked {
					require.Len(t, buckets, tt.calls[i])
					require.Equal(t, store.groups[0], store.groups[i])
					for _, b := range buckets {
						if before, ok := groupOf[b.Key]; ok {
							require.Equal(t, before, store.groups[i], "a bucket in two groups")
						}
						groupOf[b.Key] = store.groups[i]
					}
				}
				return store.groups[0]
			}
			ada, uma := group(is.token(t)), group(is.token(t, claims{"sub": "uma"}))
			require.Equal(t, ada, group(is.token(t, claims{"client_id": "another"})), "one caller, another application")
			require.Equal(t, tt.sameIssuer, ada == uma)
			require.NotEqual(t, ada, group(other.token(t)), "another issuer's")
		})
	}
}

// Without HTTP an operation is a request as well, and costs one call.
func TestLimits_OneCallWithoutHTTP(t *testing.T) {
	one := mcpauth.Rate{Events: 9, Per: time.Minute}
	store := &limitStore{}
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Caller: one, Client: one, Operations: map[string]mcpauth.Rate{"tools/call whoami": one}, Store: store}
	})
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:mine", Subject: "ada", ClientID: "app", Grant: scopes.NewGrant([]string{"files:read"}, nil)})
	local, err := connectLocal(t, mcpauth.NewContext(t.Context(), p), newServer(auth))
	require.NoError(t, err)
	store.asked = nil
	local.call("whoami")
	require.Len(t, store.asked, 1)
	require.Len(t, store.asked[0], 3)
}

// Whoever is refused for what others used up loses nothing of his own, and who used up his own takes nothing from them.
func TestLimits_AllOrNone(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Limits = mcpauth.Limits{
			Caller: mcpauth.Rate{Events: 3, Per: time.Hour}, Client: mcpauth.Rate{Events: 4, Per: 4 * time.Minute},
		}
	})
	h := auth.Wrap(&spy{})
	status := func(token string) int { return serve(h, post(rpc("ping", nil), token)).Code }
	ada, uma := is.token(t), is.token(t, claims{"sub": "uma"})
	for range 3 {
		require.Equal(t, http.StatusOK, status(ada))
	}
	for range 5 { // takes nothing from the application, of which one is left
		log.take()
		require.Equal(t, http.StatusTooManyRequests, status(ada))
		require.Equal(t, "at most 3 in 1h0m0s for the caller", log.take()[0].Expected)
	}
	require.Equal(t, http.StatusOK, status(uma))
	for range 5 { // takes nothing from uma, who has two left
		log.take()
		require.Equal(t, http.StatusTooManyRequests, status(uma))
		require.Equal(t, "at most 4 in 4m0s for the application", log.take()[0].Expected)
	}
	clock.advance(2 * time.Minute)
	require.Equal(t, http.StatusOK, status(uma))
	require.Equal(t, http.StatusOK, status(uma))
	clock.advance(4 * time.Minute)
	require.Equal(t, http.StatusTooManyRequests, status(uma), "her own three")
}
