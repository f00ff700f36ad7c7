package mcpauthtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

const formType = "application/x-www-form-urlencoded"

// A peer is a server that keeps every request it got, and answers as the test says.
type peer struct {
	*httptest.Server
	mu   sync.Mutex
	got  []*http.Request
	body []string
}

func newPeer(t *testing.T, h http.HandlerFunc) *peer {
	t.Helper()
	p := &peer{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.mu.Lock()
		p.got, p.body = append(p.got, r), append(p.body, string(body))
		p.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

func (p *peer) last() *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got[len(p.got)-1]
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func ok(http.ResponseWriter, *http.Request) {}

func newClient(t *testing.T) (*http.Client, *mcpauthtest.DPoPTransport) {
	tr := &mcpauthtest.DPoPTransport{Key: newKey(t)}
	client := &http.Client{Transport: tr}
	t.Cleanup(client.CloseIdleConnections)
	return client, tr
}

// send makes a request with this Authorization and returns the answer, read and closed.
func send(t *testing.T, client *http.Client, method, target, authorization, contentType, body string) (*http.Response, string) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, r)
	require.NoError(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	before := req.Header.Clone()
	res, err := client.Do(req)
	require.NoError(t, err)
	require.Equal(t, before, req.Header, "a RoundTripper leaves the caller's request alone")
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(text)
}

func TestWhatIsSentForEachAuthorization(t *testing.T) {
	for name, c := range map[string]struct {
		given, want string
		proof       bool
	}{
		"nothing":                                     {"", "", false},
		"an unbound token stays a bearer token":       {"Bearer other", "Bearer other", false},
		"a bound token, as the Go SDK sends it":       {"Bearer mine", "DPoP mine", true},
		"a bound token in another case":               {"bEaReR mine", "DPoP mine", true},
		"as golang.org/x/oauth2 sends it":             {"DPoP mine", "DPoP mine", true},
		"as it sends what the server wrote as dpop":   {"dpop mine", "DPoP mine", true},
		"a token that only the caller knows as bound": {"DPoP other", "DPoP other", true},
		"spaces":                      {"Bearer   mine ", "DPoP mine", true},
		"another scheme":              {"Basic mine", "Basic mine", false},
		"a scheme without a token":    {"DPoP", "DPoP", false},
		"a bound token and more":      {"Bearer mine too", "Bearer mine too", false},
		"a token that begins like it": {"Bearer mine2", "Bearer mine2", false},
	} {
		t.Run(name, func(t *testing.T) {
			client, tr := newClient(t)
			tr.Bind("mine")
			p := newPeer(t, ok)
			res, _ := send(t, client, "GET", p.URL+"/mcp?x=y", c.given, "", "")
			got := p.last()
			require.Equal(t, c.want, got.Header.Get("Authorization"))
			require.Equal(t, c.proof, got.Header["Dpop"] != nil)
			require.Equal(t, got.Header.Get("Dpop"), res.Request.Header.Get("DPoP"), "Response.Request is what was sent")
			if c.proof {
				j := &judge{thumbprint: tr.Key.Thumbprint()}
				_, token, _ := strings.Cut(c.want, " ")
				require.NoError(t, j.check(got, p.URL+"/mcp", token, ""))
			}
		})
	}
}

func TestDPOP05_EveryMethodHasItsProof(t *testing.T) {
	client, tr := newClient(t)
	j := &judge{thumbprint: tr.Key.Thumbprint()}
	p := newPeer(t, ok)
	for _, method := range []string{"GET", "POST", "DELETE", "HEAD", "GET", ""} {
		send(t, client, method, p.URL, "DPoP t", "", "")
		require.NoError(t, j.check(p.last(), p.URL+"/", "t", ""), "%q", method)
	}
}

func TestDPOP06_TheTargetIsWhatTheServerSees(t *testing.T) {
	client, tr := newClient(t)
	p := newPeer(t, ok)
	j := &judge{thumbprint: tr.Key.Thumbprint()}
	at := strings.Replace(p.URL, "http://", "http://user:secret@", 1)
	req, err := http.NewRequest("GET", at+"/a%2Fb/c%7E;d?e=f#g", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "DPoP t")
	res, err := client.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.NoError(t, j.check(p.last(), p.URL+"/a%2Fb/c%7E;d", "t", ""))

	req, err = http.NewRequest("GET", p.URL, nil)
	require.NoError(t, err)
	req.Host = "mcp.example.com"
	req.Header.Set("Authorization", "DPoP t")
	res, err = client.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.NoError(t, j.check(p.last(), "http://mcp.example.com/", "t", ""))
}

func TestTokenRequestsAreProvedAndTheirTokensRemembered(t *testing.T) {
	client, tr := newClient(t)
	j := &judge{thumbprint: tr.Key.Thumbprint()}
	as := newPeer(t, answer(200, "application/json;charset=UTF-8", `{"access_token":"mine","token_type":"dpop","expires_in":60}`))
	// As golang.org/x/oauth2 does for a confidential client.
	_, body := send(t, client, "POST", as.URL+"/token", "Basic YTpi", formType, "grant_type=authorization_code&code=c")
	require.Equal(t, `{"access_token":"mine","token_type":"dpop","expires_in":60}`, body)
	require.NoError(t, j.check(as.last(), as.URL+"/token", "", ""))
	require.Equal(t, "Basic YTpi", as.last().Header.Get("Authorization"))
	require.Equal(t, []string{"grant_type=authorization_code&code=c"}, as.body)

	rs := newPeer(t, ok)
	send(t, client, "POST", rs.URL, "Bearer mine", "application/json", "{}")
	require.NoError(t, j.check(rs.last(), rs.URL+"/", "mine", ""))
}

func TestWhatIsATokenRequest(t *testing.T) {
	for name, c := range map[string]struct {
		method, contentType, body string
		want                      bool
	}{
		"a code":                    {"POST", formType, "grant_type=authorization_code", true},
		"a refresh, with a charset": {"POST", formType + "; charset=utf-8", "a=b&grant_type=refresh_token", true},
		"as long as can be":         {"POST", formType, "grant_type=x&a=" + strings.Repeat("a", mcpauthtest.MaxTokenBody-15), true},
		"one byte too long":         {"POST", formType, "grant_type=x&a=" + strings.Repeat("a", mcpauthtest.MaxTokenBody-14), false},
		"no grant_type":             {"POST", formType, "code=c", false},
		"an empty grant_type":       {"POST", formType, "grant_type=", false},
		"half a form":               {"POST", formType, "grant_type=x&%zz", false},
		"JSON":                      {"POST", "application/json", "grant_type=x", false},
		"no type":                   {"POST", "", "grant_type=x", false},
		"GET":                       {"GET", formType, "grant_type=x", false},
		"PUT":                       {"PUT", formType, "grant_type=x", false},
		"no body":                   {"POST", formType, "", false},
	} {
		for _, replayable := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, GetBody %t", name, replayable), func(t *testing.T) {
				client, _ := newClient(t)
				p := newPeer(t, ok)
				var body io.Reader = strings.NewReader(c.body)
				if !replayable {
					body = io.MultiReader(body)
				}
				req, err := http.NewRequest(c.method, p.URL+"?grant_type=x", body)
				require.NoError(t, err)
				req.Header.Set("Content-Type", c.contentType)
				res, err := client.Do(req)
				require.NoError(t, err)
				res.Body.Close()
				require.Equal(t, c.want, p.last().Header["Dpop"] != nil)
				require.Equal(t, []string{c.body}, p.body, "the body is sent as it was")
			})
		}
	}
}

func TestWhichAnswersAreTakenForBoundTokens(t *testing.T) {
	pad := func(n int) string {
		body := `{"access_token":"mine","token_type":"DPoP","x":""}`
		return strings.Replace(body, `""`, `"`+strings.Repeat("x", n-len(body))+`"`, 1)
	}
	for name, c := range map[string]struct {
		status            int
		contentType, body string
		header            http.Header
		want              bool
	}{
		"as it should be":        {200, "application/json", `{"access_token":"mine","token_type":"DPoP"}`, nil, true},
		"type in another case":   {200, "Application/JSON; x=y", `{"access_token":"mine","token_type":"dPoP"}`, nil, true},
		"exactly 64 KiB":         {200, "application/json", pad(mcpauthtest.MaxTokenBody), nil, true},
		"a byte more":            {200, "application/json", pad(mcpauthtest.MaxTokenBody + 1), nil, false},
		"far more":               {200, "application/json", pad(5 * mcpauthtest.MaxTokenBody), nil, false},
		"a bearer token":         {200, "application/json", `{"access_token":"mine","token_type":"Bearer"}`, nil, false},
		"no type":                {200, "application/json", `{"access_token":"mine"}`, nil, false},
		"a type that is null":    {200, "application/json", `{"access_token":"mine","token_type":null}`, nil, false},
		"a type of another kind": {200, "application/json", `{"access_token":"mine","token_type":["DPoP"]}`, nil, false},
		"names in other cases":   {200, "application/json", `{"Access_Token":"mine","Token_Type":"DPoP"}`, nil, false},
		"a token of other kind":  {200, "application/json", `{"access_token":7,"token_type":"DPoP"}`, nil, false},
		"an error":               {400, "application/json", `{"access_token":"mine","token_type":"DPoP"}`, nil, false},
		"created":                {201, "application/json", `{"access_token":"mine","token_type":"DPoP"}`, nil, false},
		"a form":                 {200, formType, `access_token=mine&token_type=DPoP`, nil, false},
		"JSON called text":       {200, "text/plain", `{"access_token":"mine","token_type":"DPoP"}`, nil, false},
		"JSON of another kind":   {200, "application/problem+json", `{"access_token":"mine","token_type":"DPoP"}`, nil, false},
		"no type of content":     {200, "", `{"access_token":"mine","token_type":"DPoP"}`, nil, false},
		"broken":                 {200, "application/json", `{"access_token":"mine","token_type":"DPoP"`, nil, false},
		"two objects":            {200, "application/json", `{"access_token":"mine","token_type":"DPoP"}{}`, nil, false},
		"an array":               {200, "application/json", `["mine","DPoP"]`, nil, false},
		"empty":                  {200, "application/json", ``, nil, false},
		"encoded":                {200, "application/json", `{"access_token":"mine","token_type":"DPoP"}`, http.Header{"Content-Encoding": {"x"}}, false},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				client, tr := newClient(t)
				p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
					for k, v := range c.header {
						w.Header()[k] = v
					}
					w.Header()["Content-Type"] = []string{c.contentType}
					w.WriteHeader(c.status)
					if chunked {
						w.(http.Flusher).Flush()
					}
					io.WriteString(w, c.body)
				})
				_, body := send(t, client, "POST", p.URL, "", formType, "grant_type=x")
				require.True(t, c.body == body, "the body is handed on untouched")
				tokens, _ := tr.Remembered()
				require.Equal(t, c.want, tokens == 1)
			})
		}
	}
	t.Run("what is no answer to a token request", func(t *testing.T) {
		client, tr := newClient(t)
		p := newPeer(t, answer(200, "application/json", `{"access_token":"mine","token_type":"DPoP"}`))
		for _, authorization := range []string{"", "Bearer x", "DPoP x"} {
			send(t, client, "POST", p.URL, authorization, "application/json", "{}")
		}
		tokens, _ := tr.Remembered()
		require.Zero(t, tokens)
	})
	t.Run("an answer to somebody else's proof", func(t *testing.T) {
		client, tr := newClient(t)
		p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("DPoP-Nonce", "n")
			answer(200, "application/json", `{"access_token":"mine","token_type":"DPoP"}`)(w, r)
		})
		req, err := http.NewRequest("POST", p.URL, strings.NewReader("grant_type=x"))
		require.NoError(t, err)
		req.Header.Set("Content-Type", formType)
		req.Header.Set("DPoP", "mine")
		res, err := client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, []string{"mine"}, p.last().Header["Dpop"], "is sent as it is")
		tokens, nonces := tr.Remembered()
		require.Zero(t, tokens)
		require.Equal(t, 1, nonces)
		send(t, client, "POST", p.URL, "", formType, "grant_type=x")
		proof, err := naive(p.last().Header.Get("DPoP"))
		require.NoError(t, err)
		require.Equal(t, "n", proof.claims["nonce"], "and its nonce is that of a token endpoint")
	})
}

// An asker refuses every proof that has not the nonce of the moment.
type asker struct {
	nonce func() string // the nonce that it wants now
	token bool          // a token endpoint
}

func (a asker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := a.nonce()
	w.Header().Set("DPoP-Nonce", want)
	p, err := naive(r.Header.Get("DPoP"))
	switch {
	case err == nil && p.claims["nonce"] == want:
	case a.token:
		answer(400, "application/json", `{"error":"use_dpop_nonce"}`)(w, r)
	default:
		w.Header().Add("WWW-Authenticate", `Bearer resource_metadata="https://mcp.example.com/x"`)
		w.Header().Add("WWW-Authenticate", nonceChallenge)
		answer(401, "application/json", `{"jsonrpc":"2.0"}`)(w, r)
	}
}

func fixed(nonce string) func() string { return func() string { return nonce } }

func TestNonces_KeptPerOriginAndKind(t *testing.T) {
	client, tr := newClient(t)
	j := &judge{thumbprint: tr.Key.Thumbprint()}
	token := func(p *peer) { send(t, client, "POST", p.URL+"/token", "", formType, "grant_type=x") }
	call := func(p *peer) { send(t, client, "POST", p.URL+"/mcp", "DPoP t", "application/json", "{}") }
	mux := http.NewServeMux()
	mux.Handle("/token", asker{fixed("for-tokens"), true})
	mux.Handle("/mcp", asker{fixed("for-calls"), false})
	a, b := newPeer(t, mux.ServeHTTP), newPeer(t, asker{fixed("elsewhere"), false}.ServeHTTP)

	token(a)
	require.Equal(t, 2, a.count(), "RFC 9449, Section 8: refused once")
	require.NoError(t, j.check(a.last(), a.URL+"/token", "", "for-tokens"))
	require.Equal(t, []string{"grant_type=x", "grant_type=x"}, a.body)
	call(a)
	require.Equal(t, 4, a.count(), "the nonce of the token endpoint is none of the resource's")
	require.NoError(t, j.check(a.got[2], a.URL+"/mcp", "t", ""))
	require.NoError(t, j.check(a.last(), a.URL+"/mcp", "t", "for-calls"))
	require.Equal(t, []string{"{}", "{}"}, a.body[2:])
	call(b)
	require.NoError(t, j.check(b.got[0], b.URL+"/mcp", "t", ""), "nor is that of another origin")
	require.NoError(t, j.check(b.last(), b.URL+"/mcp", "t", "elsewhere"))
	token(a)
	call(a)
	call(b)
	require.Equal(t, 6, a.count(), "no refusal more")
	require.Equal(t, 3, b.count())

}

func TestNonces_OneOriginInSeveralSpellings(t *testing.T) {
	tr := &mcpauthtest.DPoPTransport{Key: newKey(t), Base: silent{asker{fixed("n"), false}}}
	for i, target := range []string{"https://mcp.example.com/mcp", "https://MCP.Example.com:443/", "https://mcp.example.com"} {
		res, _ := send(t, &http.Client{Transport: tr}, "GET", target, "DPoP t", "", "")
		require.Equal(t, 200, res.StatusCode)
		_, nonces := tr.Remembered()
		require.Equal(t, 1, nonces, i)
	}
	for _, target := range []string{"https://mcp.example.com:444", "http://mcp.example.com", "https://[::1]/", "https://example.com"} {
		send(t, &http.Client{Transport: tr}, "GET", target, "DPoP t", "", "")
	}
	_, nonces := tr.Remembered()
	require.Equal(t, 5, nonces)
}

func TestNonces_TakenUpFromAnyAnswer(t *testing.T) {
	for name, status := range map[string]int{"success": 200, "not found": 404, "bad token": 401, "forbidden": 403, "down": 503} {
		t.Run(name, func(t *testing.T) {
			client, _ := newClient(t)
			var n atomic.Int32
			p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("DPoP-Nonce", fmt.Sprint("nonce-", n.Add(1)))
				w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
				w.WriteHeader(status)
			})
			send(t, client, "GET", p.URL, "", "", "") // no proof, and yet a nonce
			for i := range 3 {
				send(t, client, "GET", p.URL, "DPoP t", "", "")
				proof, err := naive(p.last().Header.Get("DPoP"))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint("nonce-", i+1), proof.claims["nonce"])
			}
			require.Equal(t, 4, p.count(), "nothing is sent twice")
		})
	}
}

func TestNonces_MalformedOnesAreNotUsed(t *testing.T) {
	for name, c := range map[string]struct {
		nonces []string
		taken  bool
	}{
		"1*NQCHAR": {[]string{"!#[]~"}, true},
		"longest":  {[]string{strings.Repeat("n", 1024)}, true},
		"too long": {[]string{strings.Repeat("n", 1025)}, false},
		"two":      {[]string{"a", "b"}, false},
		"empty":    {[]string{""}, false},
		"space":    {[]string{"a b"}, false},
		"quote":    {[]string{`a"b`}, false},
		"escape":   {[]string{`a\b`}, false},
		"umlaut":   {[]string{"ä"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, tr := newClient(t)
			p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Dpop-Nonce"] = c.nonces
				w.Header().Set("WWW-Authenticate", nonceChallenge)
				w.WriteHeader(401)
			})
			res, _ := send(t, client, "GET", p.URL, "DPoP t", "", "")
			require.Equal(t, 401, res.StatusCode)
			_, nonces := tr.Remembered()
			require.Equal(t, c.taken, nonces == 1)
			require.Equal(t, c.taken, p.count() == 2)
		})
	}
}

func TestNonces_AskedForAgainAndAgainIsFollowedOnce(t *testing.T) {
	for _, token := range []bool{true, false} {
		t.Run(fmt.Sprint("token endpoint ", token), func(t *testing.T) {
			client, tr := newClient(t)
			j := &judge{thumbprint: tr.Key.Thumbprint()}
			var n atomic.Int32
			never := func() string { return fmt.Sprint("nonce-", n.Add(1)) }
			p := newPeer(t, asker{never, token}.ServeHTTP)
			ath := "t"
			for i, want := range []string{"", "nonce-1", "nonce-2", "nonce-3"} {
				if i%2 == 0 {
					var status int
					var body string
					if token {
						ath = ""
						res, text := send(t, client, "POST", p.URL, "", formType, "grant_type=x")
						status, body = res.StatusCode, text
						require.Equal(t, 400, status)
					} else {
						res, text := send(t, client, "POST", p.URL, "DPoP t", "application/json", "{}")
						status, body = res.StatusCode, text
						require.Equal(t, 401, status)
					}
					require.NotEmpty(t, body, "the last refusal is handed on whole")
					require.Equal(t, i+2, p.count())
				}
				require.NoError(t, j.check(p.got[i], p.URL+"/", ath, want))
			}
		})
	}
}

func TestNonces_WhatIsNotFollowed(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a 401 without the error": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
			w.WriteHeader(401)
		},
		"the error in a Bearer challenge": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer error="use_dpop_nonce"`)
			w.WriteHeader(401)
		},
		"the error with a 403": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", nonceChallenge)
			w.WriteHeader(403)
		},
		"a token endpoint's way, from a resource": answer(400, "application/json", `{"error":"use_dpop_nonce"}`),
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := newClient(t)
			p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("DPoP-Nonce", "n")
				h(w, r)
			})
			send(t, client, "GET", p.URL, "DPoP t", "", "")
			require.Equal(t, 1, p.count())
		})
	}
	for _, status := range []int{200, 401, 403} {
		t.Run(fmt.Sprint("a token endpoint's error with ", status), func(t *testing.T) {
			client, _ := newClient(t)
			p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("DPoP-Nonce", "n")
				w.Header().Set("WWW-Authenticate", nonceChallenge)
				answer(status, "application/json", `{"error":"use_dpop_nonce"}`)(w, r)
			})
			send(t, client, "POST", p.URL, "", formType, "grant_type=x")
			require.Equal(t, 1, p.count())
		})
	}
	t.Run("the nonce that was used already", func(t *testing.T) {
		client, _ := newClient(t)
		p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("DPoP-Nonce", "n")
			w.Header().Set("WWW-Authenticate", nonceChallenge)
			w.WriteHeader(401)
		})
		send(t, client, "GET", p.URL, "DPoP t", "", "")
		require.Equal(t, 2, p.count())
		send(t, client, "GET", p.URL, "DPoP t", "", "")
		require.Equal(t, 3, p.count())
	})
	t.Run("no nonce", func(t *testing.T) {
		client, _ := newClient(t)
		p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", nonceChallenge)
			w.WriteHeader(401)
		})
		send(t, client, "GET", p.URL, "DPoP t", "", "")
		require.Equal(t, 1, p.count())
	})
	t.Run("a request without a proof", func(t *testing.T) {
		client, _ := newClient(t)
		p := newPeer(t, asker{fixed("n"), false}.ServeHTTP)
		send(t, client, "GET", p.URL, "Bearer other", "", "")
		require.Equal(t, 1, p.count())
	})
}

func TestBodiesThatCannotBeSentAgainAreNot(t *testing.T) {
	post := func(client *http.Client, p *peer, body io.Reader, getBody func() (io.ReadCloser, error)) (int, string) {
		req, err := http.NewRequest("POST", p.URL, body)
		require.NoError(t, err)
		req.GetBody = getBody
		req.Header.Set("Authorization", "DPoP t")
		res, err := client.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(text)
	}
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"no GetBody": nil,
		"GetBody that fails": func() (io.ReadCloser, error) {
			return nil, errors.New("gone")
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := newClient(t)
			p := newPeer(t, asker{fixed("n"), false}.ServeHTTP)
			status, body := post(client, p, io.MultiReader(strings.NewReader("once")), getBody)
			require.Equal(t, 401, status)
			require.Equal(t, `{"jsonrpc":"2.0"}`, body, "the refusal, whole")
			require.Equal(t, []string{"once"}, p.body)
			status, _ = post(client, p, io.MultiReader(strings.NewReader("twice")), getBody)
			require.Equal(t, 200, status, "the nonce has been learned all the same")
		})
	}
	t.Run("a long body with GetBody", func(t *testing.T) {
		client, _ := newClient(t)
		p := newPeer(t, asker{fixed("n"), false}.ServeHTTP)
		long := strings.Repeat("0123456789", 100_000)
		status, _ := post(client, p, strings.NewReader(long), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(long)), nil })
		require.Equal(t, 200, status)
		require.Len(t, p.body, 2)
		require.True(t, p.body[1] == long)
	})
	t.Run("a token request without GetBody is short enough to keep", func(t *testing.T) {
		client, _ := newClient(t)
		p := newPeer(t, asker{fixed("n"), true}.ServeHTTP)
		req, err := http.NewRequest("POST", p.URL, io.MultiReader(strings.NewReader("grant_type=x")))
		require.NoError(t, err)
		req.Header.Set("Content-Type", formType)
		res, err := client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, []string{"grant_type=x", "grant_type=x"}, p.body)
	})
}

func TestRedirects_NoProofAndNoTokenLeavesTheOrigin(t *testing.T) {
	// Both servers are on one host, where http.Client lets Authorization follow.
	for _, code := range []int{301, 302, 303, 307, 308} {
		for name, authorization := range map[string]string{"a bound bearer token": "Bearer mine", "the scheme DPoP": "DPoP other"} {
			for _, own := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d, %s, proof of the caller's own %t", code, name, own), func(t *testing.T) {
					client, tr := newClient(t)
					tr.Bind("mine")
					other := newPeer(t, asker{fixed("n"), false}.ServeHTTP)
					first := newPeer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+r.URL.Path, code) })
					req, err := http.NewRequest("POST", first.URL+"/mcp", strings.NewReader("{}"))
					require.NoError(t, err)
					req.Header.Set("Authorization", authorization)
					if own {
						req.Header.Set("DPoP", "a proof")
					}
					res, err := client.Do(req)
					require.NoError(t, err)
					res.Body.Close()
					require.Len(t, first.last().Header["Dpop"], 1)
					if own {
						require.Equal(t, "a proof", first.last().Header.Get("DPoP"), "is sent as it is")
						require.Equal(t, authorization, first.last().Header.Get("Authorization"))
					}
					require.Equal(t, 1, other.count())
					require.NotContains(t, other.last().Header, "Dpop")
					require.NotContains(t, other.last().Header, "Authorization")
				})
			}
		}
	}
	t.Run("a token request", func(t *testing.T) {
		client, tr := newClient(t)
		other := newPeer(t, answer(200, "application/json", `{"access_token":"mine","token_type":"DPoP"}`))
		first := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		send(t, client, "POST", first.URL, "", formType, "grant_type=x")
		require.NotContains(t, other.last().Header, "Dpop")
		tokens, _ := tr.Remembered()
		require.Zero(t, tokens)
	})
	t.Run("two Authorization fields", func(t *testing.T) {
		client, _ := newClient(t)
		other := newPeer(t, ok)
		first := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		req, err := http.NewRequest("GET", first.URL, nil)
		require.NoError(t, err)
		req.Header["Authorization"] = []string{"DPoP t", "Basic YTpi"}
		res, err := client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		require.NotContains(t, first.last().Header, "Dpop", "nobody can say which is meant")
		require.NotContains(t, other.last().Header, "Authorization")
	})
	t.Run("there and back", func(t *testing.T) {
		client, _ := newClient(t)
		var first *peer
		other := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, first.URL+"/chosen", http.StatusTemporaryRedirect)
		})
		first = newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/chosen" {
				http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			}
		})
		send(t, client, "POST", first.URL, "DPoP t", "application/json", "{}")
		require.Equal(t, "/chosen", first.last().URL.Path)
		require.NotContains(t, first.last().Header, "Dpop")
		require.NotContains(t, first.last().Header, "Authorization")
	})
	t.Run("and on from there", func(t *testing.T) {
		client, _ := newClient(t)
		other := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/further" {
				http.Redirect(w, r, "/further", http.StatusTemporaryRedirect)
			}
		})
		first := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		send(t, client, "GET", first.URL, "DPoP t", "", "")
		require.Equal(t, "/further", other.last().URL.Path)
		require.NotContains(t, other.last().Header, "Dpop")
		require.NotContains(t, other.last().Header, "Authorization")
	})
	t.Run("an unbound bearer token goes where http.Client lets it", func(t *testing.T) {
		client, _ := newClient(t)
		other := newPeer(t, ok)
		first := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		send(t, client, "GET", first.URL, "Bearer other", "", "")
		require.Equal(t, "Bearer other", other.last().Header.Get("Authorization"))
	})
}

func TestRedirects_OnTheOriginGetTheirOwnProof(t *testing.T) {
	client, tr := newClient(t)
	j := &judge{thumbprint: tr.Key.Thumbprint()}
	var n atomic.Int32
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" {
			w.Header().Set("DPoP-Nonce", fmt.Sprint("n", n.Add(1)))
			http.Redirect(w, r, "/mcp/", http.StatusTemporaryRedirect)
			return
		}
		asker{fixed("m"), false}.ServeHTTP(w, r) // refuses, so that one more is sent
	})
	res, _ := send(t, client, "POST", p.URL+"/mcp", "DPoP t", "application/json", "{}")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, []string{"{}", "{}", "{}"}, p.body)
	require.NoError(t, j.check(p.got[0], p.URL+"/mcp", "t", ""))
	require.NoError(t, j.check(p.got[1], p.URL+"/mcp/", "t", "n1"))
	require.NoError(t, j.check(p.got[2], p.URL+"/mcp/", "t", "m"))
}

// A Base that does not say what it has answered gives no way to tell where a redirect came from.
type silent struct{ handler http.Handler }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result(), nil // Request is nil
}

func TestRedirects_ThroughABaseThatLeavesOutRequest(t *testing.T) {
	var hosts []string
	tr := &mcpauthtest.DPoPTransport{Key: newKey(t), Base: silent{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, fmt.Sprint(r.URL.Host, r.URL.Path, " ", r.Header["Dpop"] != nil))
		switch r.URL.Path {
		case "/1":
			http.Redirect(w, r, "/2", http.StatusFound)
		case "/2":
			http.Redirect(w, r, "http://sub.a.example/3", http.StatusFound) // http.Client lets Authorization follow to subdomains
		}
	})}}
	send(t, &http.Client{Transport: tr}, "GET", "http://a.example/1", "DPoP t", "", "")
	require.Equal(t, []string{"a.example/1 true", "a.example/2 true", "sub.a.example/3 false"}, hosts)
}

// closing counts bodies of answers that were handed out and closed.
type closing struct {
	base           http.RoundTripper
	opened, closed atomic.Int32
}

type closer struct {
	io.ReadCloser
	once func()
}

func (c closer) Close() error {
	c.once()
	return c.ReadCloser.Close()
}

func (c *closing) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.base.RoundTrip(r)
	if err == nil {
		c.opened.Add(1)
		res.Body = closer{res.Body, sync.OnceFunc(func() { c.closed.Add(1) })}
	}
	return res, err
}

func TestBodiesOfAnswersAreClosed(t *testing.T) {
	base := &closing{base: http.DefaultTransport}
	tr := &mcpauthtest.DPoPTransport{Key: newKey(t), Base: base}
	client := &http.Client{Transport: tr}
	endless := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("DPoP") != "" && r.URL.Path == "/endless" {
			asker{fixed("n"), false}.ServeHTTP(w, r)
			if p, err := naive(r.Header.Get("DPoP")); err == nil && p.claims["nonce"] == nil {
				w.(http.Flusher).Flush()
				<-r.Context().Done() // a refusal whose body never ends must not be waited for
			}
		}
	})
	var n atomic.Int32
	never := func() string { return fmt.Sprint(n.Add(1)) }
	p := newPeer(t, asker{never, false}.ServeHTTP)
	q := newPeer(t, asker{never, true}.ServeHTTP)
	send(t, client, "GET", p.URL, "DPoP t", "", "")
	send(t, client, "POST", q.URL, "", formType, "grant_type=x")
	res, _ := send(t, client, "GET", endless.URL+"/endless", "DPoP t", "", "")
	require.Equal(t, 200, res.StatusCode)
	require.EqualValues(t, 6, base.opened.Load())
	require.EqualValues(t, 6, base.closed.Load())

	failing := &mcpauthtest.DPoPTransport{Key: tr.Key, Base: &failSecond{base: base}}
	req, err := http.NewRequest("GET", p.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "DPoP t")
	_, err = failing.RoundTrip(req) //nolint:bodyclose // there is none
	require.ErrorContains(t, err, "the second fails")
	require.EqualValues(t, 7, base.opened.Load())
	require.EqualValues(t, 7, base.closed.Load(), "of the refusal, too")
}

type failSecond struct {
	base http.RoundTripper
	n    int
}

func (f *failSecond) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.n++; f.n > 1 {
		return nil, errors.New("the second fails")
	}
	return f.base.RoundTrip(r)
}

func TestABodyThatBreaksOffBreaksOffForTheCaller(t *testing.T) {
	client, tr := newClient(t)
	p := newPeer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{"access_token":"mine","token_type":"DPoP"}`)
	})
	res, err := client.Post(p.URL, formType, strings.NewReader("grant_type=x"))
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, `{"access_token":"mine","token_type":"DPoP"}`, string(body))
	tokens, _ := tr.Remembered()
	require.Zero(t, tokens, "half an answer is none")
}

func TestFailuresCloseTheBodyAndSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		tr   *mcpauthtest.DPoPTransport
		body io.Reader
		says string
	}{
		"no Key":                     {&mcpauthtest.DPoPTransport{}, strings.NewReader("grant_type=x"), "DPoPTransport.Key is empty; set it to a key from NewDPoPKey"},
		"the zero Key":               {&mcpauthtest.DPoPTransport{Key: &mcpauthtest.DPoPKey{}}, strings.NewReader("grant_type=x"), "DPoPTransport.Key is empty"},
		"a body that cannot be read": {&mcpauthtest.DPoPTransport{Key: newKey(t)}, io.MultiReader(strings.NewReader("grant"), broken{}), "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			closed := false
			req, err := http.NewRequest("POST", "http://127.0.0.1:1/", nil)
			require.NoError(t, err)
			req.Body = closer{io.NopCloser(c.body), func() { closed = true }}
			req.Header.Set("Content-Type", formType)
			_, err = c.tr.RoundTrip(req) //nolint:bodyclose // there is none
			require.ErrorContains(t, err, c.says)
			require.True(t, closed, "http.RoundTripper: must always close the body")
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestTheClockAndTheEditorMakeWrongProofs(t *testing.T) {
	client, tr := newClient(t)
	tr.Now = func() time.Time { return time.Unix(1000, 0) }
	tr.Edit = func(r *http.Request, p *mcpauthtest.DPoPProof) { p.Claims["htm"] = r.Method + "!" }
	p := newPeer(t, ok)
	send(t, client, "GET", p.URL, "DPoP t", "", "")
	proof, err := naive(p.last().Header.Get("DPoP"))
	require.NoError(t, err)
	require.EqualValues(t, 1000, proof.claims["iat"])
	require.Equal(t, "GET!", proof.claims["htm"])
}

func TestMemoryIsBounded(t *testing.T) {
	tr := &mcpauthtest.DPoPTransport{Key: newKey(t), Base: silent{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", "n")
	})}}
	client := &http.Client{Transport: tr}
	tr.Bind("")
	tokens, _ := tr.Remembered()
	require.Zero(t, tokens)
	tr.Bind("kept")
	for i := range 2 * mcpauthtest.MaxTokens {
		tr.Bind(fmt.Sprint(i))
		if i%1000 == 0 { // what is in use stays
			send(t, client, "GET", "http://kept.example/", "Bearer kept", "", "")
		}
	}
	for i := range 2 * mcpauthtest.MaxNonces {
		send(t, client, "GET", fmt.Sprintf("http://h%d.example/", i), "", "", "")
	}
	tokens, nonces := tr.Remembered()
	require.Equal(t, mcpauthtest.MaxTokens, tokens)
	require.Equal(t, mcpauthtest.MaxNonces, nonces)
	res, _ := send(t, client, "GET", "http://kept.example/", "Bearer kept", "", "")
	require.Equal(t, "DPoP kept", res.Request.Header.Get("Authorization"))
	res, _ = send(t, client, "GET", "http://kept.example/", "Bearer 0", "", "")
	require.Equal(t, "Bearer 0", res.Request.Header.Get("Authorization"), "forgotten")
}

func TestConcurrentRequests(t *testing.T) {
	client, tr := newClient(t)
	client.Transport = tr
	j := &judge{thumbprint: tr.Key.Thumbprint()}
	var n, refused atomic.Int32
	nonce := func() string { return fmt.Sprint("nonce-", n.Load()/20) }
	mux := http.NewServeMux()
	mux.Handle("/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(200, "application/json", fmt.Sprintf(`{"access_token":"token-%s","token_type":"DPoP"}`, r.FormValue("code")))(w, r)
	}))
	mux.Handle("/mcp", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		want := nonce()
		w.Header().Set("DPoP-Nonce", want)
		p, err := naive(r.Header.Get("DPoP"))
		if err != nil || p.claims["nonce"] != want {
			refused.Add(1)
			w.Header().Set("WWW-Authenticate", nonceChallenge)
			w.WriteHeader(401)
			return
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "DPoP ")
		if err := j.check(r, "http://"+r.Host+"/mcp", token, want); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	}))
	p := newPeer(t, mux.ServeHTTP)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			res, err := client.Post(p.URL+"/token", formType, strings.NewReader(fmt.Sprint("grant_type=x&code=", i)))
			if err != nil || res.Body.Close() != nil {
				t.Error(err)
				return
			}
			for range 10 {
				req, _ := http.NewRequestWithContext(context.Background(), "POST", p.URL+"/mcp", strings.NewReader("{}"))
				req.Header.Set("Authorization", fmt.Sprint("Bearer token-", i))
				res, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(res.Body)
				res.Body.Close()
				// A nonce may change again between refusal and repetition; then the refusal is the answer.
				if res.StatusCode != 200 && res.StatusCode != 401 {
					t.Errorf("%d %s", res.StatusCode, text)
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, refused.Load())
}

func TestCloseIdleConnectionsReachesTheBase(t *testing.T) {
	called := false
	client := &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: newKey(t), Base: idle{http.DefaultTransport, func() { called = true }}}}
	client.CloseIdleConnections()
	require.True(t, called)
	(&http.Client{Transport: &mcpauthtest.DPoPTransport{Base: silent{}}}).CloseIdleConnections()
}

type idle struct {
	http.RoundTripper
	f func()
}

func (i idle) CloseIdleConnections() { i.f() }

// Whatever a token endpoint answers, the caller reads just that, and only a whole object with both
// members binds a token.
func FuzzTokenAnswers(f *testing.F) {
	f.Add("application/json", []byte(`{"access_token":"mine","token_type":"DPoP"}`))
	f.Add("application/json", []byte(`{"access_token":"mine","token_type":"Bearer"}`))
	f.Add("application/json", []byte(`{"access_token":["mine"],"token_type":"DPoP"}`))
	f.Add("text/html", []byte(`<p>`))
	key := newKey(f)
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		tr := &mcpauthtest.DPoPTransport{Key: key, Base: silent{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			_, _ = w.Write(body)
		})}}
		res, got := send(t, &http.Client{Transport: tr}, "POST", "https://as.example.com/token", "", formType, "grant_type=x")
		require.Equal(t, 200, res.StatusCode)
		require.True(t, string(body) == got)
		if tokens, _ := tr.Remembered(); tokens > 0 {
			require.LessOrEqual(t, len(body), mcpauthtest.MaxTokenBody)
			var members map[string]any
			require.NoError(t, json.Unmarshal(body, &members))
			require.IsType(t, "", members["access_token"])
			require.True(t, strings.EqualFold("DPoP", members["token_type"].(string)))
			require.True(t, strings.HasPrefix(strings.ToLower(contentType), "application/json"))
		}
	})
}
