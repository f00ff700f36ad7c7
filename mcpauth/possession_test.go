package mcpauth_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// altered is a thumbprint of the same form that differs in its last character only.
func altered(thumbprint string) string {
	last := "A"
	if strings.HasSuffix(thumbprint, last) {
		last = "E" // the two bits that nobody reads are zero in both
	}
	return thumbprint[:len(thumbprint)-1] + last
}

// TOK-18: one good member of cnf makes up for no bad one.
func TestTOK18_EachMemberOfCnfIsAThumbprint(t *testing.T) {
	is := newIssuer(t)
	k := newHolder(t, "")
	jkt := k.Thumbprint()
	mine, thumbprint := clientCert(t)
	leaf, err := x509.ParseCertificate(mine.Certificate[0])
	require.NoError(t, err)
	var log audit
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.MutualTLS.Enabled, cfg.OnDecision = true, log.add })
	for name, c := range map[string]struct {
		cnf    claims
		reason mcpauth.Reason
	}{
		"a key that is empty":                    {claims{"jkt": "", "x5t#S256": thumbprint}, mcpauth.ReasonBoundToken},
		"a key that is a number":                 {claims{"jkt": 7, "x5t#S256": thumbprint}, mcpauth.ReasonBoundToken},
		"a key in another spelling":              {claims{"jkt": jkt + "="}, mcpauth.ReasonBoundToken},
		"a certificate that is empty":            {claims{"jkt": jkt, "x5t#S256": ""}, mcpauth.ReasonBoundToken},
		"another certificate, nearly":            {claims{"x5t#S256": altered(thumbprint)}, mcpauth.ReasonCertificate},
		"the right certificate and another key":  {claims{"jkt": altered(jkt), "x5t#S256": thumbprint}, mcpauth.ReasonProofKeyBinding},
		"the right key and another certificate":  {claims{"jkt": jkt, "x5t#S256": altered(thumbprint)}, mcpauth.ReasonCertificate},
		"the thumbprints in each other's places": {claims{"jkt": thumbprint, "x5t#S256": jkt}, mcpauth.ReasonProofKeyBinding},
	} {
		t.Run(name, func(t *testing.T) {
			token := is.token(t, claims{"scope": "mcp:read", "cnf": c.cnf})
			bearer, proven := post(call("whoami"), token), k.signed(post(call("whoami"), ""), token)
			for _, r := range []*http.Request{bearer, proven} {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
				log.take()
				require.Equal(t, http.StatusUnauthorized, serve(h, r).Code)
				got := log.take()
				require.Len(t, got, 1)
				if _, alone := c.cnf["jkt"]; alone == (r == proven) {
					require.Equal(t, c.reason, got[0].Reason)
				}
			}
		})
	}
}

// RFC 8705, Section 3: what tools learn of the certificate, and which of a chain it is.
func TestTOK18_TheLeafIsTheClients(t *testing.T) {
	is := newIssuer(t)
	mine, thumbprint := clientCert(t)
	theirs, _ := clientCert(t)
	var chain []*x509.Certificate
	for _, der := range [][]byte{mine.Certificate[0], theirs.Certificate[0]} {
		c, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		chain = append(chain, c)
	}
	auth, _ := newAuth(t, is, withMutualTLS)
	auth.RequireTool("whoami", scopes.Authenticated())
	var got *mcpauth.Principal
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = mcpauth.FromContext(r.Context()) }))
	token := is.token(t, claims{"cnf": claims{"x5t#S256": thumbprint}})
	send := func(peers ...*x509.Certificate) int {
		r := post(call("whoami"), token)
		r.TLS = &tls.ConnectionState{PeerCertificates: peers}
		return serve(h, r).Code
	}
	require.Equal(t, 200, send(chain...))
	require.Equal(t, thumbprint, got.CertificateThumbprint())
	require.Empty(t, got.KeyThumbprint())
	require.Equal(t, "Bearer", got.Scheme())
	require.Equal(t, 401, send(chain[1], chain[0]), "a certificate that somebody else may send along proves nothing")
	require.Equal(t, 401, send())
}

// TOK-19: what a proxy hands on is one certificate, in a form that only one reading has.
func TestTOK19_FormsOfTheField(t *testing.T) {
	is := newIssuer(t)
	mine, thumbprint := clientCert(t)
	for len(mine.Certificate[0])%3 == 0 { // else base64 has no bits to spare
		mine, thumbprint = clientCert(t)
	}
	der := mine.Certificate[0]
	b64 := base64.StdEncoding.EncodeToString(der)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	spare := strings.TrimRight(b64, "=")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	other := spare[:len(spare)-1] + string(alphabet[strings.IndexByte(alphabet, spare[len(spare)-1])+1]) + b64[len(spare):]
	loose, err := base64.StdEncoding.DecodeString(other)
	require.NoError(t, err)
	require.Equal(t, der, loose, "a lax reader takes it for the same")
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.MutualTLS = mcpauth.MutualTLS{Enabled: true, DangerouslyTrustHeader: "x-client-cert-2"}
	})
	send := func(thumbprint, field string) int {
		token := is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint}})
		return serve(h, with(post(call("whoami"), token), "X-Client-Cert-2", field)).Code
	}
	for name, c := range map[string]struct {
		field string
		want  int
	}{
		"base64":                        {b64, 200},
		"base64 with bits set to spare": {other, 401},
		"base64 in lines":               {b64[:64] + "\r\n" + b64[64:], 401},
		"base64 and more":               {spare + "!", 401},
		"base64, its end, and more":     {b64 + "!", 401},
		"PEM and white space":           {url.PathEscape(text + " \n\n"), 200},
		"PEM and a flood of it":         {url.PathEscape(text + strings.Repeat("\n", 16<<10)), 401},
	} {
		require.Equal(t, c.want, send(thumbprint, c.field), name)
	}
	// A thumbprint of bytes that are no certificate stands for nothing.
	sum := sha256.Sum256([]byte("no certificate"))
	require.Equal(t, 401, send(base64.RawURLEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString([]byte("no certificate"))))
}

// SEC-01: a header that has a meaning of its own is none in which a proxy hands on a certificate, nor one
// for credentials of another kind.
func TestMutualTLS_HeadersWithAnotherMeaning(t *testing.T) {
	is := newIssuer(t)
	for _, name := range []string{
		"authorization", "Proxy-Authorization", "dpop", "Cookie", "host", "Origin", "content-type", "Content-Length", "accept",
		"Mcp-Session-Id", "mcp-name", "MCP-Protocol-Version", "a b", "a:b", "ä", "a\x00",
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, MutualTLS: mcpauth.MutualTLS{Enabled: true, DangerouslyTrustHeader: name}})
		require.ErrorContains(t, err, "MutualTLS.DangerouslyTrustHeader", name)
	}
}

// Off is off: whoever configures anything else has made a mistake that would go unnoticed.
func TestDPoP_OffStandsAlone(t *testing.T) {
	is := newIssuer(t)
	for name, d := range map[string]mcpauth.DPoP{
		"Algorithms": {Algorithms: []string{"ES256"}}, "Window": {Window: time.Minute}, "Nonces": {Nonces: true},
		"NonceKeys": {NonceKeys: [][]byte{[]byte(strings.Repeat("0123456789abcdef", 2))}}, "Replay": {Replay: &recorder{}}, "MaxProofs": {MaxProofs: 1 << 20},
	} {
		d.Mode = mcpauth.DPoPOff
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, DPoP: d})
		require.ErrorContains(t, err, "DPoP.Mode", name)
	}
}

func TestDPoP_Bounds(t *testing.T) {
	is := newIssuer(t)
	for name, c := range map[string]struct {
		dpop mcpauth.DPoP
		want string
	}{
		"the shortest window":      {mcpauth.DPoP{Window: 2 * time.Second}, ""},
		"a shorter one":            {mcpauth.DPoP{Window: 2*time.Second - 1}, "DPoP.Window"},
		"the longest window":       {mcpauth.DPoP{Window: time.Hour}, ""},
		"a longer one":             {mcpauth.DPoP{Window: time.Hour + 1}, "DPoP.Window"},
		"the smallest memory":      {mcpauth.DPoP{MaxProofs: 1 << 10}, ""},
		"a smaller one":            {mcpauth.DPoP{MaxProofs: 1<<10 - 1}, "DPoP.MaxProofs"},
		"a negative one":           {mcpauth.DPoP{MaxProofs: -1}, "DPoP.MaxProofs"},
		"the largest memory":       {mcpauth.DPoP{MaxProofs: 1 << 28}, ""},
		"a larger one":             {mcpauth.DPoP{MaxProofs: 1<<28 + 1}, "DPoP.MaxProofs"},
		"half a window with it":    {mcpauth.DPoP{Window: 3 * time.Second, Nonces: true}, ""},
		"the shortest, and nonces": {mcpauth.DPoP{Window: 2 * time.Second, Nonces: true}, ""},
		"the longest, and nonces":  {mcpauth.DPoP{Window: time.Hour, Nonces: true}, ""},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, DPoP: c.dpop})
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
	}
}

// DPOP-09: the configured window counts, before and after.
func TestDPOP09_AWindowOfOnesOwn(t *testing.T) {
	store := &recorder{answer: func(context.Context) (bool, error) { return true, nil }}
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Window, cfg.DPoP.Replay = 10*time.Second, store })
	for off, ok := range map[int64]bool{0: true, -10: true, 10: true, -13: false, 13: false} {
		w := serve(h, k.signed(post(call("whoami"), ""), token, claim("iat", epoch.Unix()+off)))
		require.Equal(t, ok, w.Code == http.StatusOK, "%d s", off)
		if !ok {
			requireBadProof(t, w)
		}
	}
	require.Len(t, store.until, 3)
	for _, until := range store.until {
		require.WithinRange(t, until, epoch, epoch.Add(40*time.Second))
	}
}

// DPOP-18: a nonce is good for the configured window, the second half of it as the previous one.
func TestDPOP18_NoncesFollowTheWindow(t *testing.T) {
	h, _, k, token, clock := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Nonces, cfg.DPoP.Window = true, 20*time.Second })
	send := func(nonce string) int {
		w := serve(h, k.signed(post(call("whoami"), ""), token, claim("nonce", nonce), claim("iat", clock.Now().Unix())))
		return w.Code
	}
	nonce := requireNonceAsked(t, serve(h, k.signed(post(call("whoami"), ""), token)))
	require.Equal(t, 200, send(nonce))
	clock.advance(11 * time.Second)
	w := serve(h, k.signed(post(call("whoami"), ""), token, claim("nonce", nonce)))
	require.Equal(t, 200, w.Code)
	fresh := nonceOf(t, w)
	require.NotEqual(t, nonce, fresh)
	clock.advance(10 * time.Second)
	require.Equal(t, 401, send(nonce))
	require.Equal(t, 200, send(fresh))
}

// DPOP-15: a store is asked with a context that lives, ends in time, and is released afterwards.
func TestDPOP15_TheStoresContext(t *testing.T) {
	var asked context.Context
	store := &recorder{answer: func(ctx context.Context) (bool, error) {
		asked = ctx
		return true, ctx.Err()
	}}
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.DPoP.Replay = store })
	before := time.Now()
	require.Equal(t, http.StatusOK, serve(h, k.signed(post(call("whoami"), ""), token)).Code)
	end, ok := asked.Deadline()
	require.True(t, ok)
	require.WithinRange(t, end, before.Add(time.Second), time.Now().Add(5*time.Second))
	require.ErrorIs(t, asked.Err(), context.Canceled)
}

// DPOP-01: the log tells a missing proof from several.
func TestDPOP01_TheLogSaysHowMany(t *testing.T) {
	var log audit
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	for want, fields := range map[string][]string{"none": nil, "several": {"a", "b"}} {
		r := k.signed(post(call("whoami"), ""), token)
		if r.Header["Dpop"] = fields; fields == nil {
			delete(r.Header, "Dpop")
		}
		requireBadProof(t, serve(h, r))
		got := log.take()
		require.Len(t, got, 1)
		require.Equal(t, mcpauth.ReasonProofCount, got[0].Reason)
		require.Equal(t, want, got[0].Got)
	}
}

// CH-14, CH-15: the log tells why what came was no credential.
func TestCH_TheLogOfNoCredentials(t *testing.T) {
	is := newIssuer(t)
	var log audit
	last := func(t *testing.T, w *httptest.ResponseRecorder) mcpauth.Decision {
		require.Equal(t, http.StatusUnauthorized, w.Code)
		all := log.take()
		require.Len(t, all, 1)
		return all[0]
	}
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	r := post(call("whoami"), "")
	r.URL.RawQuery = "access_token=x"
	w := serve(h, r)
	require.Equal(t, bothLines(plainScoped), w.Header()["Www-Authenticate"])
	require.Equal(t, mcpauth.ReasonQueryToken, last(t, w).Reason)
	require.Equal(t, mcpauth.ReasonNoCredentials, last(t, serve(h, post(call("whoami"), ""))).Reason)
	d := last(t, serve(h, with(post(call("whoami"), ""), "Authorization", "Basic eA==")))
	require.Equal(t, mcpauth.ReasonUnsupportedScheme, d.Reason)
	require.Equal(t, "Bearer or DPoP", d.Expected)
	require.Equal(t, "Basic", d.Got)

	alone, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{signature(adas(), nil)}, OnDecision: log.add})
	require.NoError(t, err)
	h = alone.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	require.Equal(t, "what an Authenticator accepts", last(t, serve(h, post(call("whoami"), "x.y.z"))).Expected)
}

// CH-22: clients are told to come back when there is a chance, not every second.
func TestCH22_RetryAfterIsTheKeySets(t *testing.T) {
	is := newIssuer(t)
	h, _, clock := newBased(t, is, nil)
	is.down.Store(true)
	token := is.token(t, claims{"scope": "mcp:read", "exp": epoch.Add(time.Hour).Unix()})
	longest := time.Duration(0)
	for range 5 {
		wait := requireUnavailable(t, serve(h, post(call("whoami"), token)))
		longest = max(longest, wait)
		clock.advance(wait)
	}
	require.Greater(t, longest, time.Second)
}

// Challenges name scopes as the caller's own authorization server does, and the first one's where no caller
// is known.
func TestCH08_ScopesAreNamedAsTheIssuerDoes(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Grants.ChallengePrefix = "api://one/"
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL, Grants: scopes.Mapper{ChallengePrefix: "api://two/"}})
	})
	for want, w := range map[string]*httptest.ResponseRecorder{
		`scope="api://one/mcp:read"`:                       serve(h, post(call("write"), "")),
		`error="invalid_token"`:                            serve(h, post(call("write"), "x.y.z")),
		`scope="api://two/mcp:read api://two/files:write"`: serve(h, post(call("write"), other.scoped(t, ""))),
		`scope="api://one/mcp:read api://one/files:write"`: serve(h, post(call("write"), is.scoped(t, ""))),
	} {
		line := w.Header()["Www-Authenticate"][0]
		require.Contains(t, line, want)
		for _, p := range parameter.FindAllStringSubmatch(line, -1) {
			if p[1] == "scope" {
				require.NotRegexp(t, `(^| )(mcp|files):`, p[2])
				require.Contains(t, w.Body.String(), `"scope":"`+p[2]+`"`)
			}
		}
	}
}

// Who shares a store as well as the keys is not warned.
func TestDPoP_NoWarningBesideAStore(t *testing.T) {
	var e ear
	h, _, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Logger, cfg.DPoP.Replay = e.logger(), &recorder{}
		cfg.DPoP.Nonces, cfg.DPoP.NonceKeys = true, [][]byte{[]byte("a secret of all replicas 0123456789")}
	})
	serve(h, post(call("whoami"), ""))
	require.NotEmpty(t, e.text())
	require.NotContains(t, e.text(), "DPoP.NonceKeys")
	require.NotContains(t, e.text(), "a secret of")
}
