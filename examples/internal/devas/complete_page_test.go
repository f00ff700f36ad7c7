package devas_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

// approved opens the consent page for a redirect URI and approves.
func (e *env) approved(redirectURI string) (b *consenting, clientID string, done *browser.Page) {
	e.t.Helper()
	a := e.register(`{"client_name":"Desk app","redirect_uris":["` + redirectURI + `"]}`)
	require.Equal(e.t, http.StatusCreated, a.Status, a.Raw)
	clientID = a.str("client_id")
	b, p := e.consentPage(clientID, "dev", "redirect_uri", redirectURI)
	done, err := b.Submit(e.t.Context(), p, decisionForm(e.t, p), approve)
	require.NoError(e.t, err)
	require.Equal(e.t, http.StatusSeeOther, done.Status, "AS-47")
	return b, clientID, done
}

func TestAS50_CompletionPage(t *testing.T) {
	e := start(t)
	for _, target := range []string{"http://127.0.0.1:5555/callback", "http://[::1]:5555/callback", "http://localhost:5555/callback", "com.example.desk:/callback"} {
		t.Run("AS-50 "+target, func(t *testing.T) {
			b, id, done := e.approved(target)
			require.True(t, strings.HasPrefix(done.Location.String(), e.issuer+"/authorize/"))
			p := b.open(e, done.Location.String())
			require.Equal(t, http.StatusOK, p.Status)
			require.Equal(t, "Authorization Complete", p.Title())
			for _, want := range []string{"Desk app", "Notes", "Dev, developer", "You can close this tab", "Close Tab", `href="/authorize/`} {
				require.True(t, strings.Contains(p.Body[strings.Index(p.Body, "<main"):], want) || want == "You can close this tab" && strings.Contains(p.Body, "you can close this tab"), want)
			}
			require.Contains(t, p.Header.Get("Cache-Control"), "no-store")
			require.NotNil(t, p.Next, "the browser goes on by itself")

			q := b.arrive(e, done)
			code := q.Get("code")
			require.NotEmpty(t, code)
			require.Equal(t, e.issuer, q.Get("iss"))
			require.Equal(t, "st&te=1 ü", q.Get("state"))
			require.NotContains(t, p.Body+p.Header.Get("Refresh"), code, "the page shows no code")

			again := b.open(e, done.Location.String())
			require.Equal(t, http.StatusOK, again.Status)
			require.Nil(t, again.Next, "it sends the browser on once")
			require.Contains(t, again.Body, "/continue", "the person may, where the program was not listening yet")
			require.Equal(t, code, b.arrive(e, b.open(e, p.Next.String())).Get("code"), "no second code")

			a := e.token(exchange(id, code, "redirect_uri", target))
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
			last := b.open(e, p.Next.String())
			require.Nil(t, last.Location, "a used code is not sent again: that would end the access")
			require.Equal(t, "Authorization Complete", last.Title())
			require.NotContains(t, last.Body, "/continue")
			require.Equal(t, http.StatusOK, e.token(refresh(id, a.str("refresh_token"))).Status)
		})
	}
	t.Run("AS-50 an application elsewhere gets its answer at once", func(t *testing.T) {
		_, _, done := e.approved("https://app.example/callback")
		require.Equal(t, "app.example", done.Location.Host)
		require.NotEmpty(t, done.Location.Query().Get("code"))
	})
	t.Run("AS-50 a refusal needs no page", func(t *testing.T) {
		b, p := e.consentPage(e.newClient(), "dev")
		done, err := b.Submit(t.Context(), p, decisionForm(t, p), url.Values{"decision": {"deny"}})
		require.NoError(t, err)
		require.Equal(t, "access_denied", done.Location.Query().Get("error"))
	})
	t.Run("AS-65 the page is for the browser that approved", func(t *testing.T) {
		_, _, done := e.approved(callback)
		for _, path := range []string{done.Location.Path, strings.Replace(done.Location.Path, "/complete", "/continue", 1)} {
			stranger := &consenting{browser.New()}
			stranger.open(e, e.issuer+"/signin") // has a cookie of its own
			p := stranger.open(e, e.issuer+path)
			require.Equal(t, http.StatusBadRequest, p.Status)
			require.Nil(t, p.Location)
			require.Equal(t, http.StatusBadRequest, e.get(path).Status, "nor for one without a cookie")
		}
	})
	t.Run("AS-61 it ends with the code", func(t *testing.T) {
		b, _, done := e.approved(callback)
		e.clock.Advance(61 * time.Second)
		p := b.open(e, done.Location.String())
		require.Equal(t, http.StatusBadRequest, p.Status)
		require.Equal(t, "This authorization request expired.", p.Title())
	})
}
