package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

type members = map[string]any

// A world is an MCP server and its authorization server, both right, for a test to break in one place. It is written without this
// library: most servers that the doctor meets are, too.
type world struct {
	t        *testing.T
	mcp, as  *httptest.Server
	resource string
	issuer   string
	key      *ecdsa.PrivateKey

	challenge []string                             // WWW-Authenticate of a 401 without a token
	after     []string                             // and of one after a bad token
	endpoint  func(http.Handler) http.Handler      // around the endpoint
	metadata  members                              // of the resource
	document  func(http.Handler) http.Handler      // around the metadata
	root      bool                                 // metadata in the root form as well
	server    members                              // metadata of the authorization server
	forms     []string                             // where that is
	asAround  func(http.Handler) http.Handler      // around everything of the authorization server
	keys      any                                  // the key set
	accept    func(claims members, typ string) int // verdict on a token: a status
	forbid    []string                             // WWW-Authenticate of a 403
	tools     []string

	mu   sync.Mutex
	seen []*http.Request
}

const expose = "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id"

func newWorld(t *testing.T) *world {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	pass := func(h http.Handler) http.Handler { return h }
	w := &world{t: t, key: key, endpoint: pass, document: pass, asAround: pass, root: true, tools: []string{"whoami"}}
	w.mcp = httptest.NewServer(http.HandlerFunc(w.serveMCP))
	t.Cleanup(w.mcp.Close)
	w.as = httptest.NewServer(http.HandlerFunc(w.serveAS))
	t.Cleanup(w.as.Close)
	w.resource, w.issuer = w.mcp.URL+"/mcp", w.as.URL
	w.challenge = []string{`Bearer resource_metadata="` + w.mcp.URL + `/.well-known/oauth-protected-resource/mcp", scope="notes:read"`}
	w.after = []string{`Bearer error="invalid_token", error_description="The access token is not valid", resource_metadata="` + w.mcp.URL + `/.well-known/oauth-protected-resource/mcp", scope="notes:read"`}
	w.metadata = members{"resource": w.resource, "authorization_servers": []string{w.issuer}, "scopes_supported": []string{"notes:read"}, "bearer_methods_supported": []string{"header"}}
	w.server = members{
		"issuer": w.issuer, "authorization_endpoint": w.issuer + "/authorize", "token_endpoint": w.issuer + "/token", "jwks_uri": w.issuer + "/keys",
		"registration_endpoint": w.issuer + "/register", "code_challenge_methods_supported": []string{"S256"}, "response_types_supported": []string{"code"},
		"grant_types_supported": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_methods_supported": []string{"none"},
		"client_id_metadata_document_supported": true, "scopes_supported": []string{"notes:read", "notes:write"},
	}
	w.forms = []string{"/.well-known/oauth-authorization-server"}
	w.keys = members{"keys": []any{publicJWK(key, "k1")}}
	w.accept = func(c members, typ string) int {
		aud, _ := c["aud"].(string)
		exp, _ := c["exp"].(float64)
		if c["iss"] != w.issuer || aud != w.resource || typ != "at+jwt" || exp < float64(time.Now().Unix()) || c["cnf"] != nil {
			return http.StatusUnauthorized
		}
		return http.StatusOK
	}
	return w
}

func publicJWK(key *ecdsa.PrivateKey, kid string) members {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return members{"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": enc(point[1:33]), "y": enc(point[33:])}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// cors lets every page in, as a browser wants it.
func cors(w http.ResponseWriter, r *http.Request) (done bool) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", expose)
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	return false
}

func (w *world) serveMCP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.seen = append(w.seen, r.Clone(r.Context()))
	w.mu.Unlock()
	const prefix = "/.well-known/oauth-protected-resource"
	switch {
	case r.URL.Path == "/mcp":
		w.endpoint(http.HandlerFunc(w.serveEndpoint)).ServeHTTP(rw, r)
	case r.URL.Path == prefix+"/mcp", r.URL.Path == prefix && w.root:
		w.document(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !cors(rw, r) {
				writeJSON(rw, w.metadata)
			}
		})).ServeHTTP(rw, r)
	default:
		http.NotFound(rw, r)
	}
}

func (w *world) serveEndpoint(rw http.ResponseWriter, r *http.Request) {
	if cors(rw, r) {
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		refuse(rw, 401, w.challenge)
		return
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		refuse(rw, 401, w.after)
		return
	}
	var header, claims members
	for i, into := range []*members{&header, &claims} {
		text, _ := base64.RawURLEncoding.DecodeString(parts[i])
		_ = json.Unmarshal(text, into)
	}
	typ, _ := header["typ"].(string)
	switch status := w.accept(claims, typ); status {
	case 200:
	case 403:
		refuse(rw, 403, w.forbid)
		return
	default:
		refuse(rw, status, w.after)
		return
	}
	var call struct {
		ID     any    `json:"id"`
		Method string `json:"method"`
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &call)
	tools := []any{}
	for _, name := range w.tools {
		tools = append(tools, members{"name": name})
	}
	switch call.Method {
	case "initialize":
		writeJSON(rw, members{"jsonrpc": "2.0", "id": call.ID, "result": members{"protocolVersion": "2025-11-25", "capabilities": members{}, "serverInfo": members{"name": "x", "version": "1"}}})
	case "tools/list":
		writeJSON(rw, members{"jsonrpc": "2.0", "id": call.ID, "result": members{"tools": tools}})
	case "tools/call":
		writeJSON(rw, members{"jsonrpc": "2.0", "id": call.ID, "result": members{"content": []any{}}})
	default:
		rw.WriteHeader(http.StatusAccepted)
	}
}

func refuse(rw http.ResponseWriter, status int, lines []string) {
	for _, line := range lines {
		rw.Header().Add("WWW-Authenticate", line)
	}
	rw.WriteHeader(status)
}

func (w *world) serveAS(rw http.ResponseWriter, r *http.Request) {
	w.asAround(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/authorize" && cors(rw, r):
		case slices.Contains(w.forms, r.URL.Path):
			writeJSON(rw, w.server)
		case r.URL.Path == "/keys":
			writeJSON(rw, w.keys)
		case r.URL.Path == "/authorize":
			_, _ = io.WriteString(rw, "<html>Sign in</html>")
		default:
			http.NotFound(rw, r)
		}
	})).ServeHTTP(rw, r)
}

// mint makes a token with these claims beside the right ones; a nil value removes one. typ and alg can be changed by "header:typ" and the like.
func (w *world) mint(change members) string {
	now := time.Now().Unix()
	header := members{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
	claims := members{
		"iss": w.issuer, "aud": w.resource, "sub": "ada-SUBJECT", "client_id": "app", "jti": rand.Text(), "scope": "notes:read", "iat": now, "exp": now + 600,
	}
	for name, value := range change {
		into := claims
		if inner, ok := strings.CutPrefix(name, "header:"); ok {
			name, into = inner, header
		}
		if into[name] = value; value == nil {
			delete(into, name)
		}
	}
	part := func(m members) string {
		text, err := json.Marshal(m)
		require.NoError(w.t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, w.key, digest[:])
	require.NoError(w.t, err)
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (w *world) run(opt doctor.Options) *doctor.Report {
	w.t.Helper()
	if opt.URL == "" {
		opt.URL = w.resource
	}
	report, err := doctor.Run(w.t.Context(), opt)
	require.NoError(w.t, err)
	return report
}

// find returns the finding with this ID.
func find(t *testing.T, r *doctor.Report, id string) doctor.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.ID() == id {
			return f
		}
	}
	require.Fail(t, "no finding "+id, r.String())
	return doctor.Finding{}
}

func noFail(t *testing.T, r *doctor.Report) {
	t.Helper()
	require.True(t, r.OK(), r.String())
}

func with(base members, change members) members {
	out := maps.Clone(base)
	for name, value := range change {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

// stepUp refuses tools/call for want of a scope and passes everything else on.
func (w *world) stepUp(rw http.ResponseWriter, r *http.Request, h http.Handler) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if strings.Contains(string(body), `"tools/call"`) {
		refuse(rw, 403, []string{`Bearer error="insufficient_scope", scope="notes:read notes:write", resource_metadata="` + w.mcp.URL + wellKnown + `"`})
		return
	}
	h.ServeHTTP(rw, r)
}
