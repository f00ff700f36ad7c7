package devas_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

// openPage is an open consent page and the client that asked for it.
type openPage struct {
	*browser.Page
	clientID string
}

// consentPage opens an authorization request in a fresh browser and signs in.
func (e *env) consentPage(clientID, user string, changes ...string) (*consenting, *openPage) {
	e.t.Helper()
	b := &consenting{browser.New()}
	p := b.open(e, e.issuer+"/authorize?"+request(clientID, changes...).Encode())
	if user != "" {
		p = b.signIn(e, p, user)
	}
	return b, &openPage{p, clientID}
}

// consenting is a browser with the steps of the pages.
type consenting struct{ *browser.Browser }

func (b *consenting) Submit(ctx context.Context, p *openPage, f browser.Form, v url.Values) (*browser.Page, error) {
	return b.Browser.Submit(ctx, p.Page, f, v)
}

// open follows redirects within the server.
func (b *consenting) open(e *env, target string) *browser.Page {
	e.t.Helper()
	p, err := b.Get(e.t.Context(), target)
	require.NoError(e.t, err)
	for p.Location != nil && strings.HasPrefix(p.Location.String(), e.issuer+"/") {
		p, err = b.Get(e.t.Context(), p.Location.String())
		require.NoError(e.t, err)
	}
	return p
}

// arrive goes on from a decision to the application and returns what it is told.
func (b *consenting) arrive(e *env, p *browser.Page) url.Values {
	e.t.Helper()
	for range 5 {
		switch {
		case p.Location != nil && !strings.HasPrefix(p.Location.String(), e.issuer+"/"):
			return p.Location.Query()
		case p.Location != nil:
			p = b.open(e, p.Location.String())
		default:
			require.NotNil(e.t, p.Next, p.Title())
			p = b.open(e, p.Next.String())
		}
	}
	require.Fail(e.t, "the pages do not lead to the application")
	return nil
}

func (b *consenting) signIn(e *env, p *browser.Page, user string) *browser.Page {
	e.t.Helper()
	require.Contains(e.t, p.URL.Path, "/signin")
	p, err := b.Browser.Submit(e.t.Context(), p, p.Forms[0], url.Values{"user": {user}})
	require.NoError(e.t, err)
	require.NotNil(e.t, p.Location)
	return b.open(e, p.Location.String())
}

func decisionForm(t *testing.T, p *openPage) browser.Form {
	t.Helper()
	for _, f := range p.Forms {
		if strings.HasPrefix(f.Action, "/authorize/") {
			return f
		}
	}
	require.Fail(t, "no decision form", p.Body)
	return browser.Form{}
}

var approve = url.Values{"decision": {"approve"}, "scope": {"notes:read"}}

func TestAS42_DecisionNeedsAFormTokenOfThisLoginAndRequest(t *testing.T) {
	e := start(t)
	id := e.newClient()
	b, p := e.consentPage(id, "dev")
	_, other := e.consentPage(id, "dev")
	second := &openPage{b.open(e, e.issuer+"/authorize?"+request(id).Encode()), id} // same login, another request
	form := decisionForm(t, p)

	tampered := func(csrf string) browser.Form {
		f := browser.Form{Action: form.Action}
		if csrf != "" {
			f.Fields = []browser.Field{{Type: "hidden", Name: "csrf", Value: csrf}}
		}
		return f
	}
	csrfOf := func(p *openPage) string { return decisionForm(t, p).Fields[0].Value }
	for name, f := range map[string]browser.Form{
		"without a token":                   tampered(""),
		"with junk":                         tampered("junk"),
		"with the token of another login":   tampered(csrfOf(other)),
		"with the token of another request": tampered(csrfOf(second)),
	} {
		t.Run("AS-42 refused "+name, func(t *testing.T) {
			got, err := b.Submit(t.Context(), p, f, approve)
			require.NoError(t, err)
			require.Equal(t, http.StatusForbidden, got.Status)
			require.Nil(t, got.Location)
		})
	}
	t.Run("AS-42 refused with the token of an earlier login in the same browser, for the same request", func(t *testing.T) {
		b, p := e.consentPage(id, "dev")
		old := decisionForm(t, p)
		for _, f := range p.Forms {
			if f.Action == "/signout" {
				out, err := b.Submit(t.Context(), p, f, nil)
				require.NoError(t, err)
				b.signIn(e, b.open(e, out.Location.String()), "ada")
			}
		}
		got, err := b.Submit(t.Context(), p, old, approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.Status)
	})
	t.Run("AS-42 GET decides nothing", func(t *testing.T) {
		got := b.open(e, p.URL.String()+"?decision=approve&scope=notes:read&csrf="+url.QueryEscape(csrfOf(p)))
		require.Equal(t, http.StatusOK, got.Status)
	})
	t.Run("AS-47 the good form is answered with 303", func(t *testing.T) {
		got, err := b.Submit(t.Context(), p, form, approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusSeeOther, got.Status)
		require.NotEmpty(t, b.arrive(e, got).Get("code"))
	})
}

func TestAS43_DenyRedirectsWithAccessDenied(t *testing.T) {
	e := start(t)
	res, err := e.authorize(request(e.newClient()), browser.Decision{User: "dev", Deny: true})
	require.NoError(t, err)
	require.Equal(t, "access_denied", res.Error)
	require.Equal(t, "st&te=1 ü", res.State)
	require.Equal(t, e.issuer, res.Issuer)
	require.Empty(t, res.Code)
}

func TestAS40_ConsentPageTellsWhatIsAtStake(t *testing.T) {
	e := start(t)
	id := e.newClient()
	_, p := e.consentPage(id, "dev", "redirect_uri", "http://127.0.0.1:61000/callback")
	for _, want := range []string{"Test client", "Unverified", id, "Notes", resource, "Dev, developer", "Read your notes", "notes:read", "Write notes", "127.0.0.1:61000"} {
		require.Contains(t, p.Body, want)
	}
	require.Contains(t, p.Body, "a program on this computer", "AS-41")
	require.Contains(t, p.Body, `<html lang="en">`, "AS-49")
	_, conf := e.consentPage(confID, "dev")
	require.Contains(t, conf.Body, "Known to this server")
}

// withTools gives the resource the tools of a notebook.
func withTools(c *devas.Config) {
	c.Resources[0].Tools = notebookTools
	c.Resources[0].Name = "Example notebook"
	c.Resources[0].Scopes = []devas.Scope{
		{Name: "notes:read", Title: "Read your notes", Text: "See everything that you have written down."},
		{Name: "notes:write", Title: "Write notes for you", Text: "Add notes to your notebook. Nothing is overwritten."},
	}
}

func notebookTools(u devas.User, scopes []string) []devas.Tool {
	tools := []devas.Tool{{Name: "whoami", Title: "Who am I", Description: "Tells who is calling, and with which scopes."}}
	if slices.Contains(scopes, "notes:read") {
		tools = append(tools, devas.Tool{Name: "read_notes", Title: "Read notes", Description: "Reads your notes, newest first."})
	}
	if slices.Contains(scopes, "notes:write") {
		tools = append(tools, devas.Tool{Name: "write_note", Title: "Write a note", Description: "Writes a note into your notebook."})
	}
	if len(scopes) > 0 {
		tools = append(tools, devas.Tool{Name: "count_notes", Description: "Tells how many notes you have."})
	}
	if slices.Contains(u.Roles, devas.RoleAdmin) {
		tools = append(tools, devas.Tool{Name: "purge_notes", Title: "Delete all notes", Description: "Deletes the notes of everybody."})
	}
	return tools
}

func TestAS40_ToolsThatTheScopesOpen(t *testing.T) {
	e := start(t, withTools)
	id := e.newClient()
	// rows are what the page says about each tool, without markup and white space.
	rows := func(p *openPage) (out []string) {
		_, list, _ := strings.Cut(p.Body, `<ul class="list tools">`)
		list, _, _ = strings.Cut(list, "</ul>")
		for _, li := range strings.Split(list, "<li")[1:] {
			out = append(out, strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>|^[^>]*>`).ReplaceAllString(li, " ")), " "))
		}
		return out
	}
	_, p := e.consentPage(id, "dev")
	require.Equal(t, []string{
		"Who am I whoami Tells who is calling, and with which scopes. always available",
		"Read notes read_notes Reads your notes, newest first. needs notes:read not available without notes:read",
		"Write a note write_note Writes a note into your notebook. needs notes:write not available without notes:write",
		"count_notes Tells how many notes you have. needs notes:read or notes:write",
	}, rows(p))
	require.Contains(t, p.Body, `<li class="n1">`, "the mark that the style sheet turns into words")
	t.Run("AS-40 for this user's roles", func(t *testing.T) {
		_, p := e.consentPage(id, "ada")
		require.Len(t, rows(p), 5)
		require.Contains(t, rows(p)[4], "Delete all notes")
		_, p = e.consentPage(id, "rio")
		require.Len(t, rows(p), 3, "rio cannot be offered notes:write")
	})
	t.Run("AS-40 for the scopes that are asked for", func(t *testing.T) {
		_, p := e.consentPage(id, "dev", "scope", "notes:write")
		require.Len(t, rows(p), 3)
		require.NotContains(t, p.Body, "read_notes")
	})
	t.Run("AS-45 what a server says of its tools is foreign text", func(t *testing.T) {
		e := start(t, func(c *devas.Config) {
			c.Resources[0].Tools = func(devas.User, []string) []devas.Tool {
				tools := []devas.Tool{{Name: "x\u202ey", Title: "<script>alert(1)</script>", Description: "line\nbreak </li></ul>" + strings.Repeat("z", 1000)}}
				for i := range 150 {
					tools = append(tools, devas.Tool{Name: "tool" + strconv.Itoa(i)})
				}
				return tools
			}
		})
		_, p := e.consentPage(e.newClient(), "dev")
		found := rows(p)
		require.Len(t, found, 101)
		require.Equal(t, "and 51 more", found[100])
		require.Contains(t, found[0], "&lt;script&gt;alert(1)&lt;/script&gt; xy line break &lt;/li&gt;&lt;/ul&gt;")
		require.NotContains(t, p.Body, strings.Repeat("z", 400))
	})
}

func TestAS45_ForeignTextIsEscapedAndCleaned(t *testing.T) {
	e := start(t)
	name := `<img src=x onerror=alert(1)>\u202eevil\u0007` + strings.Repeat("A", 300)
	a := e.register(`{"client_name":"` + name + `","redirect_uris":["` + callback + `"]}`)
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	_, p := e.consentPage(a.str("client_id"), "dev")
	require.NotContains(t, p.Body, "<img")
	require.Contains(t, p.Body, "&lt;img src=x onerror=alert(1)&gt;evil")
	require.NotContains(t, p.Body, "\u202e")
	require.NotContains(t, p.Body, "\u0007")
	require.NotContains(t, p.Body, strings.Repeat("A", 120))
}

func TestAS46_SecurityHeaders(t *testing.T) {
	e := start(t)
	id := e.newClient()
	_, p := e.consentPage(id, "dev")
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	require.Equal(t, 1, strings.Count(p.Body, "<style"))
	require.True(t, strings.Contains(p.Body, "<style>"+devas.PagesCSS+"</style>"), "the style sheet is what was hashed")
	require.Equal(t, 1, strings.Count(p.Body, "<script"))
	require.True(t, strings.Contains(p.Body, "<script>"+devas.PagesJS+"</script>"), "the script is what was hashed")
	require.NotRegexp(t, `(?i) (style|on[a-z]+)=|https?://[^"]*\.(js|css|png|svg|woff)`, p.Body[strings.Index(p.Body, "</style>"):strings.Index(p.Body, "<script>")])
	require.Equal(t, "default-src 'none'; style-src "+hash(devas.PagesCSS)+"; script-src "+hash(devas.PagesJS)+"; form-action 'self' http://127.0.0.1:5555; frame-ancestors 'none'; base-uri 'none'",
		p.Header.Get("Content-Security-Policy"))

	signIn, err := browser.New().Get(t.Context(), e.issuer+"/signin")
	require.NoError(t, err)
	redirect := e.get("/authorize?" + request(id).Encode())
	require.Equal(t, http.StatusSeeOther, redirect.Status)
	for name, h := range map[string]http.Header{"consent": p.Header, "sign-in": signIn.Header, "redirect": redirect.Header,
		"error": e.get("/authorize?client_id=nobody").Header} {
		require.Equal(t, "DENY", h.Get("X-Frame-Options"), name)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), name)
		require.Contains(t, h.Get("Cache-Control"), "no-store", name)
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", name)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", name)
		require.Empty(t, h.Get("Access-Control-Allow-Origin"), name)
	}
	t.Run("a redirect URI cannot add to the policy", func(t *testing.T) {
		for uri, want := range map[string]string{
			"https://a.example/cb":          "https://a.example",
			"http://[::1]:80/cb":            "http:",
			"com.example.app:/cb":           "com.example.app:",
			"https://a;script-src.b/cb":     "https:",
			"https://a.example *; x 'y'/cb": "",
		} {
			require.Equal(t, want, devas.FormAction(uri), uri)
		}
	})
}

func TestAS48_Cookies(t *testing.T) {
	e := start(t)
	b, p := e.consentPage(e.newClient(), "")
	signedIn, err := b.Submit(t.Context(), p, p.Forms[0], url.Values{"user": {"dev"}})
	require.NoError(t, err)
	first := e.get("/authorize?" + request(p.clientID).Encode())
	for _, h := range []http.Header{signedIn.Header, first.Header} {
		cookies := (&http.Response{Header: h}).Cookies()
		require.Len(t, cookies, 1)
		c := cookies[0]
		require.True(t, c.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, c.SameSite)
		require.Equal(t, "/", c.Path)
		require.Empty(t, c.Domain)
		require.False(t, c.Secure, "Safari refuses Secure on loopback http")
		require.True(t, strings.HasPrefix(c.Name, "devas_"))
	}
	t.Run("https", func(t *testing.T) {
		srv, err := devas.New(devas.Config{Issuer: "https://localhost:9443", Resources: []devas.Resource{notes()}})
		require.NoError(t, err)
		w := serve(srv, "GET", "https://localhost:9443/signin")
		c := w.Result().Cookies()[0]
		require.True(t, c.Secure)
		require.True(t, strings.HasPrefix(c.Name, "__Host-"))
	})
}

func TestAS60_RedirectURIIsCheckedAgainAtTheDecision(t *testing.T) {
	e := start(t)
	for _, decision := range []string{"approve", "deny"} {
		t.Run("AS-60 "+decision, func(t *testing.T) {
			id := e.newClient()
			b, p := e.consentPage(id, "dev")
			e.srv.SetRedirectURIs(id, "http://127.0.0.1/elsewhere")
			got, err := b.Submit(t.Context(), p, decisionForm(t, p), url.Values{"decision": {decision}, "scope": {"notes:read"}})
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, got.Status)
			require.Equal(t, "The application redirect URL is no longer valid.", got.Title())
			require.Nil(t, got.Location)
		})
	}
	t.Run("AS-64 the client is gone", func(t *testing.T) {
		b, p := e.consentPage(e.newClient(), "dev")
		e.srv.Unregister(p.clientID)
		got, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, got.Status)
		require.Equal(t, "Unknown application", got.Title())
	})
}

func TestAS61_RequestExpiresAndIsDecidedOnce(t *testing.T) {
	const title = "This authorization request expired."
	e := start(t)
	id := e.newClient()
	gone := func(t *testing.T, p *browser.Page) {
		t.Helper()
		require.Equal(t, http.StatusBadRequest, p.Status)
		require.Equal(t, title, p.Title())
		require.Nil(t, p.Location)
	}
	t.Run("AS-61 second click and back button", func(t *testing.T) {
		for _, first := range []string{"approve", "deny"} {
			b, p := e.consentPage(id, "dev")
			got, err := b.Submit(t.Context(), p, decisionForm(t, p), url.Values{"decision": {first}, "scope": {"notes:read"}})
			require.NoError(t, err)
			require.Equal(t, http.StatusSeeOther, got.Status)
			again, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
			require.NoError(t, err)
			gone(t, again)
			gone(t, b.open(e, p.URL.String()))
		}
	})
	t.Run("AS-61 parallel clicks give one code", func(t *testing.T) {
		b, p := e.consentPage(id, "dev")
		form := decisionForm(t, p)
		var mu sync.Mutex
		var codes, refused int
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				got, err := b.Submit(t.Context(), p, form, approve)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
				case got.Location != nil && strings.HasSuffix(got.Location.Path, "/complete"):
					codes++
				case got.Status == http.StatusBadRequest:
					refused++
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, codes)
		require.Equal(t, 15, refused)
	})
	t.Run("AS-61 unknown request", func(t *testing.T) {
		b := &consenting{browser.New()}
		gone(t, b.open(e, e.issuer+"/authorize/00000000-0000-0000-0000-000000000000"))
	})
	t.Run("AS-61 ten minutes", func(t *testing.T) {
		b, p := e.consentPage(id, "dev")
		e.clock.Advance(9*time.Minute + 50*time.Second)
		require.Equal(t, http.StatusOK, b.open(e, p.URL.String()).Status)
		e.clock.Advance(11 * time.Second)
		got, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		gone(t, got)
	})
}

func TestAS62_WithoutALogin(t *testing.T) {
	e := start(t)
	id := e.newClient()
	t.Run("AS-62 the authorization endpoint leads to sign-in and back to the same request", func(t *testing.T) {
		b, p := e.consentPage(id, "")
		require.Equal(t, "/signin", p.URL.Path)
		back := b.signIn(e, p.Page, "dev")
		require.Equal(t, "/authorize/"+p.URL.Query().Get("request"), back.URL.Path)
		require.Equal(t, "Authorize Application", back.Title())
	})
	t.Run("AS-62 a decision without a login is 401 with a link", func(t *testing.T) {
		b, p := e.consentPage(id, "dev")
		for _, f := range p.Forms {
			if f.Action == "/signout" {
				_, err := b.Submit(t.Context(), p, f, nil)
				require.NoError(t, err)
			}
		}
		got, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, got.Status)
		require.Equal(t, "You must be signed in to continue.", got.Title())
		require.Contains(t, got.Body, `href="/signin?request=`)
	})
	t.Run("AS-62 prompt=none", func(t *testing.T) {
		res, err := e.authorize(request(id, "prompt", "none"), browser.Decision{User: "dev"})
		require.NoError(t, err)
		require.Equal(t, "login_required", res.Error)
		require.Equal(t, e.issuer, res.Issuer)
	})
	t.Run("AS-16 prompt=login and max_age ask again, a plain request does not", func(t *testing.T) {
		b, _ := e.consentPage(id, "dev")
		again := func(changes ...string) string {
			return b.open(e, e.issuer+"/authorize?"+request(id, changes...).Encode()).URL.Path
		}
		require.Contains(t, again(), "/authorize/")
		require.Equal(t, "/signin", again("prompt", "login"))
		require.Contains(t, again("max_age", "60"), "/authorize/")
		e.clock.Advance(61 * time.Second)
		require.Equal(t, "/signin", again("max_age", "60"))
	})
}

func TestAS63_UserWithoutAccess(t *testing.T) {
	e := start(t)
	id := e.newClient()
	b, p := e.consentPage(id, "rio", "scope", "notes:write")
	require.Equal(t, http.StatusForbidden, p.Status)
	require.Equal(t, "You do not have access to this MCP server.", p.Title())
	require.Contains(t, p.Body, "Switch account")
	got, err := b.Submit(t.Context(), p, decisionForm(t, p), url.Values{"decision": {"approve"}, "scope": {"notes:write"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, got.Status, "a forged approval changes nothing")
	back, err := b.Submit(t.Context(), p, decisionForm(t, p), url.Values{"decision": {"deny"}})
	require.NoError(t, err)
	require.Equal(t, "access_denied", back.Location.Query().Get("error"))
	require.Equal(t, "st&te=1 ü", back.Location.Query().Get("state"))

	_, err = e.authorize(request(id, "scope", "notes:write"), browser.Decision{User: "rio"})
	var page *browser.PageError
	require.True(t, errors.As(err, &page))
	require.Equal(t, http.StatusForbidden, page.Status)
}

func TestAS65_LoginCSRFAndFixation(t *testing.T) {
	e := start(t)
	id := e.newClient()
	t.Run("AS-65 a request belongs to the browser that opened it", func(t *testing.T) {
		_, p := e.consentPage(id, "dev")
		victim, own := e.consentPage(id, "ada")
		require.Equal(t, http.StatusOK, own.Status)
		got := victim.open(e, p.URL.String())
		require.Equal(t, http.StatusForbidden, got.Status)
		posted, err := victim.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, posted.Status)
		require.Nil(t, posted.Location)
	})
	t.Run("AS-65 sign-in needs the form of this browser", func(t *testing.T) {
		_, p := e.consentPage(id, "")
		stranger := &consenting{browser.New()}
		got, err := stranger.Submit(t.Context(), p, p.Forms[0], url.Values{"user": {"dev"}})
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.Status)
		require.Empty(t, got.Header.Values("Set-Cookie"))
	})
	t.Run("AS-65 every sign-in has a new identifier and ends the old one", func(t *testing.T) {
		b, p := e.consentPage(id, "")
		one, err := b.Submit(t.Context(), p, p.Forms[0], url.Values{"user": {"dev"}})
		require.NoError(t, err)
		two, err := b.Submit(t.Context(), p, p.Forms[0], url.Values{"user": {"dev"}})
		require.NoError(t, err)
		require.NotEqual(t, one.Header.Get("Set-Cookie"), two.Header.Get("Set-Cookie"))
	})
	t.Run("unknown user", func(t *testing.T) {
		b, p := e.consentPage(id, "")
		got, err := b.Submit(t.Context(), p, p.Forms[0], url.Values{"user": {"root"}})
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.Status)
	})
	t.Run("the browser helper switches account", func(t *testing.T) {
		b := browser.New()
		for _, user := range []string{"dev", "ada", "ada"} {
			res, err := b.Authorize(t.Context(), e.issuer+"/authorize?"+request(id).Encode(), browser.Decision{User: user})
			require.NoError(t, err)
			a := e.token(exchange(id, res.Code))
			_, claims := decode(t, a.str("access_token"))
			require.Equal(t, user, claims["sub"])
		}
	})
}
