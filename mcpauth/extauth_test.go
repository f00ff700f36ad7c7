package mcpauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// The tests of this file are about the client-credentials extension of MCP authorization (ext-auth,
// oauth-client-credentials, "Flow Steps"): a client that authenticates for itself, without a user. The
// resource server has nothing of its own to do for it, so nothing may stand in its way, and nothing may be
// easier for it. enterprise_test.go has the other extension.

// A caller is what a tool finds out about whoever calls it.
type caller struct {
	Subject, Client, Actor, Scheme, ID string
	Application                        bool
	Scopes, Roles                      []string
}

func facts(p *mcpauth.Principal) caller {
	return caller{
		Subject: p.Subject(), Client: p.ClientID(), Actor: p.Actor(), Scheme: p.Scheme(), ID: p.ID(),
		Application: p.Grant().Application(), Scopes: p.Grant().Scopes(), Roles: p.Grant().Roles(),
	}
}

// newTelling has the tools of newServer, which tell who called: any caller, one scope, one role.
func newTelling(auth *mcpauth.Middleware) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	tell := func(ctx context.Context, _ *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		p, _ := mcpauth.FromContext(ctx)
		text, err := json.Marshal(facts(p))
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}}, nil, err
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami"}, tell, scopes.Authenticated())
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write"}, tell, scopes.All("files:write"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "purge"}, tell, scopes.Role("admin"))
	return server
}

// told reads what a tool of newTelling has told.
func told(t testing.TB, w *httptest.ResponseRecorder) (c caller) {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	var answer struct {
		Result struct{ Content []struct{ Text string } }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body.String())
	require.Len(t, answer.Result.Content, 1, w.Body.String())
	require.NoError(t, json.Unmarshal([]byte(answer.Result.Content[0].Text), &c))
	return c
}

// A door is a server and one way in which tokens reach it.
type door struct {
	http.Handler
	is     *testIssuer
	issue  func(changes ...claims) string                  // an access token with these claims, in this door's form
	send   func(body, token, session string) *http.Request // with what this door wants beside the token
	scheme string
	last   *mcpauth.Decision
}

// try sends one request and returns the answer.
func (d *door) try(body, token, session string) *httptest.ResponseRecorder {
	return serve(d, d.send(body, token, session))
}

// doors are the forms in which authorization servers issue tokens.
var doors = []struct {
	name          string
	opaque, bound bool
}{{"JWT", false, false}, {"bound JWT", false, true}, {"opaque", true, false}, {"bound opaque", true, true}}

func openDoor(t testing.TB, opaque, bound, stateless bool, change func(*mcpauth.Config)) *door {
	t.Helper()
	is, o, k := newIssuer(t), newOracle(t), newHolder(t, "")
	d := &door{is: is, scheme: "Bearer", last: new(mcpauth.Decision)}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.BaseScopes = []string{"mcp:read"}
		cfg.OnDecision = func(_ context.Context, dec mcpauth.Decision) { *d.last = dec }
		if opaque {
			cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "x"}
		}
		if change != nil {
			change(cfg)
		}
	})
	d.Handler = auth.Wrap(sdkHandler(newTelling(auth), stateless))
	answers := map[string]claims{}
	o.answer = func(token string) (int, any) { return http.StatusOK, answers[token] }
	d.issue = func(changes ...claims) string {
		all := claims{}
		if bound {
			all["cnf"] = claims{"jkt": k.Thumbprint()}
		}
		for _, c := range changes {
			maps.Copy(all, c)
		}
		if !opaque {
			return is.token(t, all)
		}
		token := fmt.Sprint("opaque-", len(answers))
		if answers[token] = active(is, all); bound {
			setMember(answers[token], "token_type", "DPoP")
		}
		return token
	}
	if bound {
		d.scheme = "DPoP"
	}
	d.send = func(body, token, session string) *http.Request {
		r := post(body, token)
		if bound {
			k.signed(r, token)
		}
		if session != "" {
			inSession(session, r)
		}
		return atRevision(legacy, r)
	}
	return d
}

// open opens a session, where the server keeps any.
func (d *door) open(t testing.TB, token string) (session string) {
	t.Helper()
	w := d.try(rpc("initialize", map[string]any{
		"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
	}), token, "")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	return w.Header().Get("Mcp-Session-Id")
}

// machines are the ways in which authorization servers write a client that acts for itself.
var machines = []struct {
	name        string
	claims      claims
	application bool // the token itself says so
}{
	{"sub is client_id (RFC 9068, Section 2.2)", claims{"sub": "robot", "client_id": "robot"}, true},
	{"the same without jti", claims{"sub": "robot", "client_id": "robot", "jti": nil}, true},
	{"sub is azp", claims{"sub": "robot", "client_id": nil, "azp": "robot"}, true},
	{"no sub", claims{"sub": nil, "client_id": "robot"}, false},
	{"neither sub nor jti", claims{"sub": nil, "client_id": "robot", "jti": nil}, false},
}

// TOK-22, AS-05: a machine's token is good for what its scopes and roles say, and for no more; what it lacks
// it is told as anybody is.
func TestTOK22_AMachineGoesTheWayOfAll(t *testing.T) {
	for _, form := range doors {
		for _, stateless := range []bool{true, false} {
			t.Run(fmt.Sprint(form.name, ", stateless ", stateless), func(t *testing.T) {
				d := openDoor(t, form.opaque, form.bound, stateless, nil)
				for _, machine := range machines {
					base := d.issue(machine.claims, claims{"scope": "mcp:read"})
					session := d.open(t, base)
					require.Equal(t, stateless, session == "")

					got := told(t, d.try(call("whoami"), base, session))
					require.NotEmpty(t, got.ID)
					got.ID = ""
					require.Equal(t, caller{Subject: "robot", Client: "robot", Scheme: d.scheme, Application: machine.application, Scopes: []string{"mcp:read"}}, got, machine.name)

					// CH-07, CH-08, CH-21: a step-up, of which the client does the rest without a user.
					w := d.try(call("write"), base, session)
					require.Equal(t, http.StatusForbidden, w.Code, machine.name)
					require.Equal(t, writeStepUp(form.bound), w.Header()["Www-Authenticate"], machine.name)
					require.Equal(t, mcpauth.ReasonInsufficientScope, d.last.Reason)
					require.Equal(t, "robot", d.last.Principal.ClientID())

					// CH-23: a role that no token of its will have.
					w = d.try(call("purge"), base, session)
					require.Equal(t, http.StatusForbidden, w.Code, machine.name)
					require.NotContains(t, w.Header(), "Www-Authenticate", machine.name)
					require.Equal(t, "purge hidden, write shown", d.listed(t, base, session), machine.name)

					more := d.issue(machine.claims, claims{"scope": "mcp:read files:write", "roles": []string{"admin"}})
					require.Equal(t, []string{"mcp:read", "files:write"}, told(t, d.try(call("write"), more, session)).Scopes, machine.name)
					require.Equal(t, []string{"admin"}, told(t, d.try(call("purge"), more, session)).Roles, machine.name)
					require.Equal(t, "purge shown, write shown", d.listed(t, more, session), machine.name)

					// The scopes of BaseScopes are asked of it too.
					require.Equal(t, http.StatusForbidden, d.try(call("whoami"), d.issue(machine.claims, claims{"scope": "files:write"}), session).Code, machine.name)
				}
			})
		}
	}
}

// writeStepUp is the challenge of the tool write to a caller who has the base scope: all that is needed at once.
func writeStepUp(bound bool) []string {
	const code, description = `error="insufficient_scope", scope="mcp:read files:write", `, `, error_description="files:write is required for tool write"`
	lines := []string{"Bearer " + code + `resource_metadata="` + testPRM + `"` + description}
	if bound {
		lines = append(lines, "DPoP "+code+`algs="`+proofAlgs+`", resource_metadata="`+testPRM+`"`+description)
	}
	return lines
}

// listed says which of two tools a list shows.
func (d *door) listed(t testing.TB, token, session string) string {
	t.Helper()
	w := d.try(rpc("tools/list", nil), token, session)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), `"whoami"`)
	word := func(name string) string {
		if contains(w, `"`+name+`"`) {
			return name + " shown"
		}
		return name + " hidden"
	}
	return word("purge") + ", " + word("write")
}

// TOK-12, TOK-22: who nobody is, is not taken for the client.
func TestTOK22_AMachineThatIsNobody(t *testing.T) {
	null := (*string)(nil)
	for _, form := range doors {
		t.Run(form.name, func(t *testing.T) {
			d := openDoor(t, form.opaque, form.bound, true, func(cfg *mcpauth.Config) { cfg.Issuers[0].ClientIDs = []string{"robot"} })
			robot := claims{"sub": "robot", "client_id": "robot", "scope": "mcp:read"}
			require.Equal(t, http.StatusOK, d.try(call("whoami"), d.issue(robot), "").Code)
			for _, c := range []struct {
				name   string
				change claims
				reason mcpauth.Reason
			}{
				{"sub empty", claims{"sub": ""}, mcpauth.ReasonSubject},
				{"sub null", claims{"sub": null}, mcpauth.ReasonTokenMalformed},
				{"sub a number", claims{"sub": 7}, mcpauth.ReasonTokenMalformed},
				{"sub a list", claims{"sub": []string{"robot"}}, mcpauth.ReasonTokenMalformed},
				{"sub in other letters", claims{"sub": nil, "Sub": "robot"}, mcpauth.ReasonTokenMalformed},
				{"client_id empty", claims{"sub": nil, "client_id": ""}, mcpauth.ReasonTokenMalformed},
				{"client_id null", claims{"sub": nil, "client_id": null}, mcpauth.ReasonTokenMalformed},
				{"client_id a list", claims{"sub": nil, "client_id": []string{"robot"}}, mcpauth.ReasonTokenMalformed},
				{"neither", claims{"sub": nil, "client_id": nil}, mcpauth.ReasonSubject},
				{"a client that is not listed", claims{"sub": "other", "client_id": "other"}, mcpauth.ReasonClient},
				{"a sub that is a listed client", claims{"sub": "robot", "client_id": "other"}, mcpauth.ReasonClient},
				{"a sub alone that is a listed client", claims{"client_id": nil}, mcpauth.ReasonClient},
			} {
				w := d.try(call("whoami"), d.issue(robot, c.change), "")
				require.Equal(t, http.StatusUnauthorized, w.Code, c.name)
				require.Equal(t, c.reason, d.last.Reason, c.name)
				require.Contains(t, strings.Join(w.Header()["Www-Authenticate"], "\n"), `error="invalid_token"`, c.name)
			}
		})
	}
}

// TOK-12: RFC 9068, Section 2.2 requires sub of these tokens too: sub "SHOULD correspond to an identifier the
// authorization server uses to indicate the client application".
func TestTOK12_StrictMachines(t *testing.T) {
	for _, form := range doors {
		t.Run(form.name, func(t *testing.T) {
			d := openDoor(t, form.opaque, form.bound, true, func(cfg *mcpauth.Config) { cfg.Issuers[0].Strict = true })
			whole := claims{"sub": "robot", "client_id": "robot", "scope": "mcp:read", "jti": "1", "iat": epoch.Unix()}
			got := told(t, d.try(call("whoami"), d.issue(whole), ""))
			require.True(t, got.Application)
			require.Equal(t, "robot", got.Subject)
			for _, name := range []string{"sub", "client_id", "iat", "jti"} {
				w := d.try(call("whoami"), d.issue(whole, claims{name: nil}, claims{"azp": "robot"}), "")
				require.Equal(t, http.StatusUnauthorized, w.Code, name)
				require.Equal(t, mcpauth.ReasonMissingClaim, d.last.Reason, name)
			}
		})
	}
}

// SEC-07, threats 70 and 71: a machine is nobody else, whatever the others are called, and has its sessions
// to itself.
func TestTOK22_AMachineIsNotTheUserOfItsName(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL}) })
	h := auth.Wrap(sdkHandler(newTelling(auth), false))
	machine := claims{"sub": "robot", "client_id": "robot"}
	others := []struct{ name, token string }{
		{"a user of its name", is.token(t, claims{"sub": "robot", "client_id": "web"})},
		{"a user in front of it", is.token(t, claims{"sub": "ada", "client_id": "robot"})},
		{"a user of its name, and a client that nobody names", is.token(t, claims{"sub": "robot", "client_id": nil})},
		{"another machine", is.token(t, claims{"sub": "robot2", "client_id": "robot2"})},
		{"a machine of its name at another issuer", other.token(t, machine)},
		{"a machine without sub that has another name", is.token(t, claims{"sub": nil, "client_id": "robot2"})},
		{"names with another border between them", is.token(t, claims{"sub": "robotr", "client_id": "obot"})},
		{"the same for a machine without sub", is.token(t, claims{"sub": "rob", "client_id": "ot"})},
	}
	for _, form := range []claims{machine, {"sub": nil, "client_id": "robot"}} {
		owner := is.token(t, form)
		id := openSession(t, h, owner)
		me := principalOf(t, auth, owner)
		for _, o := range others {
			require.NotEqual(t, me.ID(), principalOf(t, auth, o.token).ID(), o.name)
			for _, body := range []string{call("whoami"), rpc("tools/list", nil)} {
				w := serve(h, inSession(id, post(body, o.token)))
				require.Equal(t, http.StatusForbidden, w.Code, o.name)
				require.NotContains(t, w.Header(), "Www-Authenticate", o.name)
			}
			w := serve(h, inSession(openSession(t, h, o.token), post(call("whoami"), owner)))
			require.Equal(t, http.StatusForbidden, w.Code, "the other way round: %s", o.name)
		}
		// A new token of the same machine, which has no refresh token (RFC 6749, Section 4.4.3), goes on.
		again := told(t, serve(h, inSession(id, post(call("whoami"), is.token(t, form, claims{"jti": "2", "scope": "x"})))))
		require.Equal(t, me.ID(), again.ID)
		require.Equal(t, []string{"x"}, again.Scopes)
	}
	require.False(t, facts(principalOf(t, auth, others[0].token)).Application)
	require.False(t, facts(principalOf(t, auth, others[1].token)).Application)
}

// RFC 8707, ext-auth ("resource" in the token requests of oauth-client-credentials), TOK-07: the resource that
// was asked for stands in aud, and a token for another one is none for this one, whatever else it says.
func TestTOK22_AMachinesTokenForAnotherResource(t *testing.T) {
	requireOtherResourcesRefused(t, claims{"sub": "robot", "client_id": "robot", "scope": "mcp:read files:write", "roles": []string{"admin"}})
}

// requireOtherResourcesRefused is for tokens of any grant.
func requireOtherResourcesRefused(t *testing.T, who claims) {
	t.Helper()
	for _, form := range doors {
		t.Run(form.name, func(t *testing.T) {
			d := openDoor(t, form.opaque, form.bound, true, nil)
			for _, good := range []any{testResource, []string{testResource}, []string{"https://other.example/mcp", testResource}} {
				require.Equal(t, http.StatusOK, d.try(call("write"), d.issue(who, claims{"aud": good}), "").Code, "%v", good)
			}
			for _, c := range []struct {
				name   string
				change claims
				reason mcpauth.Reason
			}{
				{"another resource", claims{"aud": "https://other.example/mcp"}, mcpauth.ReasonAudience},
				{"another path", claims{"aud": testResource + "2"}, mcpauth.ReasonAudience},
				{"the host alone", claims{"aud": "https://mcp.example.com"}, mcpauth.ReasonAudience},
				{"the client, where resource was ignored", claims{"aud": who["client_id"]}, mcpauth.ReasonAudience},
				{"the authorization server", claims{"aud": d.is.URL}, mcpauth.ReasonAudience},
				{"none", claims{"aud": nil}, mcpauth.ReasonNoAudience},
				{"an empty list", claims{"aud": []string{}}, mcpauth.ReasonNoAudience},
				{"resource as a claim is not aud", claims{"aud": d.is.URL, "resource": testResource}, mcpauth.ReasonAudience},
				{"nor where there is no aud", claims{"aud": nil, "resource": testResource, "audience": testResource}, mcpauth.ReasonNoAudience},
			} {
				for _, tool := range []string{"whoami", "write"} {
					require.Equal(t, http.StatusUnauthorized, d.try(call(tool), d.issue(who, c.change), "").Code, c.name)
					require.Equal(t, c.reason, d.last.Reason, c.name)
				}
			}
			sole := openDoor(t, form.opaque, form.bound, true, func(cfg *mcpauth.Config) { cfg.Issuers[0].SoleAudience = true })
			require.Equal(t, http.StatusOK, sole.try(call("write"), sole.issue(who), "").Code)
			require.Equal(t, http.StatusUnauthorized, sole.try(call("write"), sole.issue(who, claims{"aud": []string{testResource, "https://other.example/mcp"}}), "").Code)
		})
	}
}

// typed is is.token under another typ; nil leaves it out.
func typed(t testing.TB, is *testIssuer, typ any, changes ...claims) string {
	t.Helper()
	payload := strings.Split(is.token(t, changes...), ".")[1]
	header := claims{"alg": "ES256", "kid": is.kid}
	setMember(header, "typ", typ)
	signed := base64.RawURLEncoding.EncodeToString(must(json.Marshal(header))) + "." + payload
	signature, err := jwt.SigningMethodES256.Sign(signed, is.key)
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
