package mcpauth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// "What stands to the left of it came from the client, who can write anything, and is not looked at." In Forwarded it is looked at: one
// malformed line of the client's own makes the whole malformed, and where the address cannot be told "nothing is limited".
func TestAClientCannotHideFromFailuresBehindForwarded(t *testing.T) {
	for name, own := range map[string]string{"an open quote": `for="`, "no pair": "x", "long": "for=" + strings.Repeat("a", 9<<10)} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour}
				cfg.Limits.Proxies = mcpauth.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, Field: "Forwarded"}
			})
			h := auth.Wrap(&spy{})
			bad, last := is.token(t, claims{"aud": "https://other.example"}), 0
			for range 10 {
				r := post(rpc("ping", nil), bad)
				r.RemoteAddr = "10.0.0.1:1"
				r.Header["Forwarded"] = []string{own, "for=198.51.100.1"} // the client's line, and the proxy's
				last = serve(h, r).Code
			}
			require.Equal(t, http.StatusTooManyRequests, last)
		})
	}
}

// "Other spellings of a resource's URI count as that URI", and "the exact key wins over a longer prefix": not where a prefix
// takes the other spelling first.
func TestOtherSpellingsCountBesidePrefixes(t *testing.T) {
	is := newIssuer(t)
	for _, broad := range []string{"resources/read *", "resources/read FILE*", "*"} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Limits.Operations = map[string]mcpauth.Rate{
				broad: {Events: 1000, Per: time.Minute}, "resources/read file:///big": {Events: 1, Per: time.Hour},
			}
		})
		auth.RequireResource("file:///big", scopes.Authenticated())
		auth.RequireResource("FILE:///big", scopes.Authenticated())
		h := auth.Wrap(&spy{})
		read := func(uri string) int {
			return serve(h, post(rpc("resources/read", map[string]any{"uri": uri}), is.token(t))).Code
		}
		require.Equal(t, http.StatusOK, read("file:///big"))
		require.Equal(t, http.StatusTooManyRequests, read("file:///big"))
		require.Equal(t, http.StatusTooManyRequests, read("FILE:///big"), broad)
	}
}

// "An error says what is wrong with them, and never shows them." Over HTTP the key is struck out of what an Authenticator says; here
// the same error goes to the caller of StdioContext, who prints it.
func TestStdioErrorsHoldNoKey(t *testing.T) {
	const variable, key = "SECOND_REVIEW_KEY", "k-0123456789abcdef0123456789"
	t.Setenv(variable, key)
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			return nil, fmt.Errorf("no such key: %q", r.Header.Get("X-Signature"))
		}, "Signature", "X-Signature")}
	})
	_, err := auth.StdioContext(t.Context(), mcpauth.Stdio{KeyVariable: variable})
	require.Error(t, err)
	require.NotContains(t, err.Error(), key)
}

// The commonest error that quotes credentials is that of net/http, of an Authenticator that asks a service: a *url.Error has
// them escaped. What Basic credentials hold is encoded, and the Authenticator's error has it decoded.
func TestCausesHoldNoCredentialsInOtherForms(t *testing.T) {
	const key = "k/0123456789+abcdef/0123456789=="
	cases := map[string]struct{ field, secret string }{
		"in a query":  {key, url.QueryEscape(key)},
		"in a path":   {key, url.PathEscape(key)},
		"in base64":   {"Basic " + base64.StdEncoding.EncodeToString([]byte("ada:correct horse battery")), "correct horse battery"},
		"a part only": {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWNyZXQtcGVyc29uIn0.c2lnbmF0dXJl", "eyJzdWIiOiJzZWNyZXQtcGVyc29uIn0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var log audit
			auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
				cfg.OnDecision = log.add
				cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) {
					return nil, &url.Error{Op: "Get", URL: "https://keys.example.com/" + c.secret, Err: errors.New("down")}
				}, "Signature", "X-Signature")}
			})
			serve(auth.Wrap(&spy{}), with(post(rpc("ping", nil), ""), "X-Signature", c.field))
			require.NotContains(t, log.take()[0].Cause, c.secret)
		})
	}
}

// "What the program has declared stays as it is": RequireAnnotated of the program is a declaration, and a file that names the tool, or has
// a pattern that covers it, takes it back. (RequireTool on both sides would be a clash, or both would count.)
func TestAFileDoesNotTakeBackAnnotatedRules(t *testing.T) {
	for _, tools := range []string{`{"wipe": "authenticated"}`, `{"*": "authenticated"}`} {
		auth, _ := newAuth(t, newIssuer(t), nil)
		server := protectedWith(auth, saying("wipe", nil))
		require.NoError(t, auth.RequireAnnotated(t.Context(), server, byAnnotation))
		require.False(t, may(t, auth, "reader", "wipe"))
		_ = auth.LoadPolicy([]byte(`{"version":1,"tools":` + tools + `}`)) // it may as well be refused
		require.False(t, may(t, auth, "reader", "wipe"), tools)
	}
}

// A rule or sign-in for a prefix or a URI counts in every spelling of it, as declared and as asked. A template's counts
// as it was declared only, where a broader template of the same server serves the other spelling.
func TestTemplatesInAnotherSpelling(t *testing.T) {
	read, admin := scopes.Authenticated(), scopes.Role("admin")
	for _, name := range []string{"files://Host/secret/*", "files://Host/secret/{name}", "files://host/%73ecret/{name}"} {
		auth, _ := newAuth(t, newIssuer(t), nil)
		auth.RequireResource("files://{+rest}", read)
		auth.RequireResource(name, admin)
		p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant(nil, nil)})
		err := auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: "resources/read", Name: "files://host/secret/a"}})
		require.Error(t, err, name)
	}
}

// Whoever guesses cannot have his failures given back by good requests of his own that are in flight.
func TestGoodLooksGiveBackTheirOwn(t *testing.T) {
	var looks int
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour}
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			if r.Header.Get("X-Signature") == "good" {
				return adas(), nil
			}
			looks++
			return nil, errors.New("no")
		}, "Signature", "X-Signature")}
	})
	h := auth.Wrap(&spy{})
	for i := range 20 {
		serve(h, with(post(rpc("ping", nil), ""), "X-Signature", strconv.Itoa(i)))
		serve(h, with(post(rpc("ping", nil), ""), "X-Signature", "good"))
	}
	require.Equal(t, 3, looks)
}

// A pattern ends in the middle of a URI, and what is normal for a whole one is another thing there: "?" at the end of "list?*" is
// no empty query, the dot of "acme.*" ends no name, "h:80*" is no port yet. Its normal form is a shorter prefix, which
// opens what nothing was declared for, and takes the place of the stricter rule of a shorter pattern.
func TestPatternsOpenNothingButWhatTheySay(t *testing.T) {
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant(nil, nil)})
	for pattern, c := range map[string]struct{ opened, broader string }{
		"notes://search?*":     {"notes://search-index/private", "notes://*"},
		"notes://a/list?*":     {"notes://a/listings/salaries", "notes://a/*"},
		"notes://a/x#*":        {"notes://a/xyz", "notes://a/*"},
		"repo://acme.*":        {"repo://acme-internal/keys", "repo://*"},
		"repo://acme:*":        {"repo://acme-internal/keys", "repo://*"},
		"repo://acme:8*":       {"repo://acme-internal/keys", "repo://*"},
		"http://h:80*":         {"http://h.evil.example/", "http://*"},
		"https://bot@*":        {"https://elsewhere.example/", "https://e*"},
		"file://localhost*":    {"file:///etc/shadow", "file:///e*"},
		"notes://a/report%20*": {"notes://a/reports/board", "notes://a/*"},
	} {
		t.Run(pattern, func(t *testing.T) {
			read := func(auth *mcpauth.Middleware) error {
				return auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: "resources/read", Name: c.opened}})
			}
			auth, _ := newAuth(t, newIssuer(t), nil)
			auth.RequireResource(pattern, scopes.Authenticated())
			if read(auth) == nil {
				t.Errorf("%s opens %s, for which nothing was declared", pattern, c.opened)
			}
			auth, _ = newAuth(t, newIssuer(t), nil)
			auth.RequireResource(c.broader, scopes.Role("admin"))
			require.Error(t, read(auth))
			auth.RequireResource(pattern, scopes.Authenticated())
			if read(auth) == nil {
				t.Errorf("%s takes back the rule of %s for %s", pattern, c.broader, c.opened)
			}
		})
	}
}

// A caller who hangs up ends the context, and with it the question to the store. Limits.Open is for a store that cannot tell, not for
// callers who do not let it: redisstore.Find minds the same. With HTTP/2, a request and its reset fit into one packet.
func TestWhoHangsUpIsCountedAllTheSame(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 1, Per: time.Hour}, Store: contextStore{}, Open: true}
	})
	inside := &spy{}
	h := auth.Wrap(inside)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t))).Code)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	require.NotEqual(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t)).WithContext(ctx)).Code, "it reached the handler, uncounted")
}

// contextStore counts as every store does that is asked over the network: not for a context that has ended.
type contextStore struct{}

func (contextStore) Take(ctx context.Context, _ [32]byte, _ []mcpauth.LimitBucket) (time.Duration, int, error) {
	return 0, 0, ctx.Err()
}

// A cookie that is kept from an Authenticator is no credential, but the Authenticator is asked all the same, and what every one of them does
// first, r.Cookie, returns an error that is not ErrNoCredentials. So pages of other origins use up the failures of their visitors
// (<img src>: no Origin, no preflight, SameSite=None), and a browser's good token is refused beside a cookie that it sends by itself.
func TestACookieThatIsKeptBackIsNoCredential(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour}
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			if _, err := r.Cookie("sid"); err != nil {
				return nil, err
			}
			return adas(), nil
		}, "", "Cookie")}
	})
	h := auth.Wrap(&spy{})
	withCookie := func(token string) int {
		return serve(h, with(post(rpc("ping", nil), token), "Cookie", "sid=0123456789abcdef")).Code
	}
	if got := withCookie(is.token(t)); got != http.StatusOK {
		t.Errorf("a good token beside a cookie: %d", got)
	}
	for range 5 {
		withCookie("")
	}
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t, claims{"jti": "other"}))).Code, "the visitor's own client")
}

// What an Authenticator panics with may quote the credentials as its errors do.
func TestPanicsHoldNoCredentials(t *testing.T) {
	const key = "k-0123456789abcdef0123456789"
	var log audit
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			panic("no such key: " + r.Header.Get("X-Signature"))
		}, "Signature", "X-Signature")}
	})
	serve(auth.Wrap(&spy{}), with(post(rpc("ping", nil), ""), "X-Signature", key))
	require.NotContains(t, log.take()[0].Cause, key)
}

// "If there is any mistake, nothing changes, and the error joins a PolicyError for each." A rule that is as long, or as deep, as one may be
// is longer with BaseScopes, or with what the program says of the same name, and scopes.And panics: LoadPolicy with it, and with that
// the process of WatchPolicyFile. The file is in force by then, but for the index.
func TestALongRuleOfAFileIsAMistake(t *testing.T) {
	long := "a" + strings.Repeat("a", 16<<10-5)
	deep := "x"
	for i := range 31 {
		deep = "(" + deep + ") " + []string{"or", "and"}[i%2] + " s" + strconv.Itoa(i)
	}
	for name, rule := range map[string]string{"long": long, "deep": deep} {
		t.Run(name, func(t *testing.T) {
			data := []byte(`{"version":1,"tools":{"wipe":` + strconv.Quote(rule) + `}}`)
			plain, _ := newAuth(t, newIssuer(t), nil)
			require.NoError(t, plain.LoadPolicy(data), "by itself it is good")
			auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.BaseScopes = []string{"base"} })
			var mistake *mcpauth.PolicyError
			require.NotPanics(t, func() { require.ErrorAs(t, auth.LoadPolicy(data), &mistake) })
		})
	}
}

// The same of two rules that a request brings together: nobody is told at start, and the answer is a 503 for ever.
func TestTwoLongRulesMeetOnce(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	a, b := strings.Repeat("a", 9<<10), strings.Repeat("b", 9<<10)
	auth.RequireTool("wipe_*", scopes.Any("read", a))
	require.NotPanics(t, func() {
		if err := auth.LoadPolicy([]byte(`{"version":1,"tools":{"wipe_all":"read or ` + b + `"}}`)); err == nil {
			p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant([]string{"read"}, nil)})
			require.NoError(t, auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: tool("wipe_all")}))
		}
	})
}
