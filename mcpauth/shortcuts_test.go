package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// What is done to be quick: tokens that are remembered, keys of proofs that are, answers and header fields that
// requests share, text that is taken from a body without a copy. Each of these tests goes red if one of them is
// done wrongly.

// A token that is known is known under its scheme, alone, and as a whole: a memory that goes by the text of the
// header, or by a part of it, opens none of these.
func TestShortcuts_AKnownTokenInAnotherHeader(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	k := newHolder(t, "ES256")
	plain, bound := is.scoped(t, "mcp:read"), k.bound(t, is, claims{"scope": "mcp:read"})
	known := func() {
		t.Helper()
		require.Equal(t, 200, serve(h, post(call("whoami"), plain)).Code)
		require.Equal(t, 200, serve(h, k.signed(post(call("whoami"), ""), bound)).Code)
	}
	known()
	head, tail, _ := strings.Cut(plain, ".")
	_, signature, _ := strings.Cut(tail, ".")
	_, other, _ := strings.Cut(is.token(t, claims{"scope": "mcp:read", "jti": "2"}), ".")
	payload, _, _ := strings.Cut(other, ".")
	for name, fields := range map[string][]string{
		"no scheme":                     {plain},
		"another scheme":                {"Basic " + plain},
		"DPoP without a proof":          {"DPoP " + plain},
		"bound, as a bearer token":      {"Bearer " + bound},
		"bound, in an odd spelling":     {"bEaReR " + bound},
		"twice":                         {"Bearer " + plain, "Bearer " + plain},
		"beside a bound one":            {"Bearer " + plain, "DPoP " + bound},
		"joined by a comma":             {"Bearer " + plain + ", Bearer " + plain},
		"followed by more":              {"Bearer " + plain + " x"},
		"followed by a parameter":       {"Bearer " + plain + ",x=y"},
		"within quotes":                 {`Bearer "` + plain + `"`},
		"its first half":                {"Bearer " + plain[:len(plain)/2]},
		"without its signature":         {"Bearer " + plain[:len(plain)-len(signature)]},
		"with another's claims":         {"Bearer " + head + "." + payload + "." + signature},
		"with another's signature":      {"Bearer " + plain[:len(plain)-len(signature)] + strings.Repeat("A", len(signature))},
		"with a line break":             {"Bearer " + plain + "\n"},
		"with a NUL":                    {"Bearer " + plain + "\x00"},
		"with its last letter replaced": {"Bearer " + plain[:len(plain)-1] + "-"},
	} {
		r := with(post(call("whoami"), ""), "Authorization", fields...)
		require.Contains(t, []int{400, 401}, serve(h, r).Code, name)
		r = with(k.signed(post(call("whoami"), ""), bound), "Authorization", fields...)
		require.Contains(t, []int{400, 401}, serve(h, r).Code, "%s, with a proof for the other token", name)
	}
	known()
}

// SEC-06: nothing that was refused is known afterwards, and nothing that is known ends because somebody sent what
// looks like it.
func TestShortcuts_RefusedTokensPoisonNothing(t *testing.T) {
	is, foreign := newIssuer(t), newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	code := func(token string) int { return serve(h, post(call("whoami"), token)).Code }
	good := is.scoped(t, "mcp:read")
	bad := []string{
		foreign.token(t, claims{"iss": is.URL, "scope": "mcp:read"}), // signed by another key of the same name
		is.token(t, claims{"scope": "mcp:read", "aud": "https://other.example.com/"}),
		is.token(t, claims{"scope": "mcp:read", "exp": epoch.Add(-time.Minute).Unix()}),
		good[:len(good)-8] + "AAAAAAAA",
	}
	for range 3 {
		for i, token := range bad {
			require.Equal(t, 401, code(token), i)
			require.Equal(t, 200, code(good), i)
		}
	}
	// Who is known is the one that the token names, whatever came just before.
	for range 3 {
		for _, name := range []string{"ada", "bob"} {
			require.Contains(t, serve(h, post(call("whoami"), is.token(t, claims{"scope": "mcp:read", "sub": name, "jti": "x"}))).Body.String(), "whoami "+name)
		}
	}
}

// The key of the last proof is remembered beside its token. It saves reading the header of the next one, and no check.
func TestShortcuts_AKnownKeyOfProofs(t *testing.T) {
	is := newIssuer(t)
	h, _, clock := newBased(t, is, nil)
	k, thief := newHolder(t, "ES256"), newHolder(t, "ES256")
	token, another := k.bound(t, is, claims{"scope": "mcp:read"}), thief.bound(t, is, claims{"scope": "mcp:read", "sub": "eve"})
	send := func(token, proof string) int {
		r := with(post(call("whoami"), ""), "Dpop", proof)
		r.Header.Set("Authorization", "DPoP "+token)
		return serve(h, r).Code
	}
	first := k.proof("POST", token)
	require.Equal(t, 200, send(token, first))
	require.Equal(t, 200, send(token, k.proof("POST", token)), "the key is known now")
	require.Equal(t, 401, send(token, first), "used before")
	unsigned := k.proof("POST", token)
	require.Equal(t, 401, send(token, unsigned[:len(unsigned)-8]+"AAAAAAAA"))
	head, body, _ := strings.Cut(unsigned, ".")
	_, theirs, _ := strings.Cut(thief.proof("POST", token), ".")
	require.Equal(t, 401, send(token, head+"."+theirs), "the known header before claims that another key has signed")
	require.Equal(t, 401, send(token, thief.proof("POST", token)), "another key")
	require.Equal(t, 401, send(token, k.proof("GET", token)), "another method")
	require.Equal(t, 401, send(token, k.proof("POST", another)), "another token")
	require.Equal(t, 401, send(another, k.proof("POST", another)), "a token of another key")
	require.Equal(t, 401, send(token, k.proof("POST", token, claim("iat", epoch.Add(-6*time.Minute).Unix()))), "an old one")
	require.Equal(t, 401, send(token, k.proof("POST", token, header("typ", "jwt"))), "another header")
	require.Equal(t, 200, send(another, thief.proof("POST", another)))
	require.Equal(t, 401, send(token, thief.proof("POST", token)), "a key that is known of another token")
	require.Equal(t, 200, send(token, head+"."+body), "the untouched one is still good")
	clock.advance(11 * time.Minute)
	require.Equal(t, 401, send(token, k.proof("POST", token, claim("iat", clock.Now().Unix()))), "the token has ended")
}

// Threat 72: whatever memory is used again, what a Policy and a sink were given, and what a handler reads, stays as it
// was. All bodies and ids have one length, so that what is overwritten does not stand out by itself.
func TestShortcuts_NothingKeptChanges(t *testing.T) {
	is := newIssuer(t)
	type kept struct {
		call      *mcpauth.Call
		decision  mcpauth.Decision
		arguments json.RawMessage
		says      string
	}
	var mu sync.Mutex
	var all []kept
	keep := func(k kept) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, k)
	}
	inCall := func(c *mcpauth.Call) string {
		return fmt.Sprint(c.Operation, c.Principal.Subject(), c.Principal.ID(), c.Principal.Grant().Scopes(), c.Header)
	}
	inDecision := func(d mcpauth.Decision) string {
		return fmt.Sprint(d.RequestID, d.TraceID, d.Operation, d.Principal.ID(), d.Granted, d.Needed, string(d.Arguments["path"]), d.Got, d.Cause)
	}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.AuditArguments = make(map[string][]string)
		for i := range 8 {
			cfg.AuditArguments[fmt.Sprintf("tool-%03d", i)] = []string{"path"}
		}
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			// The arguments belong to the call, which is over when nobody looks any more.
			keep(kept{call: c, says: inCall(c)})
			return nil
		}
		cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { keep(kept{decision: d, says: inDecision(d)}) }
	})
	auth.RequireTool("tool*", scopes.All("mcp:read"))
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		p, _ := mcpauth.FromContext(r.Context())
		if err != nil || !strings.Contains(string(body), `"path":"`+p.Subject()+`"`) {
			t.Errorf("%s got the body %s", p.Subject(), body)
		}
		keep(kept{arguments: body, says: string(body)})
	}))
	body := func(i, round int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":"id-%03d-%03d","method":"tools/call","params":{"name":"tool-%03d","arguments":{"path":"user-%03d"},"_meta":{"traceparent":"00-%032x-%016x-01"}}}`,
			i, round, i, i, i*1000+round+1, i+1)
	}
	var done sync.WaitGroup
	for i := range 8 {
		token := is.token(t, claims{"sub": fmt.Sprintf("user-%03d", i), "scope": "mcp:read"})
		poor := is.token(t, claims{"sub": fmt.Sprintf("poor-%03d", i), "scope": fmt.Sprintf("other:%03d", i)})
		done.Go(func() {
			for round := range 30 {
				id := fmt.Sprintf(`"id":"id-%03d-%03d"`, i, round)
				if w := serve(h, post(body(i, round), token)); w.Code != 200 {
					t.Error(w.Code, w.Body)
				}
				for token, code := range map[string]int{"": 401, "bad" + token: 401, poor: 403} {
					if w := serve(h, post(body(i, round), token)); w.Code != code || !contains(w, id) {
						t.Errorf("%d %s without %s", w.Code, w.Body, id)
					}
				}
			}
		})
	}
	done.Wait()
	decisions := 0
	for _, k := range all {
		switch {
		case k.call != nil:
			require.Equal(t, k.says, inCall(k.call))
		case k.arguments != nil:
			require.Equal(t, k.says, string(k.arguments))
		default:
			require.Equal(t, k.says, inDecision(k.decision))
			if k.decision.Allowed {
				user := strings.TrimPrefix(k.decision.Principal.Subject(), "user-")
				require.Contains(t, k.decision.RequestID, "id-"+user)
				require.Equal(t, "tool-"+user, k.decision.Operation.Name)
				require.Equal(t, `"user-`+user+`"`, string(k.decision.Arguments["path"]))
				decisions++
			}
		}
	}
	require.Equal(t, 8*30, decisions)
}

// TOK-20: handlers do to their TokenInfo, claims and headers what they like, all at the same time and with one token.
// Run with -race.
func TestShortcuts_HandlersThatWriteStayApart(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("write", scopes.All("a"))
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mine := r.Header.Get("X-Mine")
		info := sdkauth.TokenInfoFromContext(r.Context())
		p, _ := mcpauth.FromContext(r.Context())
		var list []string
		var claim any
		_, errList := p.Claim("/roles", &list)
		_, errTree := p.Claim("/tree", &claim)
		tree, _ := claim.(map[string]any)
		granted := p.Grant().Scopes()
		if errList != nil || errTree != nil || !slices.Equal(info.Scopes, []string{"a", "b"}) || !slices.Equal(granted, []string{"a", "b"}) ||
			!slices.Equal(list, []string{"r", "s"}) || fmt.Sprint(tree) != "map[k:[v]]" || len(info.Extra) != 1 {
			t.Errorf("%v %v %v %v %v", info, granted, list, tree, errList)
			return
		}
		for name := range w.Header() {
			w.Header().Add(name, mine)
		}
		info.Scopes = append(info.Scopes[:1], mine)
		granted = append(granted[:1], mine)
		list = append(list[:1], mine)
		info.Extra[mine], info.UserID, tree[mine] = mine, mine, granted
		tree["k"].([]any)[0] = mine
		r.Header.Add("Accept", mine)
		r.Header.Set("X-Mine", "changed")
		if again := sdkauth.TokenInfoFromContext(r.Context()); again != info || again.Scopes[1] != mine {
			t.Errorf("%s has %v", mine, again)
		}
	}))
	token := is.token(t, claims{"scope": "a b", "roles": []string{"r", "s"}, "tree": claims{"k": []string{"v"}}})
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for round := range 30 {
				mine := fmt.Sprint("mine-", i, "-", round)
				w := serve(h, with(post(call("write"), token), "X-Mine", mine))
				if w.Code != 200 {
					t.Error(w.Code, w.Body)
				}
				for name, values := range w.Header() {
					if n := len(values); values[n-1] != mine || n > 1 && strings.HasPrefix(values[n-2], "mine-") {
						t.Errorf("%s: %v instead of %s", name, values, mine)
					}
				}
			}
		})
	}
	done.Wait()
}

// Refusals share their challenges. Whoever stands outside of Wrap and adds to a header adds to that of one answer.
func TestShortcuts_AddingToAnAnswerChangesNoOther(t *testing.T) {
	is := newIssuer(t)
	for _, mode := range []mcpauth.DPoPMode{mcpauth.DPoPOptional, mcpauth.DPoPRequired, mcpauth.DPoPOff} {
		for _, authenticators := range []int{0, 1} {
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.DPoP.Mode = mode
				if authenticators > 0 {
					_, hash := mcpauth.NewAPIKey("k_")
					keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Header: "X-Key", Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n"}}})
					require.NoError(t, err)
					cfg.Authenticators = []mcpauth.Authenticator{keys}
				}
			})
			h := auth.Wrap(bare)
			var headers [2]http.Header
			for i := range headers {
				w := serve(h, post(call("whoami"), ""))
				require.Equal(t, 401, w.Code)
				headers[i] = w.Header()
				for name := range headers[i] {
					headers[i].Add(name, fmt.Sprint("added by ", i))
				}
			}
			for i, header := range headers {
				for name, values := range header {
					require.Equal(t, fmt.Sprint("added by ", i), values[len(values)-1], "%s %v %d", name, mode, authenticators)
				}
			}
		}
	}
}
