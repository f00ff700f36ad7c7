package mcpauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const benchIssuer = "https://as.example.com"

var baseScopes = []string{"notes:read"} // in the challenges of both sides

var benchAlgorithms = []string{"ES256", "RS256", "EdDSA"}

// A bench is a middleware whose issuer signs with every algorithm, and what its anchors need.
type bench struct {
	auth *mcpauth.Middleware
	keys map[string]crypto.Signer
}

// RoundTrip answers every fetch with the key set.
func (bn *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	enc := base64.RawURLEncoding.EncodeToString
	var set []any
	for alg, key := range bn.keys {
		jwk := map[string]any{"use": "sig", "alg": alg, "kid": alg}
		switch public := key.Public().(type) {
		case *ecdsa.PublicKey:
			point, err := public.Bytes()
			if err != nil {
				return nil, err
			}
			maps.Copy(jwk, map[string]any{"kty": "EC", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])})
		case *rsa.PublicKey:
			maps.Copy(jwk, map[string]any{"kty": "RSA", "n": enc(public.N.Bytes()), "e": enc(big.NewInt(int64(public.E)).Bytes())})
		case ed25519.PublicKey:
			maps.Copy(jwk, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": enc(public)})
		}
		set = append(set, jwk)
	}
	body, err := json.Marshal(map[string]any{"keys": set})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, err
}

// fewTokens is a memory that is full long before the 512 tokens of a benchmark come round again, so that
// each of them is new, and is remembered in the place of another.
const fewTokens = 64

// newBench makes one that remembers every token of a benchmark.
func newBench(tb testing.TB) *bench {
	tb.Helper()
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(tb, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	return newBenchOf(tb, map[string]crypto.Signer{"ES256": es, "RS256": rs, "EdDSA": ed}, 0)
}

func newBenchOf(tb testing.TB, keys map[string]crypto.Signer, tokens int) *bench {
	tb.Helper()
	bn := &bench{keys: keys}
	var err error
	bn.auth, err = mcpauth.New(mcpauth.Config{
		Resource: testResource, BaseScopes: baseScopes, Now: func() time.Time { return epoch }, HTTPClient: &http.Client{Transport: bn},
		CachedTokens: tokens,
		Issuers:      []mcpauth.Issuer{{URL: benchIssuer, JWKSURI: benchIssuer + "/jwks", Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
	})
	require.NoError(tb, err)
	require.NoError(tb, bn.auth.Ready(context.Background()))
	bn.auth.RequireTool("write_note", scopes.All("notes:write"))
	bn.auth.RequireTool("drop_notes", scopes.All("notes:delete"))
	return bn
}

// tokens mints n tokens as mint does.
func (bn *bench) tokens(tb testing.TB, alg string, n int) []string { return bn.mint(tb, alg, n, "") }

// mint mints n tokens of 17 claims and 1.0 to 1.2 KB that differ in their jti, so that none of them
// is the one that came before; bound to a key, if there is a thumbprint.
func (bn *bench) mint(tb testing.TB, alg string, n int, thumbprint string) []string {
	tb.Helper()
	out := make([]string, n)
	for i := range out {
		all := jwt.MapClaims{
			"iss": benchIssuer, "aud": []string{testResource}, "sub": "36fa0f91-0000-4000-8000-000000000001",
			"client_id": "bbbbbbbb-0000-4000-8000-000000000001", "jti": fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i),
			"iat": epoch.Unix(), "nbf": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(), "auth_time": epoch.Unix(),
			"scope": "openid profile email notes:read notes:write notes:share files:read files:write calendar:read",
			"acr":   "urn:example:mfa", "sid": "2a88c258-0000-4000-8000-000000000001",
			"email": "ada@example.com", "email_verified": true, "name": "Ada Example",
			"roles":        []string{"notes-editor", "tool-admin", "files-editor", "calendar-reader"},
			"realm_access": map[string]any{"roles": []string{"default-roles-acme", "uma_authorization"}},
		}
		if thumbprint != "" {
			all["cnf"] = map[string]string{"jkt": thumbprint}
		}
		t := jwt.NewWithClaims(jwt.GetSigningMethod(alg), all)
		t.Header["typ"], t.Header["kid"] = "at+jwt", alg
		var err error
		out[i], err = t.SignedString(bn.keys[alg])
		require.NoError(tb, err)
	}
	if size := len(out[0]); size < 1000 || size > 1400 {
		tb.Fatalf("a token of %d bytes is not what the targets are about", size)
	}
	return out
}

// rawVerify is one signature check without anything else.
func (bn *bench) rawVerify(alg, token string) func() {
	dot := strings.LastIndexByte(token, '.')
	method, public, input := jwt.GetSigningMethod(alg), bn.keys[alg].Public(), token[:dot]
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		panic(err)
	}
	return func() {
		if err := method.Verify(input, sig, public); err != nil {
			panic(err)
		}
	}
}

var bare = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// typedClaims is what a careful user of golang-jwt would write for the tokens of these benchmarks.
type typedClaims struct {
	jwt.RegisteredClaims
	ClientID    string   `json:"client_id"`
	Scope       string   `json:"scope"`
	AuthTime    int64    `json:"auth_time"`
	ACR         string   `json:"acr"`
	SessionID   string   `json:"sid"`
	Email       string   `json:"email"`
	Verified    bool     `json:"email_verified"`
	Name        string   `json:"name"`
	Roles       []string `json:"roles"`
	RealmAccess struct {
		Roles []string `json:"roles"`
	} `json:"realm_access"`
}

type claimsKey struct{}

// golangJWT is the middleware that one writes by hand around golang-jwt: header, signature, issuer,
// audience, times, and the claims in the context. It reads no body.
func (bn *bench) golangJWT(alg string, next http.Handler) http.Handler {
	public := bn.keys[alg].Public()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(benchIssuer), jwt.WithAudience(testResource),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithTimeFunc(func() time.Time { return epoch }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c := new(typedClaims)
		if _, err := parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, c)))
	})
}

func loop(b *testing.B, f func()) {
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}

// BenchmarkWrap measures requests through ServeHTTP. Each metric whose name begins with x- is the ratio
// to an anchor that ran in turn with the measured code: lower is better.
func BenchmarkWrap(b *testing.B) {
	bn := newBench(b)
	h, hFirst := bn.auth.Wrap(bare), newBenchOf(b, bn.keys, fewTokens).auth.Wrap(bare)

	b.Run("none", func(b *testing.B) {
		loop(b, newDriver(bare, http.MethodPost, call("write_note"), nil, http.StatusOK).send)
	})
	for _, alg := range benchAlgorithms {
		tokens := bn.tokens(b, alg, 512)
		raw := bn.rawVerify(alg, tokens[0])
		// Without a body, the bearer check is all that happens; golang-jwt's 1.10 is the target for it.
		for _, request := range []struct{ name, method, body string }{
			{"bearer-new", http.MethodDelete, ""},
			{"bearer-new-call", http.MethodPost, call("write_note")},
		} {
			b.Run(request.name+"/"+alg, func(b *testing.B) {
				ours := newDriver(hFirst, request.method, request.body, bearers(tokens), http.StatusOK).send
				peer := newDriver(bn.golangJWT(alg, bare), request.method, request.body, bearers(tokens), http.StatusOK).send
				loop(b, ours)
				t := interleave(ours, peer, raw)
				b.ReportMetric(ratio(t[0], t[1]), "x-golang-jwt")
				b.ReportMetric(ratio(t[0], t[2]), "x-verify")
			})
		}
	}

	bn.benchmarkSeen(b, h)
	bn.benchmarkDPoP(b, h, hFirst)

	// The SDK's own 401 for a request without credentials; the target is 0.1.
	refuse := sdkauth.RequireBearerToken(func(context.Context, string, *http.Request) (*sdkauth.TokenInfo, error) {
		panic("there is no token to verify")
	}, &sdkauth.RequireBearerTokenOptions{ResourceMetadataURL: testPRM, Scopes: baseScopes})(bare)
	b.Run("denied-no-token", func(b *testing.B) {
		ours := newDriver(h, http.MethodGet, "", nil, http.StatusUnauthorized).send
		loop(b, ours)
		t := interleave(ours, newDriver(refuse, http.MethodGet, "", nil, http.StatusUnauthorized).send)
		b.ReportMetric(ratio(t[0], t[1]), "x-sdk401")
	})
	// With a body, ours also finds the request's id and writes a JSON-RPC error.
	b.Run("denied-no-token-call", func(b *testing.B) {
		ours := newDriver(h, http.MethodPost, call("write_note"), nil, http.StatusUnauthorized).send
		loop(b, ours)
		t := interleave(ours, newDriver(refuse, http.MethodPost, call("write_note"), nil, http.StatusUnauthorized).send)
		b.ReportMetric(ratio(t[0], t[1]), "x-sdk401")
	})
	b.Run("denied-scope", func(b *testing.B) {
		tokens := bn.tokens(b, "ES256", 512)
		ours := newDriver(h, http.MethodPost, call("drop_notes"), bearers(tokens), http.StatusForbidden).send
		allowed := newDriver(h, http.MethodPost, call("write_note"), bearers(tokens), http.StatusOK).send
		loop(b, ours)
		t := interleave(ours, allowed, bn.rawVerify("ES256", tokens[0]))
		b.ReportMetric(ratio(t[0], t[1]), "x-allowed")
		b.ReportMetric(ratio(t[0], t[2]), "x-verify")
	})
}

// benchmarkSeen measures bearer tokens that were seen before. Targets: 1.6 times the SHA-256 of the token
// over the bare handler, and 0.7 times the SDK's own middleware around a verifier that does nothing.
func (bn *bench) benchmarkSeen(b *testing.B, h http.Handler) {
	for _, n := range []int{1, 512} {
		b.Run(fmt.Sprintf("bearer-seen/tokens=%d", n), func(b *testing.B) {
			tokens := bn.tokens(b, "ES256", n)
			info := &sdkauth.TokenInfo{UserID: "ada", Expiration: time.Now().Add(time.Hour)}
			peer := newDriver(sdkauth.RequireBearerToken(func(context.Context, string, *http.Request) (*sdkauth.TokenInfo, error) {
				return info, nil
			}, nil)(bare), http.MethodDelete, "", bearers(tokens), http.StatusOK).send
			ours := newDriver(h, http.MethodDelete, "", bearers(tokens), http.StatusOK).send
			none := newDriver(bare, http.MethodDelete, "", bearers(tokens), http.StatusOK).send
			texts := make([][]byte, n)
			for i, token := range tokens {
				texts[i] = []byte(token)
			}
			i, sum := 0, byte(0)
			hash := func() {
				d := sha256.Sum256(texts[i%n])
				i++
				sum ^= d[0]
			}
			for range 2 * n {
				ours()
			}
			loop(b, ours)
			t := interleave(ours, none, hash, peer)
			over := make([]float64, len(t[0]))
			for i := range over {
				over[i] = t[0][i] - t[1][i]
			}
			b.ReportMetric(ratio(over, t[2]), "x-sha256")
			b.ReportMetric(ratio(t[0], t[3]), "x-sdk")
		})
	}
}

// benchmarkDPoP measures requests with a proof, of which each is another one. Targets: 1.2 and 2.5 times
// the verification of one ES256 signature, for tokens that were seen before and for new ones.
func (bn *bench) benchmarkDPoP(b *testing.B, seen, first http.Handler) {
	k := newHolder(b, "ES256")
	for _, c := range []struct {
		name    string
		handler http.Handler
		tokens  []string
	}{
		{"dpop-seen/ES256", seen, bn.mint(b, "ES256", 1, k.Thumbprint())},
		{"dpop-new/ES256", first, bn.mint(b, "ES256", 512, k.Thumbprint())},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := newDriver(c.handler, http.MethodDelete, "", nil, http.StatusOK)
			d.tokens = make([]string, len(c.tokens))
			for i, token := range c.tokens {
				d.tokens[i] = "DPoP " + token
			}
			d.request.Header["Authorization"] = []string{""}
			d.proofs = &proofs{holder: k, tokens: c.tokens}
			if hasty() {
				d.proofs.mint(1 << 11)
			} else {
				d.proofs.mint(1 << 14)
			}
			raw := bn.rawVerify("ES256", c.tokens[0])
			loop(b, d.send)
			t := interleave(d.send, raw)
			b.ReportMetric(ratio(t[0], t[1]), "x-verify")
		})
	}
}

// noteCall is a tools/call of about size bytes, nearly all of it text with escapes.
func noteCall(size int) string {
	const line = `All work and no play makes a dull day, as the saying goes; \"quoted\" text has escapes.\n`
	head, tail := `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"write_note","arguments":{"path":"a.md","text":"`, `"}}}`
	n := max(0, size-len(head)-len(tail))
	return head + strings.Repeat(line, n/len(line)) + strings.Repeat("x", n%len(line)) + tail
}

// BenchmarkBody measures what Wrap adds for reading and judging a body: a call less the same request
// without one, as a share of what the SDK's handler takes for that body alone. Targets: 1, 2 and 5 %.
func BenchmarkBody(b *testing.B) {
	bn := newBench(b)
	h := bn.auth.Wrap(bare)
	tokens := bearers(bn.tokens(b, "RS256", 64)) // the cheapest signature, so the least noise
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	server.AddTool(&mcp.Tool{Name: "write_note", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ok"}}}, nil
	})
	for _, bb := range []struct {
		name string
		size int
	}{{"1KB", 1 << 10}, {"100KB", 100 << 10}, {"4MB", 4<<20 - 1024}} {
		b.Run(bb.name, func(b *testing.B) {
			body := noteCall(bb.size)
			with := newDriver(h, http.MethodPost, body, tokens, http.StatusOK).send
			without := newDriver(h, http.MethodDelete, "", tokens, http.StatusOK).send
			sdk := newDriver(sdkHandler(server, true), http.MethodPost, body, nil, http.StatusOK).send
			b.SetBytes(int64(len(body)))
			loop(b, with)
			t := interleave(with, without, sdk)
			added := make([]float64, len(t[0]))
			for i := range added {
				added[i] = t[0][i] - t[1][i]
			}
			b.ReportMetric(median(added), "ns-added")
			b.ReportMetric(100*median(added)/median(t[2]), "%-of-sdk")
		})
	}
}

// BenchmarkVisible is one decision of a list.
func BenchmarkVisible(b *testing.B) {
	bn := newBench(b)
	l := newLister(b, bn, 1000)
	i := 0
	loop(b, func() {
		if i++; i == len(l.tools) {
			i = 0
		}
		if bn.auth.Visible(l.caller, mcpauth.Operation{Method: "tools/call", Name: l.tools[i].Name}) != (i%2 == 0) {
			panic("wrong decision")
		}
	})
	perOp := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(perOp/median(interleave(bn.rawVerify("ES256", bn.tokens(b, "ES256", 1)[0]))[0]), "x-verify")
}

// BenchmarkListFilter measures the guard around a list of tools, half of them hidden, less the guard
// around an empty one. Targets: 20 ns per tool and 1 allocation.
func BenchmarkListFilter(b *testing.B) {
	for _, n := range []int{30, 1000} {
		b.Run(fmt.Sprintf("tools=%d", n), func(b *testing.B) {
			l := newLister(b, newBench(b), n)
			filled := func() { l.list(l.tools) }
			empty := func() { l.list(nil) }
			loop(b, filled)
			t := interleave(filled, empty)
			b.ReportMetric((median(t[0])-median(t[1]))/float64(n), "ns/tool")
			b.ReportMetric(testing.AllocsPerRun(20, filled)-testing.AllocsPerRun(20, empty), "allocs-over-empty")
		})
	}
}

// A lister reaches the guard of a protected server without the SDK around it: a middleware outside of
// the guard keeps what comes in, and one inside answers every list with given tools.
type lister struct {
	caller *mcpauth.Principal
	tools  []*mcp.Tool
	list   func([]*mcp.Tool)
}

func newLister(tb testing.TB, bn *bench, n int) *lister {
	tb.Helper()
	l := &lister{}
	for i := range n {
		name := fmt.Sprintf("tool_%04d_of_usual_length", i)
		l.tools = append(l.tools, &mcp.Tool{Name: name})
		rule := scopes.All("notes:read") // held
		switch i % 4 {
		case 1, 3:
			rule = scopes.Role("nobody-has-it")
		case 2:
			rule = scopes.All("notes:delete") // not held, and shown: a step-up may bring it
		}
		bn.auth.RequireTool(name, rule)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, &mcp.ServerOptions{Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}})
	offered := &mcp.ListToolsResult{}
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/list" {
				return offered, nil
			}
			return next(ctx, method, req)
		}
	})
	bn.auth.Protect(server)
	server.AddReceivingMiddleware(func(guard mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/list" && req.GetExtra() != nil { // else it is Verify that asks
				ctx := context.WithoutCancel(ctx)
				l.list = func(tools []*mcp.Tool) {
					offered.Tools = tools
					res, err := guard(ctx, method, req)
					if err != nil || len(res.(*mcp.ListToolsResult).Tools) != len(tools)/2 {
						panic("wrong list")
					}
				}
			}
			return guard(ctx, method, req)
		}
	})
	token := bn.tokens(tb, "ES256", 1)[0]
	h := sdkHandler(server, true)
	w := serve(bn.auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.caller, _ = mcpauth.FromContext(r.Context())
		h.ServeHTTP(w, r)
	})), post(rpc("tools/list", nil), token))
	require.Equal(tb, http.StatusOK, w.Code, w.Body.String())
	require.NotNil(tb, l.list)
	return l
}
