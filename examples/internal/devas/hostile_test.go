package devas_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

// This file holds what a hostile review found: attacks by applications, web sites and agents that once worked.

// withKeyed adds a client that authenticates with a key and may ask for everything.
func withKeyed(key *prover) func(*devas.Config) {
	return func(c *devas.Config) {
		jwk := map[string]string{"kty": "EC", "crv": "P-256", "x": key.jwk["x"], "y": key.jwk["y"], "kid": "k", "alg": "ES256", "use": "sig"}
		jwks, _ := json.Marshal(map[string]any{"keys": []any{jwk}})
		c.Clients = append(c.Clients, devas.Client{ID: "keyed", JWKS: string(jwks), RedirectURIs: []string{callback}, AllScopes: true})
	}
}

// The library finds the client in an assertion with a parser of its own: whoever made the two disagree was not held to permissions and keys.
func TestAS35_AssertionsThatTwoParsersReadDifferently(t *testing.T) {
	key := newProver(&env{t: t})
	for name, claims := range map[string][]any{
		"a second issuer that json folds into iss": {"i\u017fs", "someone-else"},
		"a second issuer in capitals":              {"ISS", "someone-else"},
		"too long for the one that looks first":    {"pad", strings.Repeat("x", 9000)},
		"no issuer":                                {"iss", nil},
	} {
		t.Run("AS-35 a client that was shut out cannot refresh: "+name, func(t *testing.T) {
			e := start(t, withKeyed(key))
			a := e.token(assert(t, key.key, exchange("keyed", e.code(request("keyed"), asDev)), "keyed", e.issuer))
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
			require.NoError(t, e.srv.Forbid(ada, "keyed", resource))
			b := e.token(assert(t, key.key, refresh("keyed", a.str("refresh_token"), "client_id", "-"), "keyed", e.issuer, claims...))
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, b.Status, b.Raw)
			require.Empty(t, b.str("access_token"))
		})
		t.Run("AS-23 a bound grant is not refreshed without a proof: "+name, func(t *testing.T) {
			e := start(t, withKeyed(key))
			p := newProver(e)
			a := e.post("/token", assert(t, key.key, exchange("keyed", e.code(request("keyed"), asDev)), "keyed", e.issuer), p.header())
			requireBound(t, a, p)
			b := e.token(assert(t, key.key, refresh("keyed", a.str("refresh_token"), "client_id", "-"), "keyed", e.issuer, claims...))
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, b.Status, b.Raw)
			require.Empty(t, b.str("access_token"))
		})
	}
	t.Run("AS-35 an honest assertion without client_id is good", func(t *testing.T) {
		e := start(t, withKeyed(key))
		a := e.token(assert(t, key.key, exchange("keyed", e.code(request("keyed"), asDev), "client_id", "-"), "keyed", e.issuer))
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		b := e.token(assert(t, key.key, refresh("keyed", a.str("refresh_token"), "client_id", "-"), "keyed", e.issuer))
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
	})
}

func TestAS12_HostsThatLookLikeOthersCannotBeRegistered(t *testing.T) {
	e := start(t)
	for name, uri := range map[string]string{
		"a Cyrillic letter":            "https://%D0%B0pple.com/cb",
		"a division slash":             "https://apple.com%E2%88%95login.evil.example/cb",
		"a one dot leader":             "https://trusted.example%E2%80%A4com.evil.example/cb",
		"an ASCII letter, encoded":     "https://%61pple.com/cb",
		"a private-use scheme's host":  "com.example.app://%D0%B0pple.com/cb",
		"the zone of a loopback host":  "https://[::1%25lo]/cb",
		"capitals of scheme, encoded":  "HTTPS://%D0%B0pple.com/cb",
		"the port after encoded bytes": "https://%D0%B0pple.com:8443/cb",
	} {
		t.Run("AS-12 "+name, func(t *testing.T) {
			require.Error(t, devas.CheckURI(uri))
			requireError(t, e.register(`{"redirect_uris":["`+uri+`"]}`), http.StatusBadRequest, "invalid_redirect_uri")
		})
	}
	t.Run("AS-12 the same host as xn-- can, and is shown so", func(t *testing.T) {
		const uri = "https://xn--pple-43d.com/cb"
		id := e.register(`{"redirect_uris":["` + uri + `"]}`).str("client_id")
		_, p := e.consentPage(id, "dev", "redirect_uri", uri)
		require.Contains(t, p.Body, "<code>xn--pple-43d.com</code>")
	})
}

func TestAS41_TheWarningIsForEveryRedirectToThisComputer(t *testing.T) {
	const warning, here, app = "The answer goes to a program on this computer.", ">this computer<", ">an app on this device<"
	e := start(t)
	for _, uri := range []string{"https://127.0.0.1:8443/cb", "https://localhost/cb", "https://[::1]/cb", "https://LOCALHOST./cb", "https://app.localhost/cb",
		"https://0.0.0.0/cb", "HTTPS://127.8.8.8/cb", callback} {
		t.Run("AS-41 "+uri, func(t *testing.T) {
			a := e.register(`{"redirect_uris":["` + uri + `"]}`)
			require.Equal(t, http.StatusCreated, a.Status, a.Raw)
			_, p := e.consentPage(a.str("client_id"), "dev", "redirect_uri", uri)
			has(t, p.Page, warning, here)
			lacks(t, p.Page, app)
		})
	}
	t.Run("AS-50 a web site in capitals is no app on the device, and gets no completion page", func(t *testing.T) {
		const uri = "HTTPS://evil.example/cb"
		a := e.register(`{"redirect_uris":["` + uri + `"]}`)
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		b, p := e.consentPage(a.str("client_id"), "dev", "redirect_uri", uri)
		lacks(t, p.Page, warning, here, app)
		done, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		require.Equal(t, "evil.example", done.Location.Host)
	})
}

func TestAS34_ARegistrationIsSmall(t *testing.T) {
	const most = 8 << 10
	file := filepath.Join(t.TempDir(), "state.json")
	e, stop := restartable(t, file, "127.0.0.1:0")
	body := func(size int) string {
		head, tail := `{"redirect_uris":["`+callback+`"],"software_id":"`, `"}`
		return head + strings.Repeat("<", size-len(head)-len(tail)) + tail // a character that JSON writers make six of
	}
	requireError(t, e.register(body(most+1)), http.StatusRequestEntityTooLarge, "invalid_client_metadata")
	require.Empty(t, e.srv.Applications()[1:], "there is only the configured one")
	a := e.register(body(most))
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	stop()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Less(t, info.Size()*int64(devas.MaxClients), int64(128<<20), "as many as fit must leave a file that can be read again")
}

func TestAS34_RegistrationsPushOutNothingThatPeopleUse(t *testing.T) {
	e := start(t)
	id, a := e.tokens("dev")
	for range devas.MaxClients + 10 {
		r := e.register(`{"redirect_uris":["` + callback + `"]}`)
		if r.Status == http.StatusTooManyRequests {
			e.clock.Advance(time.Minute)
			r = e.register(`{"redirect_uris":["` + callback + `"]}`)
		}
		require.Equal(t, http.StatusCreated, r.Status, r.Raw)
	}
	t.Run("AS-34 what was granted and issued is still in the log", func(t *testing.T) {
		e.requireEvent(devas.Event{Kind: devas.EventConsentGranted, OK: true, Client: id})
		e.requireEvent(devas.Event{Kind: devas.EventTokenIssued, OK: true, Client: id})
	})
	t.Run("AS-34 an application with a grant is still known", func(t *testing.T) {
		b := e.token(refresh(id, a.str("refresh_token")))
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
	})
}

func TestAS40_AServerWithoutScopesIsNotOpenToEverybody(t *testing.T) {
	const bare = "http://127.0.0.1:8010/mcp"
	withBare := func(c *devas.Config) { c.Resources = append(c.Resources, devas.Resource{Identifier: bare}) }
	key := newProver(&env{t: t})
	ask := func(id string) url.Values { return request(id, "resource", bare, "scope", "-") }

	t.Run("AS-13 strict mode: nobody permitted the application", func(t *testing.T) {
		e := start(t, strict, withBare)
		res, err := e.authorize(ask(e.newClient()), asDev)
		require.NoError(t, err)
		require.Empty(t, res.Code)
		require.Equal(t, "access_denied", res.Error)
		res, err = e.authorize(ask(confID), asDev)
		require.NoError(t, err)
		require.NotEmpty(t, res.Code, "a configured client may")
	})
	t.Run("AS-13 an application that was shut out", func(t *testing.T) {
		e := start(t, withBare)
		id := e.newClient()
		a := e.token(exchange(id, e.code(ask(id), asDev), "resource", bare))
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		code := e.code(ask(id), asDev)
		b, p := e.consentPage(id, "dev", "resource", bare, "scope", "-")
		require.NoError(t, e.srv.Forbid(ada, id, bare))

		requireError(t, e.token(refresh(id, a.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		requireError(t, e.token(exchange(id, code, "resource", bare)), http.StatusBadRequest, "invalid_grant")
		after, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, after.Status, "the page that was open cannot be approved")
		res, err := e.authorize(ask(id), asDev)
		require.NoError(t, err)
		require.Equal(t, "access_denied", res.Error)
	})
	t.Run("AS-05 an agent that was shut out", func(t *testing.T) {
		e := start(t, withBare, withAgents(key))
		form := credentials("resource", bare, "scope", "-")
		require.Equal(t, http.StatusOK, e.post("/token", form, basic(agentID, agentSecret)).Status)
		require.NoError(t, e.srv.Forbid(ada, agentID, bare))
		requireError(t, e.post("/token", form, basic(agentID, agentSecret)), http.StatusBadRequest, "invalid_target")
	})
}

func TestAS23_RolesThatWereTakenAwayLeaveTheNextToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	e, stop := restartable(t, file, "127.0.0.1:0")
	id, a := e.tokens("ada")
	_, claims := decode(t, a.str("access_token"))
	require.Contains(t, claims["roles"], devas.RoleAdmin)
	stop()

	e, _ = restartable(t, file, strings.TrimPrefix(e.issuer, "http://"), func(c *devas.Config) {
		c.Users = devas.DefaultUsers()
		for i := range c.Users {
			if c.Users[i].Name == "ada" {
				c.Users[i].Roles = []string{"user"}
			}
		}
	})
	b := e.token(refresh(id, a.str("refresh_token")))
	require.Equal(t, http.StatusOK, b.Status, b.Raw)
	_, claims = decode(t, b.str("access_token"))
	require.Equal(t, []any{}, claims["roles"], "neither what was lost, nor what came since the approval")
}

// The direct endpoints answer scripts of every web site: a fetch there would tell these which names and ports in this network exist.
func TestAS31_DirectEndpointsFetchNoDocumentForStrangers(t *testing.T) {
	p := newPublisher(t)
	e := start(t, p.trusted)
	evil := http.Header{"Origin": {"https://evil.example"}}
	var bodies []string
	for _, id := range []string{p.id(), "https://localhost/c", "https://10.0.0.1/c", "https://no-such-name.invalid/c", "https://169.254.169.254/c"} {
		a := e.post("/token", exchange(id, "x"), evil)
		requireError(t, a, http.StatusUnauthorized, "invalid_client")
		bodies = append(bodies, a.Raw)
		e.post("/revoke", url.Values{"token": {"x"}, "client_id": {id}}, evil)
		e.post("/introspect", url.Values{"token": {"x"}, "client_id": {id}}, evil)
	}
	for _, b := range bodies {
		require.Equal(t, bodies[0], b, "one answer for all")
	}
	require.Zero(t, p.fetched.Load())

	t.Run("AS-30 an application that came through the authorization endpoint is fetched for again", func(t *testing.T) {
		a := e.token(exchange(p.id(), e.code(request(p.id()), asDev)))
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		e.clock.Advance(2 * time.Minute)
		require.Equal(t, http.StatusOK, e.token(refresh(p.id(), a.str("refresh_token"))).Status)
		require.EqualValues(t, 2, p.fetched.Load())
	})
}

func TestAS20_ACodeGivesNoMoreThanIsPermittedWhenItIsRedeemed(t *testing.T) {
	e := start(t)
	id := e.newClient()
	shut, narrow := e.code(request(id), asDev), e.code(request(id), asDev)
	require.NoError(t, e.srv.Forbid(ada, id, resource))
	requireError(t, e.token(exchange(id, shut)), http.StatusBadRequest, "invalid_grant")
	require.NoError(t, e.srv.Permit(ada, id, resource, []string{"notes:read"}))
	a := e.token(exchange(id, narrow))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "notes:read", a.str("scope"))

	t.Run("AS-20 nor than the server gives by then", func(t *testing.T) {
		require.NoError(t, e.srv.SaveServer(ada, wiki()))
		other := e.newClient()
		code := e.code(request(other, "resource", wikiID, "scope", "wiki:read"), browser.Decision{User: "uma"})
		w := wiki()
		w.Access = devas.AccessOwner
		require.NoError(t, e.srv.SaveServer(ada, w))
		requireError(t, e.token(exchange(other, code, "resource", wikiID)), http.StatusBadRequest, "invalid_grant")
	})
}

func TestAS23_TheAudienceIsOneWhateverIsSentTwice(t *testing.T) {
	e := start(t, withSecond)
	id := e.newClient()
	form := exchange(id, e.code(request(id, "scope", "notes:read"), asDev))
	form["resource"] = []string{resource, resource, resource + "/"}
	a := e.token(form)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	_, claims := decode(t, a.str("access_token"))
	require.Equal(t, resource, claims["aud"])

	form = refresh(id, a.str("refresh_token"))
	form["resource"] = []string{resource, resource}
	a = e.token(form)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	_, claims = decode(t, a.str("access_token"))
	require.Equal(t, resource, claims["aud"])

	form = refresh(id, a.str("refresh_token"))
	form["resource"] = []string{resource, secondRes}
	requireError(t, e.token(form), http.StatusBadRequest, "invalid_target")
	for name, c := range map[string]struct{ member, value, code string }{
		"no resource":           {"resource", "", "invalid_target"},
		"another resource":      {"resource", secondRes, "invalid_target"},
		"one more slash":        {"resource", resource + "//", "invalid_target"},
		"a scope more":          {"scope", "notes:read notes:write", "invalid_scope"},
		"a scope after a tab":   {"scope", "notes:read\tnotes:write", "invalid_scope"},
		"a scope of OpenID":     {"scope", "openid", "invalid_scope"},
		"a scope for later use": {"scope", "offline_access", "invalid_scope"},
	} {
		t.Run("AS-23 refused: "+name, func(t *testing.T) {
			requireError(t, e.token(refresh(id, a.str("refresh_token"), c.member, c.value)), http.StatusBadRequest, c.code)
		})
	}
	require.Equal(t, http.StatusOK, e.token(refresh(id, a.str("refresh_token"))).Status, "no refusal used it up")
}

// Any web site can make a browser open requests.
func TestAS61_RequestsFromAnywhereDoNotPushOutOneThatAPersonHasSeen(t *testing.T) {
	e := start(t)
	id := e.newClient()
	b := &consenting{browser.New()}
	p := b.open(e, e.issuer+"/authorize?"+request(id).Encode())
	require.Equal(t, "Sign in", p.Title())
	for range devas.MaxSessions + 5 {
		require.Equal(t, http.StatusSeeOther, e.get("/authorize?"+request(id).Encode()).Status)
	}
	require.Equal(t, "Authorize Application", b.signIn(e, p, "dev").Title())
}

func TestAFileThatIsNoRegularFileIsRefusedAtOnce(t *testing.T) {
	files := map[string]string{"a folder": t.TempDir()}
	if mkfifo, err := exec.LookPath("mkfifo"); err == nil {
		files["a named pipe"] = filepath.Join(t.TempDir(), "pipe")
		require.NoError(t, exec.Command(mkfifo, files["a named pipe"]).Run())
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				_, err := devas.New(devas.Config{Issuer: "http://127.0.0.1:9", Resources: []devas.Resource{notes()}, File: file})
				done <- err
			}()
			select {
			case err := <-done:
				require.ErrorContains(t, err, "Config.File")
			case <-time.After(30 * time.Second):
				t.Error("New waits for somebody to write")
				if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
					_ = f.Close() // lets New go on
				}
				<-done
			}
		})
	}
}
