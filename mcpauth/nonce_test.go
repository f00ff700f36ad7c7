package mcpauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// nonceOf is the one nonce of an answer.
func nonceOf(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	require.Len(t, w.Header()["Dpop-Nonce"], 1)
	nonce := w.Header()["Dpop-Nonce"][0]
	require.Regexp(t, `^[\x21\x23-\x5B\x5D-\x7E]{20,}$`, nonce) // DPOP-17: NQCHAR (RFC 9449, Section 8.1)
	// CH-24; where the handler sets a field of its own, beside that.
	require.Contains(t, append(w.Header()["Cache-Control"], map[string][]string(w.Header())["cache-control"]...), "no-store")
	return nonce
}

// requireNonceAsked is W5: the one line, the one nonce.
func requireNonceAsked(t testing.TB, w *httptest.ResponseRecorder) (nonce string) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, w.Code, w.Body.String())
	require.Equal(t, []string{dpopLine("use_dpop_nonce", "Resource server requires nonce in DPoP proof", "")}, w.Header()["Www-Authenticate"])
	return nonceOf(t, w)
}

func withNonces(cfg *mcpauth.Config) { cfg.DPoP.Nonces = true }

func TestDPOP16_NoProofWithoutANonceIsAccepted(t *testing.T) {
	h, is, k, token, clock := boundServer(t, withNonces)
	send := func(edits ...edit) *httptest.ResponseRecorder {
		return serve(h, k.signed(post(call("whoami"), ""), token, edits...))
	}
	nonce := requireNonceAsked(t, send())
	require.Equal(t, http.StatusOK, send(claim("nonce", nonce)).Code)
	require.Equal(t, http.StatusOK, send(claim("nonce", nonce)).Code, "a nonce may serve many proofs; jti is what is single-use (DPOP-18)")
	for name, bad := range map[string]any{
		"empty": "", "of another": strings.Repeat("A", len(nonce)), "cut": nonce[1:], "longer": nonce + "A", "with a space": " " + nonce, "endless": strings.Repeat("A", 1000),
	} {
		t.Run(name, func(t *testing.T) { requireNonceAsked(t, send(claim("nonce", bad))) })
	}
	t.Run("of another type it is malformed", func(t *testing.T) { requireBadProof(t, send(claim("nonce", 7))) })
	t.Run("DPOP-20 what is wrong otherwise is said first", func(t *testing.T) {
		for _, e := range []edit{claim("htm", "GET"), claim("htu", "https://evil.example"), claim("ath", "x"), claim("iat", nil), claim("iat", "x"), header("typ", "JWT")} {
			w := send(e)
			requireBadProof(t, w)
			require.Equal(t, nonce, nonceOf(t, w), "for the next try")
		}
	})
	t.Run("Bearer needs none", func(t *testing.T) {
		w := serve(h, post(call("whoami"), is.scoped(t, "mcp:read")))
		require.Equal(t, http.StatusOK, w.Code)
		require.NotContains(t, w.Header(), "Dpop-Nonce")
	})
	t.Run("a replayed proof with a good nonce", func(t *testing.T) {
		r := k.signed(post(call("whoami"), ""), token, claim("nonce", nonce))
		require.Equal(t, http.StatusOK, serve(h, again(r)).Code)
		requireBadProof(t, serve(h, again(r)))
		for range 12 { // until the nonce is refused, and at the moment that it is
			clock.advance(25 * time.Second)
			require.Equal(t, http.StatusUnauthorized, serve(h, again(r)).Code)
		}
	})
}

// DPOP-18: the current and the previous nonce are accepted, and a fresh one comes in time.
func TestDPOP18_NoncesOverlap(t *testing.T) {
	h, is, k, _, clock := boundServer(t, withNonces)
	token := k.bound(t, is, claims{"scope": "mcp:read", "exp": epoch.Add(time.Hour).Unix()})
	send := func(nonce string) *httptest.ResponseRecorder {
		return serve(h, k.signed(post(call("whoami"), ""), token, claim("nonce", nonce), claim("iat", clock.Now().Unix())))
	}
	nonce := requireNonceAsked(t, send(""))
	asked := 0
	for range 40 { // 20 min of a client that sends something every 30 s
		clock.advance(30 * time.Second)
		w := send(nonce)
		if w.Code == http.StatusUnauthorized {
			asked++
		} else {
			require.Equal(t, http.StatusOK, w.Code)
		}
		if w.Header()["Dpop-Nonce"] != nil {
			fresh := nonceOf(t, w)
			require.NotEqual(t, nonce, fresh)
			nonce = fresh
		}
	}
	require.Zero(t, asked, "who keeps sending is never sent back")

	clock.advance(5*time.Minute + time.Second) // who pauses for longer than the window is
	fresh := requireNonceAsked(t, send(nonce))
	require.Equal(t, http.StatusOK, send(fresh).Code)
}

// CH-24 on the wire, where both fields arrive.
func TestCH24_AnAnswerWithANonceIsNotStored(t *testing.T) {
	h, is, k, _, clock := boundServer(t, withNonces)
	token := k.bound(t, is, claims{"scope": "mcp:read", "exp": epoch.Add(time.Hour).Unix()})
	server := httptest.NewServer(h)
	defer server.Close()
	send := func(edits ...edit) *http.Response {
		r := k.signed(post(call("whoami"), ""), token, edits...)
		r.RequestURI, r.Host = "", "mcp.example.com"
		r.URL, _ = url.Parse(server.URL)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp
	}
	nonce := send().Header.Get("DPoP-Nonce")
	require.NotEmpty(t, nonce)
	clock.advance(160 * time.Second)
	resp := send(claim("nonce", nonce))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Len(t, resp.Header["Dpop-Nonce"], 1)
	require.Contains(t, resp.Header["Cache-Control"], "no-store")
}

// DPOP-19: with a nonce, the clock of the client does not matter.
func TestDPOP19_ANonceReplacesTheClientsClock(t *testing.T) {
	h, _, k, token, _ := boundServer(t, withNonces)
	for _, off := range []time.Duration{time.Hour, -time.Hour, -50 * 365 * 24 * time.Hour} {
		skewed := claim("iat", epoch.Add(off).Unix())
		nonce := requireNonceAsked(t, serve(h, k.signed(post(call("whoami"), ""), token, skewed)))
		r := k.signed(post(call("whoami"), ""), token, skewed, claim("nonce", nonce))
		require.Equal(t, http.StatusOK, serve(h, again(r)).Code)
		requireBadProof(t, serve(h, again(r)))
	}
}

// DPOP-17: replicas and restarts with the same keys know each other's nonces; others do not.
func TestDPOP17_SharedKeys(t *testing.T) {
	is := newIssuer(t)
	k := newHolder(t, "")
	token := k.bound(t, is, claims{"scope": "mcp:read"})
	key, next := []byte(strings.Repeat("0123456789abcdef", 2)), []byte(strings.Repeat("fedcba9876543210", 2))
	replica := func(resource string, keys ...[]byte) http.Handler {
		h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
			cfg.Resource, cfg.DPoP.Nonces, cfg.DPoP.NonceKeys = resource, true, keys
		})
		return h
	}
	send := func(h http.Handler, nonce string) *httptest.ResponseRecorder {
		return serve(h, k.signed(post(call("whoami"), ""), token, claim("nonce", nonce)))
	}
	one := replica(testResource, key)
	nonce := requireNonceAsked(t, send(one, ""))
	require.Equal(t, http.StatusOK, send(replica(testResource, key), nonce).Code)
	rotated := send(replica(testResource, next, key), nonce)
	require.Equal(t, http.StatusOK, rotated.Code)
	require.NotEqual(t, nonce, nonceOf(t, rotated), "a nonce of the new key comes along")
	requireNonceAsked(t, send(replica(testResource, next), nonce))
	requireNonceAsked(t, send(replica(testResource), nonce))

	other := replica("https://mcp.example.com/other", key)
	theirs := is.token(t, claims{"scope": "mcp:read", "cnf": claims{"jkt": k.Thumbprint()}, "aud": "https://mcp.example.com/other"})
	w := serve(other, k.signed(post(call("whoami"), ""), theirs, claim("nonce", nonce), claim("htu", "https://mcp.example.com/other")))
	require.Equal(t, http.StatusUnauthorized, w.Code, "the same key at another resource")
	require.Contains(t, w.Header()["Www-Authenticate"][0], "use_dpop_nonce")
}
