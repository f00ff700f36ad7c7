package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// leaks reports the pieces of a secret that a text holds.
func leaks(text, secret string) (found []string) {
	const piece = 12
	bare := strings.NewReplacer(`\`, "", `"`, "", "'", "") // quoting must not hide it from this search
	text, secret = bare.Replace(text), bare.Replace(secret)
	for i := 0; i+piece <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+piece]) {
			found = append(found, secret[i:i+piece])
		}
	}
	return found
}

func everyWord(t *testing.T, r *doctor.Report) string {
	t.Helper()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var colour strings.Builder
	require.NoError(t, r.WriteTable(&colour, true))
	// The table breaks long words, so it is searched without white space, too.
	return string(text) + r.String() + strings.Join(strings.Fields(colour.String()), "")
}

// SEC-02: whatever a server sends back, and wherever, nothing secret is shown.
func TestSEC02_AServerThatEchoes(t *testing.T) {
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	const session, nonce, query = `S'E"S"S"I"O"N"-0"1"2"3"4"5"6"7"8"9"abc"def`, "nonce-NBVCXYASDFGHJKL", "key=query-QWERTZUIOPLKJH"
	for name, opaque := range map[string]string{"a JWT": "", "an opaque token": "opaque-0123456789-SECRET", "a short one": "hunter2hunter2"} {
		for _, bound := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", bound: ", bound), func(t *testing.T) {
				w := newWorld(t)
				secrets := []string{session, nonce, query, "ada-SUBJECT"}
				echo := func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
					sent := strings.TrimPrefix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "DPoP ") + " " + r.Header.Get("Dpop") + " " + session + " " + nonce + " " + r.URL.RawQuery
					if proof := r.Header.Get("Dpop"); proof != "" {
						secrets = append(secrets, proof)
					}
					rw.Header().Set("Mcp-Session-Id", session)
					rw.Header().Set("DPoP-Nonce", nonce)
					if r.Header.Get("Authorization") == "" {
						h.ServeHTTP(rw, r)
						return
					}
					rw.Header().Set("Content-Type", "application/json")
					switch body, _ := io.ReadAll(r.Body); {
					case strings.Contains(string(body), "initialize\""):
						_ = json.NewEncoder(rw).Encode(members{"id": 1, "result": members{"protocolVersion": sent}})
					case strings.Contains(string(body), "tools/list"):
						_ = json.NewEncoder(rw).Encode(members{"id": 1, "error": members{"code": 1, "message": r.URL.RawQuery + ", bad token " + sent + "."}})
					default:
						in := strings.ReplaceAll(sent, `"`, `\"`)
						rw.Header().Set("WWW-Authenticate", `Bearer error="`+in+`", error_description="no `+in+`!", scope="`+in+`"`)
						rw.Header().Set("Location", "/?token="+sent)
						rw.WriteHeader(403)
					}
				}
				w.endpoint = only(everything, echo)
				opt := doctor.Options{URL: w.resource + "?" + query, Token: opaque, Call: "whoami"}
				if opaque == "" {
					opt.Token = w.mint(nil)
				}
				secrets = append(secrets, opt.Token)
				if bound {
					opt.DPoPKey = key
				}
				text := everyWord(t, w.run(opt))
				require.Contains(t, text, "[secret]")
				for _, s := range secrets {
					require.Empty(t, leaks(text, s))
				}
			})
		}
	}
}

// The token goes to the MCP URL, and to nobody else, whatever answers say.
func TestTheTokenStaysOnItsWay(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/foreign" {
			stolen.Add(1) // a challenge must not send us to another origin either
		}
		if r.Header.Get("Authorization") != "" || r.Header.Get("Dpop") != "" {
			stolen.Add(1)
		}
	}))
	defer thief.Close()
	for name, change := range map[string]func(*world){
		"a redirect": func(w *world) {
			w.endpoint = only(func(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") }, func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(rw, r, thief.URL+"/mcp", http.StatusTemporaryRedirect)
			})
		},
		"metadata of another server": func(w *world) {
			w.challenge = []string{`Bearer resource_metadata="` + thief.URL + `/foreign"`}
			w.metadata["resource"], w.metadata["authorization_servers"] = thief.URL, []string{thief.URL}
		},
		"keys and endpoints elsewhere": func(w *world) { w.server["jwks_uri"], w.server["authorization_endpoint"] = thief.URL, thief.URL },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			w.run(doctor.Options{Token: w.mint(nil), Call: "whoami", ClientID: "app", RedirectURI: "http://127.0.0.1:1/x"})
			require.Zero(t, stolen.Load())
			for _, r := range w.seen {
				if r.URL.Path != "/mcp" {
					require.Empty(t, r.Header.Get("Authorization"), r.URL.Path)
				}
			}
		})
	}
}

func TestARedirectWithTheTokenIsAFinding(t *testing.T) {
	w := newWorld(t)
	w.endpoint = only(func(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") }, func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(rw, r, "/mcp/", http.StatusTemporaryRedirect)
	})
	f := find(t, w.run(doctor.Options{Token: w.mint(nil)}), "call-initialize/redirect")
	require.Equal(t, doctor.Fail, f.Status)
	require.Contains(t, f.Cure, "the token was not sent on")
}

func TestForeignTextIsSafeForTerminals(t *testing.T) {
	const evil = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b\r\nPASS  all is well\t\u00e9"
	w := newWorld(t)
	w.metadata["resource"], w.metadata["scopes_supported"] = evil, []string{evil, "\u00e9\u202e/notes"}
	w.challengeWith("")
	w.metadata["authorization_servers"] = []string{w.issuer, "https://" + evil}
	w.server["issuer"], w.server["code_challenge_methods_supported"], w.server["token_endpoint"] = evil, []string{evil}, evil
	w.server["protected_resources"] = []string{evil}
	r := w.run(doctor.Options{Token: w.mint(members{"iss": evil, "aud": evil, "scope": evil + " notes", "header:typ": evil, "header:kid": evil, "roles": []string{evil}, evil + "roles": []string{evil}})})
	require.Contains(t, find(t, r, "token-scopes/prefix").Cure, "/notes")
	for _, f := range r.Findings {
		for _, c := range f.Got + f.Cure {
			require.True(t, ' ' <= c && c <= '~', "%q", f.Got+f.Cure)
		}
		require.LessOrEqual(t, len(f.Got), 1300)
	}
	for _, line := range strings.Split(r.String(), "\n") {
		require.False(t, strings.HasPrefix(line, "PASS  all"), line)
		require.LessOrEqual(t, len(line), 80)
	}
}

func TestServersThatNeverEnd(t *testing.T) {
	endless := func(contentType, text string) func(http.Handler) http.Handler {
		return only(everything, func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
			rw.Header().Set("Content-Type", contentType)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, text); err != nil {
					return
				}
			}
		})
	}
	for name, change := range map[string]func(*world){
		"a body":              func(w *world) { w.document = endless("application/json", strings.Repeat(" ", 4096)) },
		"a stream of events":  func(w *world) { w.endpoint = endless("text/event-stream", "data: {\"x\":1}\n\n") },
		"one line of a field": func(w *world) { w.endpoint = endless("text/event-stream", strings.Repeat("x", 4096)) },
		"keys":                func(w *world) { w.asAround = endless("application/json", `{"keys":[{},`) },
		"many servers": func(w *world) {
			many := []string{}
			for i := range 5000 {
				many = append(many, fmt.Sprintf("%s/%d", w.issuer, i))
			}
			w.metadata["authorization_servers"] = many
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			r := w.run(doctor.Options{Token: w.mint(nil)})
			require.False(t, r.OK())
			require.LessOrEqual(t, r.Requests, 60)
		})
	}
}

func TestServersThatNeverAnswer(t *testing.T) {
	silent := &http.Client{Timeout: 20 * time.Millisecond, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})}
	r := examine(t, doctor.Options{URL: "https://mcp.example.com/mcp", HTTPClient: silent})
	require.Contains(t, find(t, r, "tls/timeout").Got, "no answer in time")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := doctor.Run(ctx, doctor.Options{URL: "https://mcp.example.com/mcp"})
	require.NoError(t, err)
	require.Zero(t, r.Requests)
	require.Equal(t, len(r.Findings)-1, r.Count(doctor.Skip))
	require.Equal(t, "connect/time-is-up", r.Findings[0].ID())
	require.False(t, r.OK(), "half an examination is none")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// SEC-04: a server on the internet cannot send the doctor to services of the computer that it runs on, nor to plain http.
func TestSEC04_TheServerDoesNotChooseLoopback(t *testing.T) {
	var asked []string
	respond := func(r *http.Request, status int, body string) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
	far := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Scheme+"://"+r.URL.Host)
		switch {
		case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
			return respond(r, 200, `{"resource":"https://mcp.example.com/mcp","authorization_servers":["https://as.example.com","http://127.0.0.1:8500","https://localhost"]}`), nil
		case r.URL.Host == "as.example.com":
			return respond(r, 200, `{"issuer":"https://as.example.com","jwks_uri":"https://[::1]/keys","authorization_endpoint":"http://as.example.com/a","token_endpoint":"https://127.0.0.1/t","registration_endpoint":"http://localhost/r"}`), nil
		}
		return respond(r, 401, ""), nil
	})}
	r := examine(t, doctor.Options{URL: "https://mcp.example.com/mcp", HTTPClient: far, ClientID: "a", RedirectURI: "https://app.example.com/"})
	require.False(t, r.OK())
	require.Contains(t, asked, "https://as.example.com")
	for _, host := range asked {
		require.Contains(t, []string{"https://mcp.example.com", "https://as.example.com"}, host)
	}
	require.Contains(t, find(t, r, "authorization-servers/not-usable").Cure, "https")
}

func TestPlainHTTPIsNotEvenTried(t *testing.T) {
	never := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})}
	r := examine(t, doctor.Options{URL: "http://mcp.example.com/mcp", Token: "opaque-0123456789", HTTPClient: never})
	require.False(t, r.OK())
	f := find(t, r, "tls/plain-http")
	require.Equal(t, doctor.Fail, f.Status)
	require.Contains(t, f.Cure, "https")
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(w.serveEndpoint))
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	r := examine(t, doctor.Options{URL: s.URL + "/mcp"})
	require.Contains(t, find(t, r, "tls/certificate-authority").Cure, "whole chain")
	require.Equal(t, 1, r.Requests)

	r = examine(t, doctor.Options{URL: s.URL + "/mcp", HTTPClient: s.Client()})
	require.Contains(t, find(t, r, "tls").Got, "TLS 1.3")

	named := s.Client()
	named.Transport.(*http.Transport).TLSClientConfig.ServerName = "other.test"
	r = examine(t, doctor.Options{URL: s.URL + "/mcp", HTTPClient: named})
	require.Contains(t, find(t, r, "tls/certificate-host").Cure, "for the name in the URL")

	plain := httptest.NewServer(http.HandlerFunc(w.serveEndpoint))
	defer plain.Close()
	r = examine(t, doctor.Options{URL: "https" + strings.TrimPrefix(plain.URL, "http") + "/mcp"})
	require.Contains(t, find(t, r, "tls/no-tls").Cure, "TLS in front")

	plain.Close()
	r = examine(t, doctor.Options{URL: plain.URL + "/mcp", Token: "opaque-0123456789"})
	require.Contains(t, find(t, r, "tls/refused").Cure, "see that the server runs")
	require.Equal(t, 1, r.Requests)
}
