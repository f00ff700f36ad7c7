package proxy_test

import (
	"bufio"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/proxy"
)

func newProxy(t *testing.T, upstream http.HandlerFunc) *httptest.Server {
	t.Helper()
	back := httptest.NewServer(upstream)
	t.Cleanup(back.Close)
	p, err := proxy.New(back.URL + "/inner/mcp?key=upstream")
	require.NoError(t, err)
	p.ErrorLog = log.New(io.Discard, "", 0)
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	return front
}

func TestNew_WantsAnAddress(t *testing.T) {
	for _, bad := range []string{"", "localhost:3000", "/mcp", "ftp://x/mcp", "http://", "http://[::1", "https:///mcp"} {
		_, err := proxy.New(bad)
		require.ErrorContains(t, err, "write an http or https URL", bad)
	}
}

func TestProxy_WhatTheUpstreamSees(t *testing.T) {
	var got *http.Request
	var body []byte
	front := newProxy(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Mcp-Session-Id", "s")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "X")
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusAccepted)
	})
	r, err := http.NewRequest(http.MethodPost, front.URL+"/outer?a=%2f&b;c", strings.NewReader(`{"x": 1}`))
	require.NoError(t, err)
	r.Header = http.Header{
		"Authorization": {"Bearer x"}, "Origin": {"https://a.example"}, "Mcp_session_id": {"stolen"}, "X-Forwarded-For": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4"},
		"Content-Type": {"application/json"}, "Mcp-Session-Id": {"s"}, "Mcp-Protocol-Version": {"2025-11-25"}, "Last-Event-Id": {"9"},
		"Connection": {"Upgrade, X-Hop"}, "X-Hop": {"x"},
	}
	front.Client().Transport.(*http.Transport).DisableCompression = true // or it would ask for it
	res, err := front.Client().Do(r)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	require.Equal(t, "/inner/mcp", got.URL.Path, "not that of the resource")
	require.Equal(t, "key=upstream&a=%2F", got.URL.RawQuery, "without what two parsers would read differently")
	require.NotContains(t, got.Host, front.Listener.Addr().String())
	require.Equal(t, `{"x": 1}`, string(body))
	for _, name := range []string{"Authorization", "Origin", "Mcp_session_id", "X-Forwarded-For", "Forwarded", "X-Hop", "Accept-Encoding"} {
		require.Empty(t, got.Header[name], name)
	}
	for _, name := range []string{"Content-Type", "Mcp-Session-Id", "Mcp-Protocol-Version", "Last-Event-Id"} {
		require.Equal(t, r.Header[name], got.Header[name], name)
	}
	require.Equal(t, "s", res.Header.Get("Mcp-Session-Id"))
	require.Equal(t, "no", res.Header.Get("X-Accel-Buffering"), "HTTP-16")
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Www-Authenticate"} {
		require.Empty(t, res.Header[name], name)
	}
}

func TestProxy_AnswersThatWouldMisleadClients(t *testing.T) {
	for status, want := range map[int]int{401: 502, 407: 502, 101: 502, 403: 403, 404: 404, 405: 405, 429: 429, 503: 503} {
		front := newProxy(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="https://evil.example"`)
			if status == http.StatusSwitchingProtocols {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
			}
			w.WriteHeader(status)
		})
		r, err := http.NewRequest(http.MethodGet, front.URL, nil)
		require.NoError(t, err)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		res, err := front.Client().Do(r)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, want, res.StatusCode)
		require.Empty(t, res.Header["Www-Authenticate"])
	}
}

func TestProxy_PassesOnEventByEvent(t *testing.T) {
	next := make(chan struct{})
	front := newProxy(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next: // the client has read the event, or there would be no next one
			case <-r.Context().Done():
				return
			}
		}
	})
	res, err := front.Client().Get(front.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for range 3 {
		for range 2 {
			_, err := in.ReadString('\n')
			require.NoError(t, err)
		}
		next <- struct{}{}
	}
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestProxy_AnUpstreamThatIsDown(t *testing.T) {
	back := httptest.NewServer(http.NotFoundHandler())
	back.Close()
	p, err := proxy.New(back.URL)
	require.NoError(t, err)
	p.ErrorLog = log.New(io.Discard, "", 0)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader("{}")))
	require.Equal(t, http.StatusBadGateway, w.Code, "clients take it as passing")
}
