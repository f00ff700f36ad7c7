package doctor_test

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// A broken server is one deliberate mistake, and the finding that must name it.
type broken struct {
	name    string
	change  func(*world)
	options func(*world) doctor.Options
	want    string // step/cause
	status  doctor.Status
	symptom doctor.Symptom // empty: not compared
	cure    string         // words that name the cause
	clients []string       // some who stumble
}

func answer(status int, header ...string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Add(header[i], header[i+1])
			}
			w.WriteHeader(status)
		})
	}
}

// only answers some requests and passes the others on.
func only(when func(*http.Request) bool, do func(http.ResponseWriter, *http.Request, http.Handler)) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if when(r) {
				do(w, r, h)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

func method(names ...string) func(*http.Request) bool {
	return func(r *http.Request) bool { return slices.Contains(names, r.Method) }
}

func status(n int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(n) }
}

// without passes a request on and takes header fields out of the answer.
func without(names ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, h http.Handler) {
		h.ServeHTTP(stripped{w, names}, r)
	}
}

type stripped struct {
	http.ResponseWriter
	names []string
}

func (s stripped) WriteHeader(status int) {
	for _, name := range s.names {
		s.Header().Del(name)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s stripped) Write(p []byte) (int, error) {
	for _, name := range s.names {
		s.Header().Del(name)
	}
	return s.ResponseWriter.Write(p)
}

func everything(*http.Request) bool { return true }

func aPage(*world) doctor.Options { return doctor.Options{Origin: "https://app.example.com"} }

func aClient(*world) doctor.Options {
	return doctor.Options{ClientID: "app", RedirectURI: "http://127.0.0.1:3000/callback"}
}

func tokenWith(change members) func(*world) doctor.Options {
	return func(w *world) doctor.Options { return doctor.Options{Token: w.mint(change)} }
}

const wellKnown = "/.well-known/oauth-protected-resource/mcp"

func (w *world) challengeWith(rest string) {
	w.challenge = []string{`Bearer resource_metadata="` + w.mcp.URL + wellKnown + `"` + rest}
}

var brokenServers = []broken{
	// The client never opens the browser: what is wrong before the login.
	{name: "open to everybody", change: func(w *world) { w.endpoint = answer(200) },
		want: "connect/open", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "without a token, so no client ever begins a login"},
	{name: "a login page", change: func(w *world) { w.endpoint = answer(302, "Location", "/login?next=/mcp") },
		want: "connect/login-page", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "redirect to a page for people"},
	{name: "a router that wants the slash", change: func(w *world) { w.endpoint = answer(307, "Location", "/mcp/") },
		want: "connect/slash-redirect", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "slash at the end"},
	{name: "404 before 401", change: func(w *world) { w.endpoint = answer(404) },
		want: "connect/not-found", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "401 before 404"},
	{name: "403 without a token", change: func(w *world) { w.endpoint = answer(403) },
		want: "connect/403-instead-of-401", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "answer 401, not 403"},
	{name: "a proxy that sends its own name as Host", change: func(w *world) { w.endpoint = answer(403) },
		want: "connect/403-instead-of-401", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "pass on the public host name"},
	{name: "400 without a token", change: func(w *world) { w.endpoint = answer(400) },
		want: "connect/before-401", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "answer 401 first"},
	{name: "500 without a token", change: func(w *world) { w.endpoint = answer(500) },
		want: "connect/server-error", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "see the log"},
	{name: "405 before 401", change: func(w *world) { w.endpoint = only(method("GET", "DELETE"), status(405)) },
		want: "methods/before-401", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "answers 405 before the check", clients: []string{"mcp-remote", "Claude Desktop"}},
	{name: "a stream that is open", change: func(w *world) { w.endpoint = only(method("GET"), status(200)) },
		want: "methods/open", status: doctor.Fail, cure: "this way around the check is open"},
	{name: "any token will do", change: func(w *world) {
		w.endpoint = only(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }, status(200))
	}, want: "bad-token/accepts-anything", status: doctor.Fail, cure: "lets any string in"},
	{name: "500 for a bad token", change: func(w *world) {
		w.endpoint = only(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }, status(500))
	}, want: "bad-token/wrong-status", status: doctor.Fail, symptom: doctor.Refused, cure: "answer 401"},

	// Challenges.
	{name: "no challenge", change: func(w *world) { w.challenge = nil },
		want: "challenge/missing", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "send WWW-Authenticate"},
	{name: "a challenge on POST only", change: func(w *world) { w.endpoint = only(method("GET", "DELETE"), status(401)) },
		want: "challenge/post-only", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "on every method", clients: []string{"mcp-remote"}},
	{name: "a relative URL", change: func(w *world) { w.challenge = []string{`Bearer resource_metadata="` + wellKnown + `"`} },
		want: "challenge/relative-resource-metadata", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "absolute URL", clients: []string{"Go SDK", "TypeScript SDK"}},
	{name: "an http URL behind a proxy", change: func(w *world) {
		w.challenge = []string{`Bearer resource_metadata="http://mcp.example.com` + wellKnown + `"`}
	}, want: "challenge/http-resource-metadata", status: doctor.Fail, cure: "behind a proxy"},
	{name: "an internal host", change: func(w *world) {
		w.challenge = []string{`Bearer resource_metadata="https://mcp.internal` + wellKnown + `"`}
	}, want: "challenge/foreign-resource-metadata", status: doctor.Fail, cure: "internal host name"},
	{name: "no resource_metadata", change: func(w *world) { w.challenge = []string{`Bearer realm="x"`} },
		want: "challenge/no-resource-metadata", status: doctor.Fail, cure: "add resource_metadata", clients: []string{"Claude Desktop"}},
	{name: "two challenges in one line", change: func(w *world) { w.challengeWith(`, scope="notes:read", DPoP algs="ES256"`) },
		want: "challenge/joined", status: doctor.Warn, cure: "one header line for each challenge", clients: []string{"TypeScript SDK"}},
	{name: "DPoP first", change: func(w *world) {
		w.challengeWith("")
		w.challenge = append([]string{`DPoP algs="ES256"`}, w.challenge...)
	},
		want: "challenge/bearer-not-first", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "Bearer challenge first", clients: []string{"mcp-remote"}},
	{name: "quotes in a description", change: func(w *world) {
		w.after = []string{`Bearer error="invalid_token", error_description="the claim \"aud\" is wrong", resource_metadata="` + w.mcp.URL + wellKnown + `"`}
	}, want: "challenge/escaped-quotes", status: doctor.Warn, cure: "quotes and backslashes out of error_description", clients: []string{"TypeScript SDK"}},
	{name: "bare quotes in a description", change: func(w *world) {
		w.after = []string{`Bearer error="invalid_token", error_description="the claim "aud" is wrong"`}
	}, want: "challenge/malformed", status: doctor.Fail, cure: "values in quotes, without quotes", clients: []string{"Go SDK", "VS Code"}},
	{name: "a parameter inside a description", change: func(w *world) {
		w.challenge = []string{`Bearer error_description="use resource_metadata=/x", resource_metadata="` + w.mcp.URL + wellKnown + `"`}
	}, want: "challenge/read-differently", status: doctor.Fail, cure: "take the first match", clients: []string{"MCP Inspector"}},
	{name: "Basic only", change: func(w *world) { w.challenge = []string{`Basic realm="staff"`} },
		want: "challenge/no-bearer", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "offer Bearer"},
	{name: "an error without a token", change: func(w *world) { w.challengeWith(`, error="invalid_token"`) },
		want: "challenge/error-without-token", status: doctor.Warn, cure: "leave error"},
	{name: "no challenge for a bad token", change: func(w *world) { w.after = nil },
		want: "challenge/missing-after-token", status: doctor.Fail, symptom: doctor.Refused, cure: "invalid_token"},
	{name: "DPoP only", change: func(w *world) {
		w.challenge = []string{`DPoP algs="ES256", resource_metadata="` + w.mcp.URL + wellKnown + `"`}
	}, want: "challenge/dpop-only", status: doctor.Warn, cure: "accept bearer tokens", clients: []string{"VS Code"}},

	// Metadata.
	{name: "metadata 404 at the path form", change: func(w *world) {
		w.challenge = []string{`Bearer realm="x"`}
		w.document = only(func(r *http.Request) bool { return r.URL.Path == wellKnown }, status(404))
	}, want: "metadata/not-found", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "publish the metadata here", clients: []string{"Cursor", "Grok"}},
	{name: "no root form", change: func(w *world) { w.root = false },
		want: "metadata/not-found", status: doctor.Warn, cure: "Config.RootMetadata", clients: []string{"ChatGPT"}},
	{name: "metadata behind the check", change: func(w *world) { w.document = answer(401) },
		want: "metadata/needs-token", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "without a token"},
	{name: "a page for every path", change: func(w *world) { w.document = answer(200, "Content-Type", "text/html") },
		want: "metadata/not-json", status: doctor.Fail, cure: "answers every path"},
	{name: "metadata elsewhere", change: func(w *world) { w.document = answer(302, "Location", "https://elsewhere.example.com/") },
		want: "metadata/redirect", status: doctor.Fail, cure: "at this URL itself"},
	{name: "metadata as text", change: func(w *world) {
		w.document = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if !cors(rw, r) {
					writeJSON(contentType{rw}, w.metadata)
				}
			})
		}
	}, want: "metadata/media-type", status: doctor.Warn, cure: "application/json"},

	// resource.
	{name: "resource with a slash", change: func(w *world) { w.metadata["resource"] = w.resource + "/" },
		want: "resource/slash", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "byte for byte", clients: []string{"VS Code", "TypeScript SDK"}},
	{name: "resource of another host", change: func(w *world) { w.metadata["resource"] = "http://internal:8080/mcp" },
		want: "resource/host", status: doctor.Fail, cure: "internal host name", clients: []string{"Go SDK", "mcp-remote"}},
	{name: "resource of another path", change: func(w *world) { w.metadata["resource"] = w.mcp.URL + "/other" },
		want: "resource/path", status: doctor.Fail, cure: "byte for byte", clients: []string{"Claude Desktop"}},
	{name: "the origin as resource", change: func(w *world) { w.metadata["resource"] = w.mcp.URL },
		want: "resource/origin", status: doctor.Fail, cure: "byte for byte", clients: []string{"Go SDK", "VS Code", "Claude Desktop", "Grok"}},
	{name: "https for http", change: func(w *world) { w.metadata["resource"] = "https" + strings.TrimPrefix(w.resource, "http") },
		want: "resource/scheme", status: doctor.Fail, cure: "use that URL, here and in clients"},
	{name: "localhost for 127.0.0.1", change: func(w *world) {
		w.metadata["resource"] = strings.Replace(w.resource, "127.0.0.1", "localhost", 1)
	}, want: "resource/host", status: doctor.Fail, cure: "two names to clients and in aud", clients: []string{"Go SDK"}},
	{name: "no metadata anywhere", change: func(w *world) { w.document = answer(404) },
		want: "metadata/not-found", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "Metadata at MetadataPath"},
	{name: "no resource", change: func(w *world) { delete(w.metadata, "resource") },
		want: "resource/missing", status: doctor.Fail, cure: "add the member resource"},

	// Authorization servers of the metadata, and scopes.
	{name: "no authorization server", change: func(w *world) { w.metadata["authorization_servers"] = []string{} },
		want: "authorization-servers/empty", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "list the issuer"},
	{name: "the URL of metadata for an issuer", change: func(w *world) {
		w.metadata["authorization_servers"] = []string{w.issuer + "/.well-known/oauth-authorization-server"}
	}, want: "authorization-servers/metadata-url", status: doctor.Fail, cure: "this is the URL of metadata"},
	{name: "an http issuer", change: func(w *world) { w.metadata["authorization_servers"] = []string{"http://as.example.com"} },
		want: "authorization-servers/not-usable", status: doctor.Fail, cure: "https"},
	{name: "offline_access", change: func(w *world) { w.metadata["scopes_supported"] = []string{"notes:read", "offline_access"} },
		want: "scopes/offline-access", status: doctor.Warn, cure: "take offline_access out", clients: []string{"VS Code", "Cursor"}},
	{name: "a catalogue of scopes", change: func(w *world) {
		var many []string
		for i := range 40 {
			many = append(many, "s"+strings.Repeat("x", i))
		}
		w.metadata["scopes_supported"] = many
	}, want: "scopes/many-scopes", status: doctor.Warn, cure: "first login needs"},
	{name: "scopes nowhere", change: func(w *world) {
		w.challengeWith("")
		delete(w.metadata, "scopes_supported")
	}, want: "scopes/none-named", status: doctor.Warn, cure: "Config.BaseScopes"},
	{name: "empty scopes", change: func(w *world) {
		w.challengeWith(`, scope=""`)
		w.metadata["scopes_supported"] = []string{}
	}, want: "scopes/none-named", status: doctor.Warn, cure: "scopes_supported"},

	// Pages.
	{name: "no CORS on the 401", options: aPage, change: func(w *world) { w.endpoint = only(method("POST"), without("Access-Control-Allow-Origin")) },
		want: "cors/no-cors-on-401", status: doctor.Fail, cure: "in front of the check of the token"},
	{name: "no CORS on the 401, nobody asked", change: func(w *world) { w.endpoint = only(method("POST"), without("Access-Control-Allow-Origin")) },
		want: "cors/no-cors-on-401", status: doctor.Warn, cure: "in front of the check of the token", clients: []string{"MCP Inspector"}},
	{name: "challenge not exposed", options: aPage, change: func(w *world) { w.endpoint = only(everything, without("Access-Control-Expose-Headers")) },
		want: "cors/not-exposed", status: doctor.Fail, cure: "Access-Control-Expose-Headers: WWW-Authenticate"},
	{name: "preflight needs a token", options: aPage, change: func(w *world) { w.endpoint = only(method("OPTIONS"), status(401)) },
		want: "cors/preflight-401", status: doctor.Fail, cure: "before the check of the token"},
	{name: "preflight without headers", options: aPage, change: func(w *world) {
		w.endpoint = only(method("OPTIONS"), without("Access-Control-Allow-Headers"))
	}, want: "cors/preflight", status: doctor.Fail, cure: "Access-Control-Allow-Headers"},
	{name: "preflight with a wildcard", options: aPage, change: func(w *world) {
		w.endpoint = only(method("OPTIONS"), func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
			rw.Header().Set("Access-Control-Allow-Origin", "*")
			rw.Header().Set("Access-Control-Allow-Headers", "*")
		})
	}, want: "cors/preflight", status: doctor.Fail, cure: "authorization"},
	{name: "origins refused", options: aPage, change: func(w *world) {
		w.endpoint = only(func(r *http.Request) bool { return r.Header.Get("Origin") != "" }, status(403))
	}, want: "cors/origin-refused", status: doctor.Fail, cure: "list the origin"},
	{name: "no CORS on metadata", options: aPage, change: func(w *world) { w.document = only(method("GET"), without("Access-Control-Allow-Origin")) },
		want: "cors/metadata", status: doctor.Fail, cure: "every origin read the metadata"},
	{name: "no preflight of metadata", options: aPage, change: func(w *world) { w.document = only(method("OPTIONS"), status(405)) },
		want: "cors/metadata-preflight", status: doctor.Fail, cure: "preflight"},

	// The authorization server.
	{name: "no metadata of the authorization server", change: func(w *world) { w.forms = nil },
		want: "as-metadata/missing", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "well-known places"},
	{name: "metadata out of reach of pages", change: func(w *world) { w.asAround = only(everything, without("Access-Control-Allow-Origin")) },
		want: "as-metadata/cors", status: doctor.Warn, cure: "every origin", clients: []string{"MCP Inspector"}},
	{name: "metadata where no specification has it", change: func(w *world) {
		w.move("/tenant")
		w.forms = []string{"/tenant/.well-known/oauth-authorization-server"}
	}, want: "as-metadata/place", status: doctor.Fail, cure: "RFC 8414 form"},
	{name: "an issuer with a slash", change: func(w *world) { w.server["issuer"] = w.issuer + "/" },
		want: "as-issuer/slash", status: doctor.Fail, cure: "trailing slash"},
	{name: "another issuer", change: func(w *world) { w.server["issuer"] = "https://other.example.com" },
		want: "as-issuer/mismatch", status: doctor.Fail, cure: "exactly"},
	{name: "no PKCE announced", change: func(w *world) { delete(w.server, "code_challenge_methods_supported") },
		want: "as-pkce/not-announced", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "code_challenge_methods_supported"},
	{name: "plain PKCE", change: func(w *world) { w.server["code_challenge_methods_supported"] = []string{"plain"} },
		want: "as-pkce/no-s256", status: doctor.Fail, cure: "S256"},
	{name: "no way to register", change: func(w *world) {
		delete(w.server, "registration_endpoint")
		delete(w.server, "client_id_metadata_document_supported")
	}, want: "as-registration/none", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "client ID metadata documents or dynamic registration"},
	{name: "registration out of reach of pages", change: func(w *world) {
		delete(w.server, "client_id_metadata_document_supported")
		w.asAround = only(func(r *http.Request) bool { return r.URL.Path == "/register" }, status(404))
	}, want: "as-registration/cors", status: doctor.Warn, cure: "CORS", clients: []string{"MCP Inspector"}},
	{name: "confidential clients only", change: func(w *world) {
		delete(w.server, "client_id_metadata_document_supported")
		w.server["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic"}
	}, want: "as-registration/no-public-clients", status: doctor.Warn, cure: "public clients"},
	{name: "scopes that the server does not know", change: func(w *world) { w.server["scopes_supported"] = []string{"openid"} },
		want: "as-registration/unknown-scopes", status: doctor.Warn, cure: "invalid_scope"},
	{name: "endpoints without TLS", change: func(w *world) { w.server["token_endpoint"] = "http://as.example.com/token" },
		want: "as-metadata/endpoints", status: doctor.Fail, cure: "https"},

	// invalid_target.
	{name: "a resource that is not registered", change: func(w *world) { w.server["protected_resources"] = []string{"https://other.example.com/mcp"} },
		want: "as-resource/not-registered", status: doctor.Fail, symptom: doctor.InvalidTarget, cure: "register the resource"},
	{name: "a server that refuses the resource", options: aClient, change: func(w *world) {
		w.authorize(func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, r.URL.Query().Get("redirect_uri")+"?error=invalid_target&state=x", http.StatusFound)
		})
	}, want: "as-redirect/target", status: doctor.Fail, symptom: doctor.InvalidTarget, cure: "register the resource"},
	{name: "Entra and the resource", options: aClient, change: func(w *world) {
		w.authorize(func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write([]byte("<p>AADSTS9010010: The resource parameter"))
		})
	}, want: "as-redirect/target", status: doctor.Fail, symptom: doctor.InvalidTarget, cure: "register the resource"},

	// Redirects.
	{name: "a redirect that is not registered", options: aClient, change: func(w *world) {
		w.authorize(func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "Invalid parameter: redirect_uri", 400) })
	}, want: "as-redirect/redirect", status: doctor.Fail, symptom: doctor.RedirectMismatch, cure: "register this redirect URI"},
	{name: "a redirect to an error page", options: aClient, change: func(w *world) {
		w.authorize(func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/error?error=redirect_mismatch", http.StatusFound)
		})
	}, want: "as-redirect/redirect", status: doctor.Fail, symptom: doctor.RedirectMismatch, cure: "register this redirect URI"},
	{name: "one port only", options: aClient, change: func(w *world) {
		w.authorize(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Query().Get("redirect_uri"), ":3000/") {
				http.Error(rw, "redirect_uri", 400)
			}
		})
	}, want: "as-redirect/fixed-port", status: doctor.Warn, symptom: doctor.RedirectMismatch, cure: "ignore the port", clients: []string{"VS Code"}},
	{name: "an unknown client", options: aClient, change: func(w *world) {
		w.authorize(func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		})
	}, want: "as-redirect/client", status: doctor.Fail, symptom: doctor.NoBrowser, cure: "does not know the client id"},

	// Keys.
	{name: "no keys", change: func(w *world) { w.keys = members{"keys": []any{}} },
		want: "keys/empty", status: doctor.Fail, symptom: doctor.Refused, cure: "the key set is empty"},
	{name: "keys out of reach", change: func(w *world) { w.server["jwks_uri"] = w.issuer + "/nowhere" },
		want: "keys/unreachable", status: doctor.Fail, symptom: doctor.Refused, cure: "answer 200"},
	{name: "shared secrets only", change: func(w *world) {
		w.keys = members{"keys": []any{members{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}}}
	},
		want: "keys/symmetric", status: doctor.Fail, symptom: doctor.Refused, cure: "symmetric keys only"},
	{name: "a shared secret beside keys", change: func(w *world) {
		w.keys = members{"keys": []any{members{"kty": "oct", "k": "c2VjcmV0"}, publicJWK(w.key, "k1")}}
	}, want: "keys/symmetric", status: doctor.Warn, cure: "for everybody to read"},
	{name: "a short RSA key", change: func(w *world) { w.keys = members{"keys": []any{shortRSA()}} },
		want: "keys/weak", status: doctor.Fail, symptom: doctor.Refused, cure: "2048 bits"},
	{name: "a private key", change: func(w *world) {
		w.keys = members{"keys": []any{with(publicJWK(w.key, "k1"), members{"d": "c2VjcmV0"})}}
	}, want: "keys/private", status: doctor.Fail, cure: "replace that key now"},
	{name: "no jwks_uri", change: func(w *world) { delete(w.server, "jwks_uri") },
		want: "keys/no-jwks-uri", status: doctor.Warn, cure: "introspection"},

	// Clocks.
	{name: "a clock ten minutes ahead", change: func(w *world) {
		w.endpoint = only(everything, func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			rw.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			h.ServeHTTP(rw, r)
		})
	}, want: "clock/skew", status: doctor.Fail, symptom: doctor.Refused, cure: "synchronize the clocks"},
	{name: "an authorization server a minute behind", change: func(w *world) {
		w.asAround = only(everything, func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
			rw.Header().Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
			h.ServeHTTP(rw, r)
		})
	}, want: "clock/skew", status: doctor.Warn, symptom: doctor.Refused, cure: "synchronize the clocks"},

	// DPoP.
	{name: "DPoP required and not to be had", change: func(w *world) {
		w.challenge = []string{`DPoP algs="ES256", resource_metadata="` + w.mcp.URL + wellKnown + `"`}
		w.metadata["dpop_signing_alg_values_supported"], w.metadata["dpop_bound_access_tokens_required"] = []string{"ES256"}, true
	}, want: "dpop/not-at-server", status: doctor.Fail, symptom: doctor.Refused, cure: "turn on DPoP at the authorization server"},
	{name: "two lists of algorithms", change: func(w *world) {
		w.challenge = append(w.challenge, `DPoP algs="ES256", resource_metadata="`+w.mcp.URL+wellKnown+`", scope="notes:read"`)
		w.metadata["dpop_signing_alg_values_supported"], w.metadata["dpop_bound_access_tokens_required"] = []string{"EdDSA"}, false
	}, want: "dpop/algorithms", status: doctor.Warn, cure: "the same algorithms"},
}

// move puts the authorization server under a path.
func (w *world) move(path string) {
	w.issuer += path
	w.server["issuer"] = w.issuer
	w.metadata["authorization_servers"] = []string{w.issuer}
}

func (w *world) authorize(h http.HandlerFunc) {
	w.asAround = only(func(r *http.Request) bool { return r.URL.Path == "/authorize" }, func(rw http.ResponseWriter, r *http.Request, _ http.Handler) { h(rw, r) })
}

// contentType is a careless server's.
type contentType struct{ http.ResponseWriter }

func (c contentType) Write(p []byte) (int, error) {
	c.Header().Set("Content-Type", "text/plain")
	return c.ResponseWriter.Write(p)
}

func shortRSA() members {
	// 1024 bits; no key is needed, only the shape of one.
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	n.SetBit(n, 0, 1)
	return members{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(n.Bytes()), "e": "AQAB"}
}

func TestBrokenServers(t *testing.T) { testBroken(t, brokenServers) }

func testBroken(t *testing.T, all []broken) {
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.change(w)
			var opt doctor.Options
			if tt.options != nil {
				opt = tt.options(w)
			}
			r := w.run(opt)
			f := find(t, r, tt.want)
			i := slices.IndexFunc(r.Findings, func(f doctor.Finding) bool { return f.ID() == tt.want && f.Status == tt.status })
			require.GreaterOrEqual(t, i, 0, "status: %s", f.Status)
			f = r.Findings[i]
			require.Contains(t, f.Cure, tt.cure)
			if tt.symptom != "" {
				require.Equal(t, tt.symptom, f.Symptom)
			}
			require.Subset(t, append(f.Clients, "x"), append(tt.clients, "x"))
			require.True(t, tt.status != doctor.Fail || !r.OK(), r.String())
			require.NotContains(t, r.String(), "\x1b")
		})
	}
}
