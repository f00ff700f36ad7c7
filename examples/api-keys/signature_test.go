package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// signed is a good request of the partner acme.
func (s *service) signed(text string) *http.Request {
	r := request(text)
	sign(r, []byte(text), "acme", s.callers.secret, s.clock.Now())
	return r
}

func TestSignedRequestsAreAccepted(t *testing.T) {
	s := newService(t)
	whoami := body("tools/call", "whoami")
	s.allowed(s.send(s.signed(whoami)), "acme", "acme")
	s.allowed(s.send(s.signed(whoami)), "acme", "acme")
	r := s.signed(whoami)
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), scheme, strings.ToLower(scheme), 1))
	s.allowed(s.send(r), "acme", "acme")
	r = s.signed(whoami)
	s.clock.Advance(freshness - time.Second)
	s.allowed(s.send(r), "acme", "acme")
	w := s.send(s.signed(body("tools/call", "purge_notes")))
	s.refused(w, 403, mcpauth.ReasonRole)
	require.Equal(t, "read_notes show_headers whoami write_note", func() string {
		r := s.signed(body("tools/list", ""))
		return s.tools("Authorization", r.Header.Get("Authorization"))
	}())
}

// Each changes one thing of a good request.
func TestSignedRequestsAreRefused(t *testing.T) {
	s := newService(t)
	whoami := body("tools/call", "whoami")
	part := func(i int, change func(string) string) func(*http.Request) {
		return func(r *http.Request) {
			parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), scheme+" "), ":")
			parts[i] = change(parts[i])
			r.Header.Set("Authorization", scheme+" "+strings.Join(parts, ":"))
		}
	}
	to := func(text string) func(string) string { return func(string) string { return text } }
	at := func(d time.Duration) func(*http.Request) {
		return func(r *http.Request) { sign(r, []byte(whoami), "acme", s.callers.secret, s.clock.Now().Add(d)) }
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"another body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body("tools/call", "write_note"))) }, 401},
		{"another query", func(r *http.Request) { r.URL.RawQuery = "a=b" }, 401},
		{"another host", func(r *http.Request) { r.Host = "127.0.0.1:8080" }, 401},
		{"another time", part(1, func(old string) string { n, _ := strconv.Atoi(old); return strconv.Itoa(n + 1) }), 401},
		{"another spelling of the time", part(1, func(old string) string { return "+" + old }), 401},
		{"no time", part(1, to("")), 401},
		{"a time beyond all numbers", part(1, to("99999999999999999999")), 401},
		{"an unknown name", part(0, to("umbrella")), 401},
		{"the name of one without a secret", part(0, to("careless")), 401},
		{"no mac", part(2, to("")), 401},
		{"half a mac", part(2, func(old string) string { return old[:20] }), 401},
		{"another mac", part(2, to(base64.RawURLEncoding.EncodeToString(make([]byte, 32)))), 401},
		{"no base64", part(2, to("!")), 401},
		{"nothing but the scheme", func(r *http.Request) { r.Header.Set("Authorization", scheme) }, 401},
		{"a name alone", func(r *http.Request) { r.Header.Set("Authorization", scheme+" acme") }, 401},
		{"too old", at(-freshness - 2*time.Second), 401},
		{"from the future", at(freshness + 2*time.Second), 401},
		{"of another secret", func(r *http.Request) {
			sign(r, []byte(whoami), "acme", []byte(strings.Repeat("x", 32)), s.clock.Now())
		}, 401},
		{"of no secret", func(r *http.Request) { sign(r, []byte(whoami), "careless", nil, s.clock.Now()) }, 401},
		{"a second field", func(r *http.Request) { r.Header.Add("Authorization", "Bearer x") }, 400},
		{"a key as well", func(r *http.Request) { r.Header.Set("X-Api-Key", s.callers.reader) }, 400},
		{"a large body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", maxBody+1))) }, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.T = t
			r := s.signed(whoami)
			c.change(r)
			w := s.send(r)
			require.Equal(t, c.status, w.Code, w.Body)
			if c.status == 401 {
				require.Contains(t, w.Header().Values("Www-Authenticate"), `Notes-HMAC realm="notes"`)
			}
		})
	}
}

// Whoever forgets Read lets nobody in.
func TestSignaturesNeedTheBody(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	s := &signatures{Partners: map[string]partner{"acme": {Secret: secret}}, Now: time.Now}
	r := request("{}")
	sign(r, []byte("{}"), "acme", secret, time.Now())
	_, err := s.Authenticator().Authenticate(r)
	require.ErrorContains(t, err, "put Read in front")
	// As if the body were empty.
	sign(r, nil, "acme", secret, time.Now())
	_, err = s.Authenticator().Authenticate(r)
	require.ErrorIs(t, err, errSignature)
}

// Nobody gets in without the secret; and what is of another scheme, and only that, is left to others.
func FuzzSignature(f *testing.F) {
	secret := []byte(strings.Repeat("s", 32))
	now := time.Unix(1_800_000_000, 0)
	s := &signatures{Partners: map[string]partner{"acme": {Secret: secret}, "careless": {}, "": {}}, Now: func() time.Time { return now }}
	good := httptest.NewRequest(http.MethodPost, resource, nil)
	sign(good, []byte("{}"), "acme", secret, now)
	f.Add(good.Header.Get("Authorization"))
	sign(good, []byte("{}"), "careless", nil, now)
	f.Add(good.Header.Get("Authorization"))
	for _, text := range []string{"", "Bearer x", scheme, scheme + " ", scheme + " acme", scheme + " acme::", scheme + " acme:1800000000:", "notes-hmac a:b:c:d", scheme + " ::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader("[]")) // what nobody signed
		r.Header.Set("Authorization", text)
		var p *mcpauth.Principal
		var err error
		s.Read(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			p, err = s.Authenticator().Authenticate(r)
			rest, readErr := io.ReadAll(r.Body)
			require.NoError(t, readErr)
			require.Equal(t, "[]", string(rest), "the body is still there")
		})).ServeHTTP(httptest.NewRecorder(), r)
		require.Nil(t, p)
		require.Error(t, err)
		ours := len(text) > len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) && text[len(scheme)] == ' '
		require.Equal(t, !ours, errors.Is(err, mcpauth.ErrNoCredentials))
	})
}

// What is signed is unambiguous.
func TestSumTellsItsPartsApart(t *testing.T) {
	key := []byte("k")
	body := sha256.Sum256(nil)
	require.NotEqual(t, sum(key, "POST", "a", "/b", "1", body), sum(key, "POST", "a/", "b", "1", body))
	require.NotEqual(t, sum(key, "POST", "a", "/b", "1", body), sum(key, "POSTa", "", "/b", "1", body))
}
