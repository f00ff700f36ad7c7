package browser_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

// pages is a small authorization server's front: sign-in, consent, redirect.
func pages(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("user"); err != nil {
			http.Redirect(w, r, "/signin", http.StatusSeeOther)
			return
		}
		c, _ := r.Cookie("user")
		_, _ = w.Write([]byte(`<title>Allow &amp; go?</title><code>` + c.Value + `</code>
			<form method="post" action="/decide"><input type="hidden" name="csrf" value="a&amp;b&#34;">
			<input type="checkbox" name="scope" value="x" checked> <input type="checkbox" name="scope" value="y">
			<input type="checkbox" name="scope" value="z" checked>
			<button type="submit" name="decision" value="approve">A</button><button type="submit" name="decision" value="deny">D</button></form>
			<form method="post" action="/signout"></form>`))
	})
	mux.HandleFunc("GET /signin", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<title>Sign in</title><form method="post" action="/signin"><button name="user" value="ada">Ada</button><button name="user" value="bo">Bo</button></form>`))
	})
	mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "user", Value: r.PostFormValue("user")})
		http.Redirect(w, r, "/authorize", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /signout", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "user", MaxAge: -1})
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /decide", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		c, _ := r.Cookie("user")
		to := "http://127.0.0.1:1/cb?state=s&iss=i&error=" + r.PostFormValue("decision") + "&code=" + c.Value
		for _, s := range r.PostForm["scope"] {
			to += "&scope=" + s
		}
		if r.PostFormValue("csrf") != `a&b"` {
			to = "/problem"
		}
		if r.PostFormValue("decision") == "approve" {
			w.Header().Set("Refresh", "1; url=/done?"+strings.SplitN(to, "?", 2)[1])
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/cb?"+r.URL.RawQuery, http.StatusSeeOther)
	})
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusSeeOther) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestBrowserSignsInDecidesAndStopsAtTheRedirect(t *testing.T) {
	s := pages(t)
	b := browser.New()
	do := func(d browser.Decision) *browser.Result {
		t.Helper()
		r, err := b.Authorize(t.Context(), s.URL+"/authorize", d)
		require.NoError(t, err)
		return r
	}
	r := do(browser.Decision{User: "ada"})
	require.Equal(t, "ada", r.Code)
	require.Equal(t, "approve", r.Error)
	require.Equal(t, "s", r.State)
	require.Equal(t, "i", r.Issuer)
	require.Equal(t, []string{"x", "z"}, r.URL.Query()["scope"], "what the page ticked")
	require.Equal(t, "ada", do(browser.Decision{}).Code, "stays signed in")
	require.Equal(t, "bo", do(browser.Decision{User: "bo"}).Code, "switches account")
	require.Equal(t, "deny", do(browser.Decision{Deny: true}).Error)
	require.Equal(t, []string{"z"}, do(browser.Decision{Scopes: []string{"z", "y"}}).URL.Query()["scope"], "unticks, and never ticks what was not offered ticked")
}

func TestBrowserReportsPagesItHasNoAnswerTo(t *testing.T) {
	s := pages(t)
	_, err := browser.New().Authorize(t.Context(), s.URL+"/authorize", browser.Decision{})
	var page *browser.PageError
	require.True(t, errors.As(err, &page))
	require.Equal(t, "Sign in", page.Title, "nobody to sign in as")
	_, err = browser.New().Authorize(t.Context(), s.URL+"/authorize", browser.Decision{User: "nobody"})
	require.ErrorAs(t, err, &page)
	_, err = browser.New().Authorize(t.Context(), s.URL+"/missing", browser.Decision{User: "ada"})
	require.ErrorAs(t, err, &page)
	require.Equal(t, http.StatusNotFound, page.Status)
	_, err = browser.New().Authorize(t.Context(), s.URL+"/loop", browser.Decision{})
	require.ErrorContains(t, err, "keeps redirecting")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = browser.New().Authorize(ctx, s.URL+"/authorize", browser.Decision{})
	require.ErrorIs(t, err, context.Canceled)
}
