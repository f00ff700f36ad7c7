package mcpauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
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

// A clientCert is a self-signed certificate of a client (RFC 8705, Section 2.2).
func clientCert(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.RawURLEncoding.EncodeToString(sum[:])
}

func withMutualTLS(cfg *mcpauth.Config) { cfg.MutualTLS.Enabled = true }

// TOK-18, RFC 8705 Section 3: over real TLS, in both versions, a bound token works on connections with
// its certificate only.
func TestTOK18_CertificateOfTheConnection(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, withMutualTLS)
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	mine, thumbprint := clientCert(t)
	theirs, _ := clientCert(t)
	bound := is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint}})
	for version, name := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		for _, c := range []struct {
			name   string
			cert   *tls.Certificate
			token  string
			status int
		}{
			{"the token's certificate", &mine, bound, 200},
			{"another certificate", &theirs, bound, 401},
			{"no certificate", nil, bound, 401},
			{"a token that is not bound", &theirs, is.scoped(t, "mcp:read"), 200},
			{"one bound to something that is no thumbprint", &mine, is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint + "="}}), 401},
			{"one bound to something else as well", &mine, is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint, "kid": "1"}}), 401},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				transport := server.Client().Transport.(*http.Transport).Clone()
				transport.TLSClientConfig.MaxVersion = version
				if c.cert != nil {
					transport.TLSClientConfig.Certificates = []tls.Certificate{*c.cert}
				}
				defer transport.CloseIdleConnections()
				r := post(call("whoami"), c.token)
				r.RequestURI, r.Host = "", "mcp.example.com"
				r.URL, _ = url.Parse(server.URL + "/mcp")
				resp, err := transport.RoundTrip(r)
				require.NoError(t, err)
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				require.Equal(t, c.status, resp.StatusCode, string(body))
				if c.status == 401 {
					require.Contains(t, resp.Header.Get("Www-Authenticate"), `Bearer error="invalid_token"`)
				}
			})
		}
	}
}

func TestPRM12_TheMetadataSaysWhetherCertificatesAreChecked(t *testing.T) {
	is := newIssuer(t)
	for _, enabled := range []bool{false, true} {
		h, auth, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.MutualTLS.Enabled = enabled })
		doc := serve(auth.Metadata(), httptest.NewRequest("GET", testPRM, nil)).Body.String()
		require.Equal(t, enabled, strings.Contains(doc, `"tls_client_certificate_bound_access_tokens":true`))
		mine, thumbprint := clientCert(t)
		r := post(call("whoami"), is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint}}))
		leaf, err := x509.ParseCertificate(mine.Certificate[0])
		require.NoError(t, err)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		require.Equal(t, enabled, serve(h, r).Code == http.StatusOK)
	}
}

// TOK-19, RFC 8705 Section 6.5: a header counts only where it is named, and then it alone.
func TestTOK19_CertificateFromAProxy(t *testing.T) {
	is := newIssuer(t)
	mine, thumbprint := clientCert(t)
	other, _ := clientCert(t)
	der := mine.Certificate[0]
	b64 := base64.StdEncoding.EncodeToString(der)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	foreign := base64.StdEncoding.EncodeToString(other.Certificate[0])
	token := is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint}})
	var seen http.Header
	build := func(header string) http.Handler {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.MutualTLS = mcpauth.MutualTLS{Enabled: true, DangerouslyTrustHeader: header}
		})
		auth.RequireTool("whoami", scopes.Authenticated())
		return auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	}
	send := func(h http.Handler, withTLS bool, values ...string) int {
		r := with(post(call("whoami"), token), "Client-Cert", values...)
		if withTLS {
			leaf, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		}
		return serve(h, r).Code
	}
	trusting, plain := build("client-cert"), build("")
	for name, c := range map[string]struct {
		value string
		want  int
	}{
		"a structured field (RFC 9440)": {":" + b64 + ":", 200},
		"base64":                        {b64, 200},
		"PEM, percent-encoded":          {url.PathEscape(text), 200},
		"PEM as nginx and ALB write it": {strings.NewReplacer("\n", "%0A", " ", "%20", "=", "%3D").Replace(text), 200},
		"the certificate of another":    {":" + foreign + ":", 401},
		"half a structured field":       {":" + b64, 401},
		"two in PEM":                    {url.PathEscape(text + text), 401},
		"PEM of a key":                  {url.PathEscape(strings.ReplaceAll(text, "CERTIFICATE", "PRIVATE KEY")), 401},
		"something before the PEM":      {"By=spiffe://x;URI=spiffe://mallory/%0A" + url.PathEscape(text), 401},
		"a broken block before it":      {url.PathEscape("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n" + text), 401},
		"PEM with headers":              {url.PathEscape(strings.Replace(text, "-----\n", "-----\nA: b\n\n", 1)), 401},
		"something after it":            {":" + b64 + ":;a=1", 401},
		"bytes after the certificate":   {base64.StdEncoding.EncodeToString(append(append([]byte{}, der...), 0)), 401},
		"its thumbprint":                {thumbprint, 401},
		"empty":                         {"", 401},
		"junk":                          {"%zz BEGIN", 401},
		"an endless one":                {strings.Repeat("A", 1<<20), 401},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, send(trusting, false, c.value))
			require.Equal(t, 401, send(plain, false, c.value), "nobody named this header")
		})
	}
	require.Equal(t, 401, send(trusting, false))
	require.Equal(t, 401, send(trusting, false, ":"+b64+":", ":"+b64+":"), "one of two fields may be the client's")
	require.Equal(t, 401, send(trusting, true), "behind the proxy, the connection is the proxy's")
	require.Equal(t, 200, send(trusting, false, b64))
	require.NotContains(t, seen, "Client-Cert")
	require.Equal(t, 200, send(plain, true, b64))
	require.Contains(t, seen, "Client-Cert", "a header that means nothing here is the handler's")
}

// Both bindings at once: both have to be shown.
func TestTOK18_KeyAndCertificate(t *testing.T) {
	h, is, k, _, _ := boundServer(t, withMutualTLS)
	mine, thumbprint := clientCert(t)
	leaf, err := x509.ParseCertificate(mine.Certificate[0])
	require.NoError(t, err)
	token := is.token(t, claims{"scope": "mcp:read", "cnf": claims{"x5t#S256": thumbprint, "jkt": k.Thumbprint()}})
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	request := func(proof, cert bool) *http.Request {
		r := with(post(call("whoami"), ""), "Authorization", "DPoP "+token)
		if proof {
			k.signed(r, token)
		}
		if cert {
			r.TLS = state
		}
		return r
	}
	require.Equal(t, 200, serve(h, request(true, true)).Code)
	require.Equal(t, 401, serve(h, request(false, true)).Code)
	w := serve(h, request(true, false))
	require.Equal(t, 401, w.Code)
	require.Contains(t, w.Header()["Www-Authenticate"][1], `DPoP error="invalid_token", error_description="The access token is bound to a client certificate, and none was shown"`)
	bearer := with(request(false, true), "Authorization", "Bearer "+token)
	require.Equal(t, 401, serve(h, bearer).Code)
}

func TestMutualTLS_MistakesInTheConfig(t *testing.T) {
	is := newIssuer(t)
	for name, c := range map[string]mcpauth.MutualTLS{
		"a header without the feature": {DangerouslyTrustHeader: "Client-Cert"},
		"no name of a header":          {Enabled: true, DangerouslyTrustHeader: "Client Cert"},
		"credentials":                  {Enabled: true, DangerouslyTrustHeader: "authorization"},
		"a header of MCP":              {Enabled: true, DangerouslyTrustHeader: "mcp-session-id"},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, MutualTLS: c})
		require.ErrorContains(t, err, "MutualTLS.DangerouslyTrustHeader", name)
	}
}

// The header "never reaches the handler", also where all callers have other credentials than access tokens: a handler may believe it.
func TestMutualTLS_TheHeaderWithoutIssuers(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("f_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "f_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "laptop"}}})
	require.NoError(t, err)
	cfg := mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{keys}, Now: newClock().Now,
		MutualTLS: mcpauth.MutualTLS{Enabled: true, DangerouslyTrustHeader: "Client-Cert"}}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	inner := &spy{}
	r := with(with(post(rpc("ping", nil), ""), "X-Api-Key", key), "Client-Cert", ":AAAA:")
	require.Equal(t, http.StatusOK, serve(auth.Wrap(inner), r).Code)
	require.NotContains(t, inner.last.Header, "Client-Cert")
	require.NotContains(t, inner.last.Header, "X-Api-Key")
	cfg.MutualTLS.DangerouslyTrustHeader = "Authorization"
	_, err = mcpauth.New(cfg)
	require.ErrorContains(t, err, "MutualTLS.DangerouslyTrustHeader")
}
