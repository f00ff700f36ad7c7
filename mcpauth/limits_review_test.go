package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// "A guest is known by the address alone", but for Operations all guests are one caller: one of them shuts out all others.
func TestLimits_OperationsOfGuests(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Guests = []string{"tools/list"}
		cfg.Limits.Operations = map[string]mcpauth.Rate{"tools/list": {Events: 1, Per: time.Minute}}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	list := func(addr string) int {
		r := post(rpc("tools/list", nil), "")
		r.RemoteAddr = addr
		return serve(h, r).Code
	}
	require.Equal(t, http.StatusOK, list("192.0.2.1:1"))
	require.Equal(t, http.StatusTooManyRequests, list("192.0.2.1:2"))
	require.Equal(t, http.StatusOK, list("192.0.2.2:1"), "a guest from elsewhere")
}

// Keys that no operation has: the operator believes in a limit that is none.
func TestLimits_KeysThatNoOperationHas(t *testing.T) {
	is := newIssuer(t)
	for _, key := range []string{"tools/list *", "ping x", "initialize *", "Tools/Call send_mail", "tools/call", "tools/call x y*z"} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}},
			Limits: mcpauth.Limits{Operations: map[string]mcpauth.Rate{key: {Events: 1, Per: time.Minute}}}})
		require.Error(t, err, key)
	}
}

// A token in a URL is never looked at, so there is nothing to guess. Any web page can have a visitor's browser send such requests
// (<img src="https://mcp.example.com/mcp?access_token=x">: no Origin, no preflight), and shuts the visitor out.
func TestLimits_AWebPageCannotUseUpTheFailuresOfItsVisitors(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Minute} })
	h := auth.Wrap(&spy{})
	for range 5 {
		r := post("", "")
		r.Method, r.URL.RawQuery, r.Body, r.ContentLength = http.MethodGet, "access_token=x", http.NoBody, 0
		r.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}
		require.Equal(t, http.StatusUnauthorized, serve(h, r).Code)
	}
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t))).Code, "the visitor's own client, after it refreshed its token")
}

// Whoever asks at the same time gets as many looks as he likes: the count is taken after the answer is known. With
// introspection, or an Authenticator that asks elsewhere, a look takes long.
func TestLimits_FailuresInParallel(t *testing.T) {
	const guesses = 50
	var looks atomic.Int64
	all := make(chan struct{})
	time.AfterFunc(3*time.Second, func() { close(all) })
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour}
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) {
			looks.Add(1)
			<-all
			return nil, errors.New("no")
		}, "Signature", "X-Signature")}
	})
	h := auth.Wrap(&spy{})
	var wg sync.WaitGroup
	for i := range guesses {
		wg.Go(func() { serve(h, with(post(rpc("ping", nil), ""), "X-Signature", strconv.Itoa(i))) })
	}
	wg.Wait()
	require.LessOrEqual(t, looks.Load(), int64(3))
}

// Credentials that every Authenticator calls ErrNoCredentials are guesses as well: who looks a key up and does not find it
// is likely to say so. While the address is blocked they are counted among credentials (429), and before that they never are.
func TestLimits_CredentialsThatNobodyKnows(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour}
		cfg.Authenticators = []mcpauth.Authenticator{signature(nil, mcpauth.ErrNoCredentials)}
	})
	h := auth.Wrap(&spy{})
	last := 0
	for i := range 10 {
		last = serve(h, with(post(rpc("ping", nil), ""), "X-Signature", fmt.Sprint("guess", i))).Code
	}
	require.Equal(t, http.StatusTooManyRequests, last)
}

// Behind a socket, or a trusted proxy that says nothing, no client has an address. One of them that sends bad tokens must not
// shut out all: a full memory "blocks nobody" for the same reason.
func TestLimits_FailuresFromNowhereBlockNobody(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour} })
	h := auth.Wrap(&spy{})
	send := func(token string) int {
		r := post(rpc("ping", nil), token)
		r.RemoteAddr = "@" // what net/http says of a Unix socket
		return serve(h, r).Code
	}
	for range 4 {
		send("bad")
	}
	require.Equal(t, http.StatusOK, send(is.token(t)))
}

// What a store answers goes into Retry-After, and what is not zero refuses.
func TestLimits_OddAnswersOfAStore(t *testing.T) {
	is := newIssuer(t)
	store := &limitStore{}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 1, Per: time.Minute}, Store: store}
	})
	h := auth.Wrap(&spy{})
	store.wait = math.MaxInt64
	w := serve(h, post(rpc("ping", nil), is.token(t)))
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	after, err := strconv.Atoi(w.Header().Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, after, "Retry-After is a number of seconds (RFC 9110, Section 10.2.3)")
	store.wait = -1 // as PTTL says of a key without an end, or with one that is over
	require.NotEqual(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t))).Code, `"zero, or how long": doubt refuses`)
}

// Rules and logins count for every spelling of a URI; the limit of a resource is got around by another one.
func TestLimits_AnotherSpellingOfAResource(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Operations = map[string]mcpauth.Rate{"resources/read notes://heavy/*": {Events: 1, Per: time.Hour}}
	})
	auth.RequireResource("notes://{+path}", scopes.Authenticated())
	h := auth.Wrap(&spy{})
	read := func(uri string) int {
		return serve(h, post(rpc("resources/read", map[string]any{"uri": uri}), is.token(t))).Code
	}
	require.Equal(t, http.StatusOK, read("notes://heavy/1"))
	require.Equal(t, http.StatusTooManyRequests, read("notes://heavy/1"))
	require.Equal(t, http.StatusTooManyRequests, read("notes://%68eavy/1"))
}

// A panic of a store refuses.
func TestLimits_AStoreThatPanics(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 1, Per: time.Minute}, Store: panicking{}, Open: true}
	})
	require.Equal(t, http.StatusServiceUnavailable, serve(auth.Wrap(&spy{}), post(rpc("ping", nil), is.token(t))).Code)
	local, err := connectLocal(t, mcpauth.NewContext(t.Context(), adas("files:write")), newServer(auth))
	if err == nil {
		require.Contains(t, local.call("whoami"), "Forbidden")
	}
}

type panicking struct{}

func (panicking) Take(context.Context, [32]byte, []mcpauth.LimitBucket) (time.Duration, int, error) {
	panic("store")
}

// Where clients register themselves, as MCP has them do, a user gets a new bucket by registering once more: Limits.Caller limits
// nobody who does not want it. The memory behind it already knows that all these clients are one user.
func TestLimits_AUserWhoRegistersAnew(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits.Caller = mcpauth.Rate{Events: 2, Per: time.Hour} })
	h := auth.Wrap(&spy{})
	limited := false
	for i := range 20 {
		limited = limited || serve(h, post(rpc("ping", nil), is.token(t, claims{"client_id": fmt.Sprint("dcr-", i)}))).Code == http.StatusTooManyRequests
	}
	require.True(t, limited, "twenty requests of one user within the hour")
}
