package devas_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

var asDev = browser.Decision{User: "dev"}

func TestAS20_CodeIsBoundAndUsedOnce(t *testing.T) {
	e := start(t)
	id, other := e.newClient(), e.newClient()
	t.Run("AS-20 reuse is refused and revokes what was issued", func(t *testing.T) {
		code := e.code(request(id), asDev)
		a := e.token(exchange(id, code))
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, true, e.introspect(a.str("access_token")).JSON["active"])
		requireError(t, e.token(exchange(id, code)), http.StatusBadRequest, "invalid_grant")
		requireError(t, e.token(exchange(id, code)), http.StatusBadRequest, "invalid_grant")
		require.Equal(t, false, e.introspect(a.str("access_token")).JSON["active"])
		requireError(t, e.token(refresh(id, a.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	})
	for name, form := range map[string]func(code string) url.Values{
		"another client":       func(code string) url.Values { return exchange(other, code) },
		"another redirect_uri": func(code string) url.Values { return exchange(id, code, "redirect_uri", callback+"2") },
		"another port":         func(code string) url.Values { return exchange(id, code, "redirect_uri", "http://127.0.0.1:1/callback") },
		"another verifier":     func(code string) url.Values { return exchange(id, code, "code_verifier", verifier+"x") },
		"an unknown code":      func(string) url.Values { return exchange(id, "unknown") },
	} {
		t.Run("AS-20 "+name, func(t *testing.T) {
			code := e.code(request(id), asDev)
			requireError(t, e.token(form(code)), http.StatusBadRequest, "invalid_grant")
		})
	}
	t.Run("AS-20 no code at all", func(t *testing.T) {
		requireError(t, e.token(exchange(id, "", "code", "-")), http.StatusBadRequest, "invalid_request")
	})
	t.Run("AS-20 sixty seconds", func(t *testing.T) {
		early, late := e.code(request(id), asDev), e.code(request(id), asDev)
		e.clock.Advance(55 * time.Second)
		require.Equal(t, http.StatusOK, e.token(exchange(id, early)).Status)
		e.clock.Advance(6 * time.Second)
		requireError(t, e.token(exchange(id, late)), http.StatusBadRequest, "invalid_grant")
	})
}

// The trap of the library: it reads a grant, checks it and writes it back, so without a lock parallel redemptions all succeed.
func TestAS20_ParallelRedemptionGivesOneToken(t *testing.T) {
	// Readers that could meet do meet: with the lock nobody comes and each goes on alone after a moment.
	met := make(chan struct{})
	e := start(t)
	e.srv.AfterRead(func() {
		select {
		case met <- struct{}{}:
		case <-met:
		case <-time.After(10 * time.Millisecond):
		}
	})
	id := e.newClient()
	race := func(form url.Values) (won int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				resp, err := e.client.PostForm(e.issuer+"/token", form)
				if err != nil {
					return
				}
				_ = resp.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				if resp.StatusCode == http.StatusOK {
					won++
				}
			})
		}
		wg.Wait()
		return won
	}
	require.Equal(t, 1, race(exchange(id, e.code(request(id), asDev))))

	a := e.token(exchange(id, e.code(request(id), asDev)))
	require.Equal(t, 1, race(refresh(id, a.str("refresh_token"))), "AS-23")
}

func TestAS21_CodeVerifier(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for length, good := range map[int]bool{42: false, 43: true, 128: true, 129: false} {
		v := strings.Repeat("v", length)
		code := e.code(request(id, "code_challenge", challengeOf(v)), asDev)
		a := e.token(exchange(id, code, "code_verifier", v))
		if good {
			require.Equal(t, http.StatusOK, a.Status, length)
		} else {
			requireError(t, a, http.StatusBadRequest, "invalid_grant")
		}
	}
	t.Run("AS-21 characters outside the grammar", func(t *testing.T) {
		v := strings.Repeat("v", 42) + " "
		requireError(t, e.token(exchange(id, e.code(request(id, "code_challenge", challengeOf(v)), asDev), "code_verifier", v)), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("AS-21 missing, and the challenge itself", func(t *testing.T) {
		for _, v := range []string{"-", challengeOf(verifier)} {
			requireError(t, e.token(exchange(id, e.code(request(id), asDev), "code_verifier", v)), http.StatusBadRequest, "invalid_grant")
		}
	})
	t.Run("AS-21 a wrong verifier spends the code", func(t *testing.T) {
		code := e.code(request(id), asDev)
		requireError(t, e.token(exchange(id, code, "code_verifier", strings.Repeat("w", 50))), http.StatusBadRequest, "invalid_grant")
		requireError(t, e.token(exchange(id, code)), http.StatusBadRequest, "invalid_grant")
	})
}

func TestAS22_ShapeOfTheTokenEndpoint(t *testing.T) {
	e := start(t)
	id := e.newClient()
	t.Run("AS-22 success is not stored by caches", func(t *testing.T) {
		a := e.token(exchange(id, e.code(request(id), asDev)))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	})
	t.Run("AS-22 redirect_uri need not be repeated", func(t *testing.T) {
		require.Equal(t, http.StatusOK, e.token(exchange(id, e.code(request(id), asDev), "redirect_uri", "-")).Status)
	})
	t.Run("AS-22 GET, query parameters and JSON", func(t *testing.T) {
		form := exchange(id, e.code(request(id), asDev))
		get := e.get("/token?" + form.Encode())
		require.Equal(t, http.StatusMethodNotAllowed, get.Status)
		require.Equal(t, "POST", get.Header.Get("Allow"))
		requireError(t, e.post("/token?"+form.Encode(), url.Values{}, nil), http.StatusBadRequest, "unsupported_grant_type")
		requireError(t, e.send("POST", "/token", http.Header{"Content-Type": {"application/json"}}, "{}"), http.StatusBadRequest, "invalid_request")
		requireError(t, e.send("POST", "/token", nil, form.Encode()), http.StatusBadRequest, "invalid_request")
		require.Equal(t, http.StatusOK, e.token(form).Status, "none of these spent the code")
	})
	t.Run("AS-15 repeated parameters", func(t *testing.T) {
		form := exchange(id, e.code(request(id), asDev))
		form.Add("code_verifier", verifier)
		requireError(t, e.token(form), http.StatusBadRequest, "invalid_request")
		form.Set("code_verifier", verifier)
		require.Equal(t, http.StatusOK, e.token(form).Status)
	})
	t.Run("AS-22 a body beyond the limit", func(t *testing.T) {
		requireError(t, e.token(url.Values{"grant_type": {"authorization_code"}, "code": {strings.Repeat("x", 70000)}}), http.StatusBadRequest, "invalid_request")
	})
	t.Run("AS-22 unknown grant types", func(t *testing.T) {
		for _, g := range []string{"", "password", "client_credentials", "implicit"} {
			requireError(t, e.token(url.Values{"grant_type": {g}, "client_id": {id}}), http.StatusBadRequest, "unsupported_grant_type")
		}
	})
	t.Run("AS-22 unknown client is 401 with a challenge", func(t *testing.T) {
		a := e.token(exchange("nobody", "x"))
		requireError(t, a, http.StatusUnauthorized, "invalid_client")
		require.True(t, strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic realm="))
	})
}

func TestAS23_RefreshRotation(t *testing.T) {
	e := start(t)
	t.Run("AS-23 rotates, keeps audience and roles", func(t *testing.T) {
		id, a := e.tokens("dev")
		b := e.token(refresh(id, a.str("refresh_token")))
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
		require.NotEqual(t, a.str("refresh_token"), b.str("refresh_token"))
		_, claims := decode(t, b.str("access_token"))
		require.Equal(t, resource, claims["aud"])
		require.Equal(t, []any{"developer"}, claims["roles"])
	})
	t.Run("AS-23 reuse of any old one revokes the family", func(t *testing.T) {
		id, a := e.tokens("dev")
		b := e.token(refresh(id, a.str("refresh_token")))
		c := e.token(refresh(id, b.str("refresh_token")))
		require.Equal(t, true, e.introspect(c.str("access_token")).JSON["active"])
		requireError(t, e.token(refresh(id, a.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		requireError(t, e.token(refresh(id, c.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		for _, issued := range []answer{a, b, c} {
			require.Equal(t, map[string]any{"active": false}, e.introspect(issued.str("access_token")).JSON)
		}
	})
	t.Run("AS-23 an old one at another endpoint revokes nothing", func(t *testing.T) {
		id, a := e.tokens("dev")
		b := e.token(refresh(id, a.str("refresh_token")))
		e.introspect(a.str("refresh_token"))
		e.post("/revoke", url.Values{"token": {a.str("refresh_token")}, "client_id": {id}}, nil)
		require.Equal(t, http.StatusOK, e.token(refresh(id, b.str("refresh_token"))).Status)
	})
	t.Run("AS-23 bound to the client, and the stranger's try does not harm the owner", func(t *testing.T) {
		id, a := e.tokens("dev")
		requireError(t, e.token(refresh(e.newClient(), a.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		require.Equal(t, http.StatusOK, e.token(refresh(id, a.str("refresh_token"))).Status)
	})
	t.Run("AS-23 scope narrows, for this token, and never widens", func(t *testing.T) {
		id, a := e.tokens("dev")
		b := e.token(refresh(id, a.str("refresh_token"), "scope", "notes:read"))
		require.Equal(t, "notes:read", b.str("scope"))
		id, a = e.tokens("rio")
		requireError(t, e.token(refresh(id, a.str("refresh_token"), "scope", "notes:read notes:write")), http.StatusBadRequest, "invalid_scope")
	})
	t.Run("AS-23 expires", func(t *testing.T) {
		id, a := e.tokens("dev")
		e.clock.Advance(24*time.Hour + time.Second)
		requireError(t, e.token(refresh(id, a.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("AS-23 missing and unknown", func(t *testing.T) {
		id := e.newClient()
		requireError(t, e.token(refresh(id, "", "refresh_token", "-")), http.StatusBadRequest, "invalid_request")
		requireError(t, e.token(refresh(id, "unknown")), http.StatusBadRequest, "invalid_grant")
	})
}

func TestAS25_Introspection(t *testing.T) {
	e := start(t)
	id, a := e.tokens("dev")
	t.Run("AS-25 active", func(t *testing.T) {
		got := e.introspect(a.str("access_token"))
		require.Equal(t, http.StatusOK, got.Status)
		for member, want := range map[string]any{"active": true, "sub": "dev", "client_id": id, "scope": "notes:read notes:write", "iss": e.issuer, "aud": resource,
			"token_type": "Bearer", "username": "dev"} {
			require.Equal(t, want, got.JSON[member], member)
		}
		require.Equal(t, []any{"developer"}, got.JSON["roles"])
		require.NotContains(t, got.JSON, "grant_id")
	})
	t.Run("AS-25 inactive says nothing more", func(t *testing.T) {
		token := a.str("access_token")
		for _, bad := range []string{"junk", "a.b.c", token[:len(token)-4] + "AAAA", a.str("refresh_token")} {
			require.Equal(t, map[string]any{"active": false}, e.introspect(bad).JSON)
		}
	})
	t.Run("AS-25 authenticated, for configured clients only", func(t *testing.T) {
		form := url.Values{"token": {a.str("access_token")}}
		junk := url.Values{"token": {"junk"}}
		for name, h := range map[string]http.Header{"nobody": nil, "wrong secret": basic(rsID, "wrong"), "a client that may not": basic(confID, confSecret)} {
			for _, f := range []url.Values{form, junk} {
				requireError(t, e.post("/introspect", f, h), http.StatusUnauthorized, "invalid_client")
			}
			t.Log(name)
		}
		public := url.Values{"token": {a.str("access_token")}, "client_id": {id}}
		requireError(t, e.post("/introspect", public, nil), http.StatusUnauthorized, "invalid_client")
	})
}

func TestAS25_Revocation(t *testing.T) {
	e := start(t)
	revoke := func(token, client string) answer {
		return e.post("/revoke", url.Values{"token": {token}, "client_id": {client}}, nil)
	}
	t.Run("AS-25 revoking the refresh token ends the family", func(t *testing.T) {
		id, a := e.tokens("dev")
		require.Equal(t, http.StatusOK, revoke(a.str("refresh_token"), id).Status)
		require.Equal(t, map[string]any{"active": false}, e.introspect(a.str("access_token")).JSON)
		requireError(t, e.token(refresh(id, a.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("AS-25 revoking the access token ends the grant", func(t *testing.T) {
		id, a := e.tokens("dev")
		require.Equal(t, http.StatusOK, revoke(a.str("access_token"), id).Status)
		require.Equal(t, map[string]any{"active": false}, e.introspect(a.str("access_token")).JSON)
	})
	t.Run("AS-25 200 for junk and for another client's token, which lives on", func(t *testing.T) {
		id, a := e.tokens("dev")
		other := e.newClient()
		require.Equal(t, http.StatusOK, revoke("junk", id).Status)
		require.Equal(t, http.StatusOK, revoke(a.str("refresh_token"), other).Status)
		require.Equal(t, http.StatusOK, revoke(a.str("access_token"), other).Status)
		require.Equal(t, true, e.introspect(a.str("access_token")).JSON["active"])
	})
	t.Run("AS-25 authenticated", func(t *testing.T) {
		requireError(t, revoke("junk", "nobody"), http.StatusUnauthorized, "invalid_client")
		requireError(t, revoke("junk", confID), http.StatusUnauthorized, "invalid_client")
	})
}

func TestAS35_ClientAuthentication(t *testing.T) {
	e := start(t)
	t.Run("AS-35 confidential client", func(t *testing.T) {
		code := func() string { return e.code(request(confID), asDev) }
		requireError(t, e.token(exchange(confID, code())), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.post("/token", exchange(confID, code(), "client_id", "-"), basic(confID, "wrong")), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.post("/token", exchange(rsID, code()), basic(confID, confSecret)), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.post("/token", exchange(confID, code(), "client_secret", confSecret), basic(confID, confSecret)), http.StatusBadRequest, "invalid_request")
		good := e.post("/token", exchange(confID, code(), "client_id", "-"), basic(confID, confSecret))
		require.Equal(t, http.StatusOK, good.Status, good.Raw)
		requireError(t, e.token(refresh(confID, good.str("refresh_token"))), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("AS-35 public client with a secret", func(t *testing.T) {
		id := e.newClient()
		code := e.code(request(id), asDev)
		requireError(t, e.token(exchange(id, code, "client_secret", "x")), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.token(exchange(id, code, "client_secret", "")), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.post("/token", exchange(id, code), basic(id, "")), http.StatusUnauthorized, "invalid_client")
		require.Equal(t, http.StatusOK, e.token(exchange(id, code)).Status)
	})
	t.Run("AS-35 a failed authentication does not spend the code", func(t *testing.T) {
		code := e.code(request(confID), asDev)
		requireError(t, e.post("/token", exchange(confID, code, "client_id", "-"), basic(confID, "wrong")), http.StatusUnauthorized, "invalid_client")
		require.Equal(t, http.StatusOK, e.post("/token", exchange(confID, code, "client_id", "-"), basic(confID, confSecret)).Status)
	})
}

// RFC 6749, Section 2.3.1; RFC 7591, Section 2, of clients that have said how they authenticate.
func TestAS35_WhereTheSecretStands(t *testing.T) {
	const id, secret = "agent", "a secret: with %2B, + and a space"
	agent := func(method string) func(*devas.Config) {
		return func(c *devas.Config) {
			c.Clients = append(c.Clients, devas.Client{ID: id, Secret: secret, SecretMethod: method, Agent: true, AllScopes: true, MayIntrospect: true})
		}
	}
	inHeader := basic(url.QueryEscape(id), url.QueryEscape(secret))
	for _, c := range []struct {
		method       string
		header, body bool
	}{{"", true, true}, {"client_secret_basic", true, false}, {"client_secret_post", false, true}} {
		t.Run("AS-35 "+c.method, func(t *testing.T) {
			e := start(t, agent(c.method))
			requireOK := func(want bool, a answer) {
				t.Helper()
				if want {
					require.Equal(t, http.StatusOK, a.Status, a.Raw)
					return
				}
				requireError(t, a, http.StatusUnauthorized, "invalid_client")
			}
			requireOK(c.header, e.post("/token", credentials(), inHeader))
			requireOK(c.header, e.post("/token", credentials("client_id", id), inHeader))
			requireOK(c.body, e.token(credentials("client_id", id, "client_secret", secret)))
			requireOK(c.header, e.post("/introspect", url.Values{"token": {"x"}}, inHeader))
			requireOK(c.body, e.post("/introspect", url.Values{"token": {"x"}, "client_id": {id}, "client_secret": {secret}}, nil))
			requireOK(c.body, e.post("/revoke", url.Values{"token": {"x"}, "client_id": {id}, "client_secret": {secret}}, nil))

			requireOK(false, e.post("/token", credentials(), basic(id, "wrong")))
			requireOK(false, e.token(credentials("client_id", id, "client_secret", "wrong")))
			requireOK(false, e.token(credentials("client_id", id, "client_secret", "")))
			requireOK(false, e.token(credentials("client_id", id)))
			requireOK(false, e.post("/token", credentials("client_id", confID), inHeader))
			requireOK(false, e.post("/token", credentials("client_id", id), http.Header{"Authorization": {"Bearer " + secret}}))

			// RFC 6749, Section 2.3: never both, not even where both are right.
			for _, inBody := range []string{secret, "wrong", ""} {
				requireError(t, e.post("/token", credentials("client_id", id, "client_secret", inBody), inHeader), http.StatusBadRequest, "invalid_request")
			}
			requireOK(false, e.send("POST", "/token?client_id="+id+"&client_secret="+url.QueryEscape(secret), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "grant_type=client_credentials"))
		})
	}
	t.Run("AS-35 a registered client has said which", func(t *testing.T) {
		e := start(t)
		for _, method := range []string{"client_secret_basic", "client_secret_post"} {
			a := e.register(`{"redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"` + method + `"}`)
			require.Equal(t, http.StatusCreated, a.Status, a.Raw)
			id, secret := a.str("client_id"), a.str("client_secret")
			ways := map[string]func(code string) answer{
				"client_secret_basic": func(code string) answer {
					return e.post("/token", exchange(id, code, "client_id", "-"), basic(id, secret))
				},
				"client_secret_post": func(code string) answer { return e.token(exchange(id, code, "client_secret", secret)) },
			}
			code := e.code(request(id), asDev)
			for way, try := range ways {
				if way != method {
					requireError(t, try(code), http.StatusUnauthorized, "invalid_client")
				}
			}
			good := ways[method](code)
			require.Equal(t, http.StatusOK, good.Status, good.Raw)
		}
	})
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	e := start(t)
	id, a := e.tokens("dev")
	e.token(refresh(id, a.str("refresh_token")))
	e.token(refresh(id, a.str("refresh_token")))
	code := e.code(request(id), asDev)
	e.token(exchange(id, code, "code_verifier", "wrong"))
	e.post("/token", exchange(confID, code, "client_id", "-"), basic(confID, "wrong-secret-value"))
	log := e.log.String()
	require.Contains(t, log, "request refused")
	for _, secret := range []string{a.str("access_token"), a.str("refresh_token"), code, verifier, "wrong-secret-value", confSecret} {
		require.NotContains(t, log, secret)
	}
}
