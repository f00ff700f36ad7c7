package mcpauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Threat 65: headers that make other servers see another method or path do not get there.
func TestWrap_PassesOnNoDetours(t *testing.T) {
	is := newIssuer(t)
	decisions := &audit{}
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.OnDecision = decisions.add })
	auth.RequireTool("whoami", scopes.Authenticated())
	var got http.Header
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	for _, method := range []string{"POST", "GET", "DELETE"} {
		r := post(call("whoami"), is.token(t))
		r.Method = method
		names := []string{"Connection", "Upgrade", "HTTP2-Settings", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"}
		for _, name := range append(names, "Traceparent", "Last-Event-Id") {
			r.Header.Set(name, "x")
		}
		before := r.Header.Clone()
		require.Equal(t, http.StatusOK, serve(h, r).Code)
		for _, name := range names {
			require.Empty(t, got.Get(name), name)
		}
		require.Equal(t, "x", got.Get("Traceparent"))
		require.Equal(t, "x", got.Get("Last-Event-Id"))
		require.Equal(t, before, r.Header, "the caller's own header is left alone")
	}
}

// AUTHZ-01: only the body of a POST is decided, so no other body reaches a handler.
func TestAUTHZ01_BodiesThatAreNotDecidedDoNotArrive(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	var body []byte
	var length int64
	var err error
	s := httptest.NewServer(auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		length = r.ContentLength
		body, err = io.ReadAll(r.Body)
	})))
	defer s.Close()
	for _, method := range []string{"GET", "DELETE"} {
		for _, chunked := range []bool{false, true} {
			r, requestErr := http.NewRequest(method, s.URL, strings.NewReader(call("forgotten")))
			require.NoError(t, requestErr)
			r.Header.Set("Authorization", "Bearer "+is.token(t))
			r.Header.Set("Content-Type", "application/json")
			if chunked {
				r.ContentLength = -1
			}
			res, requestErr := s.Client().Do(r)
			require.NoError(t, requestErr)
			res.Body.Close()
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.NoError(t, err)
			require.Empty(t, body)
			require.Zero(t, length)
		}
	}
}

// An upgraded connection would carry whatever the client likes past every rule.
func TestWrap_NoUpgradeThroughAReverseProxy(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	var upgraded atomic.Bool
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		upgraded.Store(true)
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	s := httptest.NewServer(auth.Wrap(httputil.NewSingleHostReverseProxy(target)))
	defer s.Close()
	for _, protocol := range []string{"websocket", "h2c", "TLS/1.3"} {
		r, err := http.NewRequest(http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		r.Header = http.Header{"Authorization": {"Bearer " + is.token(t)}, "Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {protocol}, "Http2-Settings": {"AAMAAABkAARAAAAA"}}
		res, err := s.Client().Do(r)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.False(t, upgraded.Load(), protocol)
	}
}

// A reverse proxy drops the fields that Connection names. A client must not choose so what an upstream does not hear:
// who is calling, or in which session and revision the request was decided.
func TestWrap_ClientsDropNothingThroughAReverseProxy(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("whoami", scopes.Authenticated())
	var got http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := mcpauth.FromContext(r.Context())
		r.Header.Set("X-User", caller.Subject())
		proxy.ServeHTTP(w, r)
	})))
	defer s.Close()
	r, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader(call("whoami")))
	require.NoError(t, err)
	r.Header = http.Header{
		"Authorization": {"Bearer " + is.token(t)}, "Content-Type": {"application/json"}, "Mcp-Session-Id": {"s"}, "Mcp-Protocol-Version": {"2025-11-25"},
		"Connection": {"X-User, Mcp-Session-Id", "mcp-protocol-version"},
	}
	res, err := s.Client().Do(r)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, []string{"ada", "s", "2025-11-25"}, []string{got.Get("X-User"), got.Get("Mcp-Session-Id"), got.Get("Mcp-Protocol-Version")})
}
