package mcpauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const proofAlgs = "ES256 ES384 PS256 RS256 EdDSA"

// A holder is a client that holds a key. Its proofs are made at epoch unless something else is said.
type holder struct{ *mcpauthtest.DPoPKey }

func newHolder(t testing.TB, alg string) holder {
	t.Helper()
	key, err := mcpauthtest.NewDPoPKey(alg)
	require.NoError(t, err)
	return holder{key}
}

// bound mints a token for the holder's key.
func (k holder) bound(t testing.TB, is *testIssuer, changes ...claims) string {
	t.Helper()
	return is.token(t, append([]claims{{"cnf": claims{"jkt": k.Thumbprint()}}}, changes...)...)
}

type edit = func(*mcpauthtest.DPoPProof)

func header(name string, value any) edit {
	return func(p *mcpauthtest.DPoPProof) { setMember(p.Header, name, value) }
}

func claim(name string, value any) edit {
	return func(p *mcpauthtest.DPoPProof) { setMember(p.Claims, name, value) }
}

func setMember(members map[string]any, name string, value any) {
	if members[name] = value; value == nil {
		delete(members, name)
	}
}

// proof is good for a request to testResource, unless it is edited.
func (k holder) proof(method, token string, edits ...edit) string {
	p := k.NewProof(method, testResource, token, "")
	p.Claims["iat"] = epoch.Unix()
	for _, e := range edits {
		e(p)
	}
	return k.Sign(p)
}

// signed puts token and proof into a request.
func (k holder) signed(r *http.Request, token string, edits ...edit) *http.Request {
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header["Dpop"] = []string{k.proof(r.Method, token, edits...)}
	return r
}

// dpopLine is the DPoP line of a challenge: with an error, or plain with a scope.
func dpopLine(code, description, scope string) string {
	line := "DPoP "
	if code != "" {
		line += `error="` + code + `", error_description="` + description + `", `
	}
	line += `algs="` + proofAlgs + `", resource_metadata="` + testPRM + `"`
	if scope != "" {
		line += `, scope="` + scope + `"`
	}
	return line
}

const plainScoped = plain + `, scope="mcp:read"`

// boundServer is the usual server with one base scope, a client with a key, and a bound token of its.
func boundServer(t testing.TB, change func(*mcpauth.Config)) (h http.Handler, is *testIssuer, k holder, token string, clock *testClock) {
	t.Helper()
	is = newIssuer(t)
	h, _, clock = newBased(t, is, change)
	k = newHolder(t, "")
	return h, is, k, k.bound(t, is, claims{"scope": "mcp:read"}), clock
}

func TestDPoP_ABoundTokenWithItsProofIsAccepted(t *testing.T) {
	for _, alg := range strings.Fields(proofAlgs) {
		t.Run(alg, func(t *testing.T) {
			h, is, _, _, _ := boundServer(t, nil)
			k := newHolder(t, alg)
			token := k.bound(t, is, claims{"scope": "mcp:read"})
			for range 3 { // the first, and with what is remembered of it
				w := serve(h, k.signed(post(call("whoami"), ""), token))
				require.Equal(t, http.StatusOK, w.Code, w.Header())
				require.Contains(t, w.Body.String(), "whoami ada")
				require.NotContains(t, w.Header(), "Dpop-Nonce")
			}
		})
	}
}

// Each row breaks one thing. All are W4 but where it says otherwise.
func TestDPOP_ProofDefects(t *testing.T) {
	h, _, k, token, _ := boundServer(t, nil)
	other := newHolder(t, "")
	at := func(seconds int64) edit { return claim("iat", epoch.Unix()+seconds) }
	sum := func(s string) string {
		d := sha256.Sum256([]byte(s))
		return base64.RawURLEncoding.EncodeToString(d[:])
	}
	for _, c := range []struct {
		name string
		edit edit
		ok   bool
	}{
		{"nothing is wrong", func(*mcpauthtest.DPoPProof) {}, true},
		{"DPOP-02 typ JWT", header("typ", "JWT"), false},
		{"DPOP-02 no typ", header("typ", nil), false},
		{"DPOP-02 no jti", claim("jti", nil), false},
		{"DPOP-02 an empty jti", claim("jti", ""), false},
		{"DPOP-02 a number as jti", claim("jti", 7), false},
		{"DPOP-02 no htm", claim("htm", nil), false},
		{"DPOP-02 no htu", claim("htu", nil), false},
		{"DPOP-02 no iat", claim("iat", nil), false},
		{"DPOP-02 iat as text", claim("iat", strconv.FormatInt(epoch.Unix(), 10)), false},
		{"DPOP-02 no ath", claim("ath", nil), false},
		{"DPOP-03 alg none", header("alg", "none"), false},
		{"DPOP-03 HS256", header("alg", "HS256"), false},
		{"DPOP-03 an algorithm of another key type", header("alg", "PS256"), false},
		{"DPOP-03 an algorithm of another curve", header("alg", "ES384"), false},
		{"DPOP-04 no jwk", header("jwk", nil), false},
		{"DPOP-04 a private member", func(p *mcpauthtest.DPoPProof) {
			p.Header["jwk"] = with2(k.PublicJWK(), "d", "AAAA")
		}, false},
		{"DPOP-04 a symmetric member", func(p *mcpauthtest.DPoPProof) {
			p.Header["jwk"] = with2(k.PublicJWK(), "k", "AAAA")
		}, false},
		{"DPOP-05 another method", claim("htm", "GET"), false},
		{"DPOP-05 the method in lower case", claim("htm", "post"), false},
		{"DPOP-06 another host", claim("htu", "https://evil.example/mcp"), false},
		{"DPOP-06 another path", claim("htu", testResource+"2"), false},
		{"DPOP-06 a slash more", claim("htu", testResource+"/"), false},
		{"DPOP-06 another scheme", claim("htu", "http://mcp.example.com/mcp"), false},
		{"DPOP-06 another port", claim("htu", "https://mcp.example.com:8443/mcp"), false},
		{"DPOP-06 an escaped slash", claim("htu", "https://mcp.example.com/a%2F..%2Fmcp"), false},
		{"DPOP-06 case of the host", claim("htu", "HTTPS://MCP.Example.COM/mcp"), true},
		{"DPOP-06 the default port", claim("htu", "https://mcp.example.com:443/mcp"), true},
		{"DPOP-06 an escaped letter", claim("htu", "https://mcp.example.com/%6dcp"), true},
		{"DPOP-06 dot segments", claim("htu", "https://mcp.example.com/a/../mcp"), true},
		{"DPOP-06 a query and a fragment", claim("htu", testResource+"?a=b#c"), true},
		{"DPOP-07 the hash of another token", claim("ath", sum("another")), false},
		{"DPOP-07 the hash with padding", func(p *mcpauthtest.DPoPProof) { p.Claims["ath"] = fmt.Sprint(p.Claims["ath"]) + "=" }, false},
		{"DPOP-09 300 s ago", at(-300), true},
		{"DPOP-09 303 s ago", at(-303), false},
		{"DPOP-09 290 s ago", at(-290), true},
		{"DPOP-09 300 s ahead", at(300), true},
		{"DPOP-09 303 s ahead", at(303), false},
		{"DPOP-09 a time beyond all dates", claim("iat", 1e300), false},
		{"DPOP-14 an endless jti", claim("jti", strings.Repeat("x", 4096)), false},
		{"DPOP-23 a claim that nobody knows", claim("content_digest", "sha-256=:AAAA:"), true},
		{"DPOP-16 a nonce that nobody asked for", claim("nonce", "anything"), true},
		{"TOK-05 crit", header("crit", []string{"x"}), false},
		{"kid and x5c choose no key", func(p *mcpauthtest.DPoPProof) { p.Header["kid"], p.Header["x5c"] = "key-1", []string{"AAAA"} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := serve(h, k.signed(post(call("whoami"), ""), token, c.edit))
			if c.ok {
				require.Equal(t, http.StatusOK, w.Code, w.Header())
				return
			}
			requireBadProof(t, w)
		})
	}
	t.Run("DPOP-08 a key that is not the token's", func(t *testing.T) {
		// RFC 9449, Section 7.1 has this code and this text for it.
		for name, r := range map[string]*http.Request{
			"a good proof of somebody else":            other.signed(post(call("whoami"), ""), token),
			"somebody else's key, signed by the right": k.signed(post(call("whoami"), ""), token, header("jwk", other.PublicJWK())),
			"the right key, which did not sign":        other.signed(post(call("whoami"), ""), token, header("jwk", k.PublicJWK())),
		} {
			w := serve(h, r)
			if name == "the right key, which did not sign" {
				requireBadProof(t, w)
				continue
			}
			require.Equal(t, http.StatusUnauthorized, w.Code, name)
			require.Equal(t, []string{plainScoped, dpopLine("invalid_token", "Invalid DPoP key binding", "mcp:read")}, w.Header()["Www-Authenticate"], name)
		}
	})
	t.Run("DPOP-04 a signature of somebody else", func(t *testing.T) {
		theirs := strings.Split(other.proof("POST", token), ".")
		ours := strings.Split(k.proof("POST", token), ".")
		r := k.signed(post(call("whoami"), ""), token)
		r.Header["Dpop"] = []string{ours[0] + "." + ours[1] + "." + theirs[2]}
		requireBadProof(t, serve(h, r))
	})
	t.Run("DPOP-01 the number of fields", func(t *testing.T) {
		good := func() string { return k.proof("POST", token) }
		for name, fields := range map[string][]string{
			"none": nil, "two": {good(), good()}, "two and one is empty": {good(), ""}, "empty": {""},
			"comma-joined": {good() + ", " + good()}, "joined without space": {good() + "," + good()}, "junk": {"junk"},
			"a token of ours": {token},
		} {
			r := k.signed(post(call("whoami"), ""), token)
			if r.Header["Dpop"] = fields; fields == nil {
				delete(r.Header, "Dpop")
			}
			t.Run(name, func(t *testing.T) { requireBadProof(t, serve(h, r)) })
		}
	})
	t.Run("SEC-02 no proof is good enough to be repeated", func(t *testing.T) {
		w := serve(h, k.signed(post(call("whoami"), ""), token, claim("htu", "https://secret.example/"), claim("jti", "secret")))
		require.NotContains(t, fmt.Sprint(w.Header(), w.Body), "secret")
	})
}

func with2(members map[string]string, name, value string) map[string]string {
	members[name] = value
	return members
}

// requireBadProof is W4: the DPoP line has the error and no scope, the Bearer line is plain (CH-17, CH-19,
// DPOP-20, DPOP-21).
func requireBadProof(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, w.Code, w.Body.String())
	lines := w.Header()["Www-Authenticate"]
	require.Len(t, lines, 2)
	require.Equal(t, plainScoped, lines[0])
	require.Regexp(t, `^DPoP error="invalid_dpop_proof", error_description="[ -!#-\[\]-~]+", algs="`+proofAlgs+`", resource_metadata="`+testPRM+`"$`, lines[1])
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Contains(t, w.Body.String(), `"error":"invalid_dpop_proof"`)
	require.NotContains(t, w.Body.String(), "whoami")
}

// Which scheme goes with which token, in each mode: the lines are the whole challenge.
func TestDPOP_SchemesAndModes(t *testing.T) {
	const needsProof = "The access token is bound to a key and needs the scheme DPoP with its proof"
	const notBound = "The access token is not bound to a key"
	const required = "An access token that is bound to a key is required, with its proof"
	bearer := func(code, description string) string {
		return `Bearer error="` + code + `", error_description="` + description + `", resource_metadata="` + testPRM + `", scope="mcp:read"`
	}
	dpop := func(description string) string { return dpopLine("invalid_token", description, "mcp:read") }
	for _, c := range []struct {
		name   string
		mode   mcpauth.DPoPMode
		scheme string
		bound  bool
		proof  bool
		lines  []string // nil: accepted
	}{
		{"DPOP-10 bound under Bearer", mcpauth.DPoPOptional, "Bearer", true, false, []string{bearer("invalid_token", needsProof), dpop(needsProof)}}, // CH-20
		{"DPOP-10 bound under Bearer, with a proof", mcpauth.DPoPOptional, "Bearer", true, true, []string{bearer("invalid_token", needsProof), dpop(needsProof)}},
		{"DPOP-11 unbound under DPoP", mcpauth.DPoPOptional, "DPoP", false, false, []string{plainScoped, dpop(notBound)}},
		{"DPOP-11 unbound under DPoP, with a proof", mcpauth.DPoPOptional, "DPoP", false, true, []string{plainScoped, dpop(notBound)}},
		{"DPOP-22 unbound under Bearer, with a proof", mcpauth.DPoPOptional, "Bearer", false, true, nil},
		{"unbound under Bearer", mcpauth.DPoPOptional, "Bearer", false, false, nil},
		{"bound under DPoP", mcpauth.DPoPOptional, "DPoP", true, true, nil},
		{"CH-15 the scheme in other letters", mcpauth.DPoPOptional, "dpop", true, true, nil},
		{"DPOP-12 unbound under Bearer", mcpauth.DPoPRequired, "Bearer", false, false, []string{dpop(required)}},
		{"DPOP-12 unbound under Bearer, with a proof", mcpauth.DPoPRequired, "Bearer", false, true, []string{dpop(required)}},
		{"DPOP-10 bound under Bearer", mcpauth.DPoPRequired, "Bearer", true, true, []string{dpop(required)}},
		{"DPOP-11 unbound under DPoP", mcpauth.DPoPRequired, "DPoP", false, true, []string{dpop(notBound)}},
		{"bound under DPoP", mcpauth.DPoPRequired, "DPoP", true, true, nil},
		{"TOK-18 bound under Bearer", mcpauth.DPoPOff, "Bearer", true, true, []string{bearer("invalid_token", "The access token is bound to a key that cannot be checked here")}},
		{"CH-15 bound under DPoP counts as no credentials", mcpauth.DPoPOff, "DPoP", true, true, []string{plainScoped}},
		{"CH-15 unbound under DPoP counts as no credentials", mcpauth.DPoPOff, "DPoP", false, true, []string{plainScoped}},
		{"unbound under Bearer", mcpauth.DPoPOff, "Bearer", false, true, nil},
	} {
		t.Run(c.mode.String()+"/"+c.name, func(t *testing.T) {
			h, is, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Mode = c.mode })
			if !c.bound {
				token = is.scoped(t, "mcp:read")
			}
			r := with(post(call("whoami"), ""), "Authorization", c.scheme+" "+token)
			if c.proof {
				r.Header["Dpop"] = []string{k.proof("POST", token)}
			}
			for range 2 { // the second time, the token is remembered
				w := serve(h, r.Clone(t.Context()))
				if c.lines == nil {
					require.Equal(t, http.StatusOK, w.Code, w.Header())
					return
				}
				require.Equal(t, http.StatusUnauthorized, w.Code)
				require.Equal(t, c.lines, w.Header()["Www-Authenticate"])
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
		})
	}
}

// CH-18, PRM-07 to PRM-09: what is offered and published is what is accepted.
func TestDPOP_EveryModeSaysWhatItAccepts(t *testing.T) {
	for mode, want := range map[mcpauth.DPoPMode]struct {
		lines    []string
		document string
	}{
		mcpauth.DPoPOptional: {[]string{plainScoped, dpopLine("", "", "mcp:read")},
			`"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","ES384","PS256","RS256","EdDSA"],"dpop_bound_access_tokens_required":false}`},
		mcpauth.DPoPRequired: {[]string{dpopLine("", "", "mcp:read")},
			`"scopes_supported":["mcp:read"],"dpop_signing_alg_values_supported":["ES256","ES384","PS256","RS256","EdDSA"],"dpop_bound_access_tokens_required":true}`},
		mcpauth.DPoPOff: {[]string{plainScoped}, `"bearer_methods_supported":["header"]}`},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			h, auth, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.DPoP.Mode = mode })
			w := serve(h, post(call("whoami"), ""))
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.Equal(t, want.lines, w.Header()["Www-Authenticate"]) // W1
			require.NotContains(t, w.Header(), "Dpop-Nonce")
			require.Contains(t, serve(auth.Metadata(), httptest.NewRequest("GET", testPRM, nil)).Body.String(), want.document)
			// CH-13: W6 is on every line there is.
			w = serve(h, with(post(call("whoami"), ""), "Authorization", "Bearer a", "DPoP b"))
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Len(t, w.Header()["Www-Authenticate"], len(want.lines))
			for _, line := range w.Header()["Www-Authenticate"] {
				require.Contains(t, line, ` error="invalid_request"`)
			}
		})
	}
	t.Run("PRM-08 the algorithms are the configured ones, in their order", func(t *testing.T) {
		h, auth, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.DPoP.Algorithms = []string{"EdDSA", "ES256"} })
		require.Contains(t, serve(h, post(call("whoami"), "")).Header()["Www-Authenticate"][1], `algs="EdDSA ES256"`)
		require.Contains(t, serve(auth.Metadata(), httptest.NewRequest("GET", testPRM, nil)).Body.String(), `"dpop_signing_alg_values_supported":["EdDSA","ES256"]`)
	})
}

func TestDPOP03_OnlyConfiguredAlgorithms(t *testing.T) {
	h, is, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Algorithms = []string{"ES256"} })
	require.Equal(t, http.StatusOK, serve(h, k.signed(post(call("whoami"), ""), token)).Code)
	ed := newHolder(t, "EdDSA")
	token = ed.bound(t, is, claims{"scope": "mcp:read"})
	require.Equal(t, http.StatusUnauthorized, serve(h, ed.signed(post(call("whoami"), ""), token)).Code)
}

// DPOP-05, DPOP-24: every request needs a proof for its own method; a stream, once open, needs no more.
func TestDPOP05_MethodsOfASession(t *testing.T) {
	is := newIssuer(t)
	auth, clock := newAuth(t, is, nil)
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return protectedServer }, nil))
	k := newHolder(t, "")
	protectedServer = newServer(auth)
	server.Start()
	defer server.Close()
	token := k.bound(t, is, claims{"exp": epoch.Add(time.Hour).Unix()})

	send := func(method, body, session, proofFor string) *http.Response {
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, method, server.URL, strings.NewReader(body))
		require.NoError(t, err)
		r.Host = "mcp.example.com"
		r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"}}
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		if method == "GET" {
			r.Header.Set("Accept", "text/event-stream")
		}
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", k.proof(proofFor, token))
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	init := rpc("initialize", map[string]any{"protocolVersion": "2025-11-25", "clientInfo": map[string]any{"name": "c", "version": "1"}, "capabilities": map[string]any{}})
	resp := send("POST", init, "", "POST")
	require.Equal(t, 200, resp.StatusCode)
	session := resp.Header.Get("Mcp-Session-Id")
	require.NotEmpty(t, session)
	require.Equal(t, 202, send("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, session, "POST").StatusCode)

	require.Equal(t, 401, send("GET", "", session, "POST").StatusCode)
	stream := send("GET", "", session, "GET")
	require.Equal(t, 200, stream.StatusCode)
	require.Equal(t, "text/event-stream", stream.Header.Get("Content-Type"))
	clock.advance(20 * time.Minute) // far beyond the window: the stream goes on
	protectedServer.AddTool(&mcp.Tool{Name: "late", InputSchema: map[string]any{"type": "object"}}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	auth.RequireTool("late", scopes.Authenticated())
	line := make([]byte, 1)
	_, err := stream.Body.Read(line)
	require.NoError(t, err, "a notification still comes")

	clock.set(epoch)
	require.Equal(t, 401, send("DELETE", "", session, "GET").StatusCode)
	require.Equal(t, 204, send("DELETE", "", session, "DELETE").StatusCode)
}

var protectedServer *mcp.Server

func TestDPOP13_AProofIsGoodOnce(t *testing.T) {
	h, is, k, token, clock := boundServer(t, nil)
	r := k.signed(post(call("whoami"), ""), token)
	require.Equal(t, http.StatusOK, serve(h, again(r)).Code)
	requireBadProof(t, serve(h, again(r)))
	clock.advance(299 * time.Second)
	requireBadProof(t, serve(h, again(r)))
	clock.advance(2 * time.Second)
	requireBadProof(t, serve(h, again(r))) // too old by itself

	clock.set(epoch)
	t.Run("a proof from the future is remembered for longer", func(t *testing.T) {
		r := k.signed(post(call("whoami"), ""), token, claim("iat", epoch.Unix()+300))
		require.Equal(t, http.StatusOK, serve(h, again(r)).Code)
		clock.advance(599 * time.Second)
		requireBadProof(t, serve(h, again(r)))
		clock.set(epoch)
	})
	t.Run("the jti counts, whatever else the proof says", func(t *testing.T) {
		require.Equal(t, http.StatusOK, serve(h, k.signed(post(call("whoami"), ""), token, claim("jti", "same"))).Code)
		requireBadProof(t, serve(h, k.signed(post(call("whoami"), ""), token, claim("jti", "same"), claim("iat", epoch.Unix()-7))))
	})
	t.Run("two keys may choose the same jti", func(t *testing.T) {
		other := newHolder(t, "EdDSA")
		theirs := other.bound(t, is, claims{"scope": "mcp:read"})
		require.Equal(t, http.StatusOK, serve(h, other.signed(post(call("whoami"), ""), theirs, claim("jti", "same"))).Code)
	})
	t.Run("of many at once, one gets in", func(t *testing.T) {
		r := k.signed(post(call("whoami"), ""), token)
		var in atomic.Int32
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if serve(h, again(r)).Code == http.StatusOK {
					in.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, in.Load())
	})
	t.Run("a refusal by a rule uses the proof up as well", func(t *testing.T) {
		r := k.signed(post(call("write"), ""), token)
		w := serve(h, repeated(r, call("write")))
		require.Equal(t, http.StatusForbidden, w.Code)
		requireBadProof(t, serve(h, again(r)))
	})
}

// again is the same request once more, with its own reader of the body.
func again(r *http.Request) *http.Request { return repeated(r, call("whoami")) }

func repeated(r *http.Request, body string) *http.Request {
	out := post(body, "")
	out.Header = r.Header.Clone()
	return out
}

// A recorder is a ReplayStore that says what it is told to say.
type recorder struct {
	mu     sync.Mutex
	proofs []mcpauth.ProofID
	until  []time.Time
	answer func(ctx context.Context) (bool, error)
}

func (s *recorder) Add(ctx context.Context, p mcpauth.ProofID, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proofs, s.until = append(s.proofs, p), append(s.until, until)
	return s.answer(ctx)
}

func TestDPOP14_OnlyWhatIsGoodInEveryOtherWayIsRecorded(t *testing.T) {
	store := &recorder{answer: func(context.Context) (bool, error) { return true, nil }}
	revoked := false
	h, is, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) {
		cfg.DPoP.Replay = store
		cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return revoked, nil }
	})
	other := newHolder(t, "")
	serve(h, k.signed(post(call("whoami"), ""), token, claim("ath", "x")))
	serve(h, k.signed(post(call("whoami"), ""), token, claim("iat", 1)))
	serve(h, other.signed(post(call("whoami"), ""), token))
	serve(h, k.signed(post(call("whoami"), ""), is.scoped(t, "mcp:read")))
	serve(h, k.signed(post(call("whoami"), ""), k.bound(t, is, claims{"exp": epoch.Add(-time.Hour).Unix()})))
	serve(h, with(k.signed(post(call("whoami"), ""), token), "Authorization", "Bearer "+token))
	revoked = true
	serve(h, k.signed(post(call("whoami"), ""), token))
	require.Empty(t, store.proofs)
	revoked = false
	require.Equal(t, http.StatusOK, serve(h, k.signed(post(call("whoami"), ""), token, claim("jti", "one"))).Code)
	require.Equal(t, []mcpauth.ProofID{{Thumbprint: raw32(t, k.Thumbprint()), JTI: sha256.Sum256([]byte("one"))}}, store.proofs)
	// Kept for as long as it could be accepted, by a replica whose clock is late and while the store is slow.
	require.True(t, store.until[0].Equal(epoch.Add(315*time.Second)), store.until[0])
}

// DPOP-13: a store that forgets at the time it was told, not a moment later, admits no proof twice, however
// long it and the other hooks take.
func TestDPOP13_NoGapAtTheEndOfTheWindow(t *testing.T) {
	for name, c := range map[string]struct{ revoked, store time.Duration }{
		"the store takes 3 ms": {0, 3 * time.Millisecond}, "Revoked takes 50 ms": {50 * time.Millisecond, 0}, "both take 4 s": {4 * time.Second, 4 * time.Second},
		"Revoked takes 30 s": {30 * time.Second, 0},
	} {
		slow := c.revoked + c.store
		for _, nonces := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", nonces ", nonces), func(t *testing.T) {
				var clock *testClock
				kept := map[mcpauth.ProofID]time.Time{}
				store := storeFunc(func(_ context.Context, p mcpauth.ProofID, until time.Time) (bool, error) {
					clock.advance(c.store)
					if old, ok := kept[p]; ok && !clock.Now().After(old) {
						return false, nil
					}
					kept[p] = until
					return true, nil
				})
				h, is, k, _, now := boundServer(t, func(cfg *mcpauth.Config) {
					cfg.DPoP.Replay, cfg.DPoP.Nonces = store, nonces
					cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { clock.advance(c.revoked); return false, nil }
				})
				clock = now
				token := k.bound(t, is, claims{"scope": "mcp:read", "exp": epoch.Add(time.Hour).Unix()})
				nonce := ""
				if nonces {
					nonce = nonceOf(t, serve(h, k.signed(post(call("whoami"), ""), token)))
				}
				r := k.signed(post(call("whoami"), ""), token, claim("nonce", nonce))
				require.Equal(t, http.StatusOK, serve(h, again(r)).Code)
				for at := 285 * time.Second; at < 350*time.Second; at += min(slow/2, 500*time.Millisecond) {
					if at < 299*time.Second || at > 302*time.Second {
						at += 300 * time.Millisecond
					}
					clock.set(epoch.Add(at))
					require.Equal(t, http.StatusUnauthorized, serve(h, again(r)).Code, "%v after it was made", at)
				}
			})
		}
	}
}

type storeFunc func(context.Context, mcpauth.ProofID, time.Time) (bool, error)

func (f storeFunc) Add(ctx context.Context, p mcpauth.ProofID, until time.Time) (bool, error) {
	return f(ctx, p, until)
}

func raw32(t testing.TB, s string) (out [32]byte) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	require.Len(t, b, 32)
	copy(out[:], b)
	return out
}

func TestDPOP15_AStoreThatCannotTellRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(context.Context) (bool, error)
		status int
	}{
		"it fails":             {func(context.Context) (bool, error) { return false, errors.New("out of reach") }, 503},
		"it fails and says so": {func(context.Context) (bool, error) { return true, errors.New("out of reach") }, 503},
		"it panics":            {func(context.Context) (bool, error) { panic("broken") }, 503},
		"it hangs": {func(ctx context.Context) (bool, error) {
			if _, ok := ctx.Deadline(); !ok {
				return true, nil
			}
			return false, context.DeadlineExceeded
		}, 503},
		"it knows the proof": {func(context.Context) (bool, error) { return false, nil }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Replay = &recorder{answer: c.answer} })
			w := serve(h, k.signed(post(call("whoami"), ""), token))
			require.Equal(t, c.status, w.Code)
			require.NotContains(t, w.Body.String(), "whoami ada")
			if c.status == 503 {
				require.NotContains(t, w.Header(), "Www-Authenticate") // CH-22
				require.NotEmpty(t, w.Header().Get("Retry-After"))
			}
		})
	}
	t.Run("memory that is full", func(t *testing.T) {
		h, is, _, _, clock := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.MaxProofs = 1 << 10 })
		codes := map[int]int{}
		var keys []holder
		for range 24 {
			keys = append(keys, newHolder(t, "EdDSA"))
		}
		send := func() int {
			k := keys[0]
			keys = append(keys[1:], k)
			token := k.bound(t, is, claims{"scope": "mcp:read", "exp": epoch.Add(time.Hour).Unix(), "jti": k.Thumbprint(), "sub": k.Thumbprint()})
			return serve(h, k.signed(post(rpc("ping", nil), ""), token, claim("iat", clock.Now().Unix()))).Code
		}
		for range 1200 {
			codes[send()]++
		}
		require.LessOrEqual(t, codes[200], 1<<10)
		require.Greater(t, codes[200], 1<<9)
		require.Equal(t, 1200-codes[200], codes[503], "%v", codes)
		clock.advance(10 * time.Minute)
		require.Equal(t, 200, send(), "what has expired makes room")
	})
	t.Run("one user with many keys leaves room to others", func(t *testing.T) {
		h, is, _, _, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.MaxProofs = 1 << 10 })
		codes := map[int]int{}
		var keys []holder
		for range 24 {
			keys = append(keys, newHolder(t, "EdDSA"))
		}
		send := func(k holder, user string) int {
			token := k.bound(t, is, claims{"scope": "mcp:read", "jti": k.Thumbprint(), "sub": user, "client_id": k.Thumbprint()})
			return serve(h, k.signed(post(rpc("ping", nil), ""), token)).Code
		}
		for i := range 1200 {
			codes[send(keys[i%len(keys)], "greedy")]++
		}
		require.InDelta(t, 1<<9, codes[200], 1<<7)
		require.Equal(t, 200, send(newHolder(t, "EdDSA"), "modest"))
	})
}

func TestTOK18_EveryMemberOfCnfIsSatisfiedOrRefused(t *testing.T) {
	h, is, k, _, _ := boundServer(t, nil)
	jkt := k.Thumbprint()
	for name, cnf := range map[string]any{
		"an unknown member": claims{"jkt": jkt, "kid": "1"}, "a certificate that nobody looks at": claims{"jkt": jkt, "x5t#S256": jkt},
		"a key in full": claims{"jwk": k.PublicJWK()}, "no member": claims{}, "a list": []any{jkt}, "text": jkt, "null": false,
		"jkt as a number": claims{"jkt": 7}, "jkt with padding": claims{"jkt": jkt + "="}, "jkt cut": claims{"jkt": jkt[:42]},
		"jkt in another case": claims{"JKT": jkt}, "jkt with a line break": claims{"jkt": jkt[:20] + "\n" + jkt[21:]},
	} {
		t.Run(name, func(t *testing.T) {
			token := is.token(t, claims{"scope": "mcp:read", "cnf": cnf})
			w := serve(h, k.signed(post(call("whoami"), ""), token))
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.Contains(t, w.Header()["Www-Authenticate"][1], `DPoP error="invalid_token"`)
		})
	}
}

// DPOP-20, HTTP-01: the token is judged before the proof, since a proof is about a token.
func TestDPOP20_TokenBeforeProof(t *testing.T) {
	h, is, k, _, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Nonces = true })
	for name, token := range map[string]string{
		"expired": k.bound(t, is, claims{"exp": epoch.Add(-time.Hour).Unix()}), "of another audience": k.bound(t, is, claims{"aud": "https://other.example"}),
		"opaque": "mF_9.B5f-4.1JqM", "too long": strings.Repeat("a", 16<<10+1),
	} {
		for proof, edits := range map[string]edit{"good": func(*mcpauthtest.DPoPProof) {}, "bad": claim("htm", "GET")} {
			t.Run(name+" with a "+proof+" proof", func(t *testing.T) {
				w := serve(h, k.signed(post(call("whoami"), ""), token, edits))
				require.Equal(t, http.StatusUnauthorized, w.Code)
				lines := w.Header()["Www-Authenticate"]
				require.Equal(t, plainScoped, lines[0])
				require.Regexp(t, `^DPoP error="invalid_token", .*, scope="mcp:read"$`, lines[1])
				require.NotContains(t, w.Header(), "Dpop-Nonce")
			})
		}
	}
}

// CH-21, X-04: a 403 to a DPoP request stands on both lines, where both schemes are accepted.
func TestCH21_ForbiddenUnderDPoP(t *testing.T) {
	want := `error="insufficient_scope", scope="mcp:read files:write", `
	description := `error_description="mcp:read files:write are required for tool write"`
	for mode, n := range map[mcpauth.DPoPMode]int{mcpauth.DPoPOptional: 2, mcpauth.DPoPRequired: 1} {
		h, is, k, _, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Mode = mode })
		w := serve(h, with(k.signed(post(call("write"), ""), k.bound(t, is)), "Mcp-Protocol-Version", "2026-07-28"))
		require.Equal(t, http.StatusForbidden, w.Code)
		lines := w.Header()["Www-Authenticate"]
		require.Len(t, lines, n)
		last := lines[n-1]
		require.Equal(t, "DPoP "+want+`algs="`+proofAlgs+`", resource_metadata="`+testPRM+`", `+description, last)
		if n == 2 {
			require.Equal(t, "Bearer "+want+`resource_metadata="`+testPRM+`", `+description, lines[0])
		}
		w = serve(h, k.signed(post(call("purge"), ""), k.bound(t, is, claims{"scope": "mcp:read"})))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Header(), "Www-Authenticate") // CH-23
	}
}

// SEC-01, TOK-20: tools learn who has proven what, and never see token or proof.
func TestDPoP_WhatToolsSee(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	k := newHolder(t, "")
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	var got *mcpauth.Principal
	var seen http.Header
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami"}, func(ctx context.Context, req *mcp.CallToolRequest, in noInput) (*mcp.CallToolResult, any, error) {
		got, _ = mcpauth.FromContext(ctx)
		seen = req.Extra.Header
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.Authenticated())
	h := auth.Wrap(sdkHandler(server, true))
	require.Equal(t, http.StatusOK, serve(h, k.signed(post(call("whoami"), ""), k.bound(t, is))).Code)
	require.Equal(t, "DPoP", got.Scheme())
	require.Equal(t, k.Thumbprint(), got.KeyThumbprint())
	require.Empty(t, got.CertificateThumbprint())
	require.NotContains(t, seen, "Dpop")
	require.NotContains(t, seen, "Authorization")

	got, seen = nil, nil
	plainHandler := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = mcpauth.FromContext(r.Context())
		seen = r.Header
	}))
	require.Equal(t, http.StatusOK, serve(plainHandler, k.signed(post(call("whoami"), ""), k.bound(t, is))).Code)
	require.Equal(t, "DPoP", got.Scheme())
	require.NotContains(t, seen, "Dpop")
	require.NotContains(t, seen, "Authorization")
}

func TestDPoP_MistakesInTheConfig(t *testing.T) {
	is := newIssuer(t)
	key := []byte(strings.Repeat("0123456789abcdef", 2))
	for name, c := range map[string]struct {
		dpop mcpauth.DPoP
		want string
	}{
		"an unknown mode":           {mcpauth.DPoP{Mode: 9}, "DPoP.Mode"},
		"a symmetric algorithm":     {mcpauth.DPoP{Algorithms: []string{"HS256"}}, "HS256"},
		"none":                      {mcpauth.DPoP{Algorithms: []string{"none"}}, "none"},
		"no algorithm at all":       {mcpauth.DPoP{Algorithms: []string{}}, "lgorithms"},
		"a window of days":          {mcpauth.DPoP{Window: 48 * time.Hour}, "DPoP.Window"},
		"a negative window":         {mcpauth.DPoP{Window: -1}, "DPoP.Window"},
		"keys without nonces":       {mcpauth.DPoP{NonceKeys: [][]byte{key}}, "DPoP.NonceKeys"},
		"a short key":               {mcpauth.DPoP{Nonces: true, NonceKeys: [][]byte{key[:31]}}, "DPoP.NonceKeys"},
		"a key that was not filled": {mcpauth.DPoP{Nonces: true, NonceKeys: [][]byte{make([]byte, 32)}}, "DPoP.NonceKeys"},
		"two bounds":                {mcpauth.DPoP{Replay: &recorder{}, MaxProofs: 1 << 20}, "DPoP.MaxProofs"},
		"no room for proofs":        {mcpauth.DPoP{MaxProofs: 1}, "DPoP.MaxProofs"},
		"off, and yet configured":   {mcpauth.DPoP{Mode: mcpauth.DPoPOff, Nonces: true}, "DPoP.Mode"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, DPoP: c.dpop})
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "0123456789")
		})
	}
}
