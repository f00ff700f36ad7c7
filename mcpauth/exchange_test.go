package mcpauth_test

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

var (
	parameter = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	fields    = strings.Fields
)

func contains(w *httptest.ResponseRecorder, text string) bool {
	return strings.Contains(w.Body.String(), text)
}

// An exchange is one request and what is expected of its answer.
type exchange struct{ request, response string }

// readExchanges reads a file in the txtar format: a comment that cites the clause, then sections
// "-- request --" and "-- response --" in pairs, and possibly a "-- config --" before them.
func readExchanges(t testing.TB, name string) (comment, config string, all []exchange) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	parts := regexp.MustCompile(`(?m)^-- ([a-z]+) --\n`).Split(string(data), -1)
	titles := regexp.MustCompile(`(?m)^-- ([a-z]+) --\n`).FindAllStringSubmatch(string(data), -1)
	for i, title := range titles {
		section := parts[i+1]
		switch title[1] {
		case "config":
			config = section
		case "request":
			all = append(all, exchange{request: section})
		case "response":
			require.NotEmpty(t, all, name)
			all[len(all)-1].response = section
		default:
			require.Fail(t, "unknown section", title[1])
		}
	}
	return parts[0], config, all
}

// configured turns the lines of a config section, "name: value", into a change of the Config.
func configured(t testing.TB, section string) (change func(*mcpauth.Config), stateful bool) {
	settings := map[string]string{}
	for line := range strings.Lines(section) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		require.True(t, ok, line)
		settings[name] = value
	}
	return func(cfg *mcpauth.Config) {
		for name, value := range settings {
			switch name {
			case "base":
				cfg.BaseScopes = fields(value)
			case "realm":
				cfg.Realm = value
			case "origins":
				cfg.Origins = fields(value)
			case "root":
				cfg.RootMetadata = value == "true"
			case "conceal":
				cfg.Conceal = value == "true"
			case "dpop":
				cfg.DPoP.Mode = map[string]mcpauth.DPoPMode{"optional": mcpauth.DPoPOptional, "required": mcpauth.DPoPRequired, "off": mcpauth.DPoPOff}[value]
			case "nonces":
				cfg.DPoP.Nonces = value == "true"
			case "sessions":
			default:
				require.Fail(t, "unknown setting", name)
			}
		}
	}, settings["sessions"] == "true"
}

var placeholder = regexp.MustCompile(`\{\{([a-z]+)([^}]*)\}\}`)

// TestExchanges sends each request of testdata/*.txtar over a connection and compares the answer: the
// status line, every header named (in full, with all its values in order; "Name: -" must be absent),
// and the body as JSON, or none at all where the section ends with the headers.
func TestExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	is := newIssuer(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			comment, config, exchanges := readExchanges(t, file)
			require.NotEmpty(t, strings.TrimSpace(comment), "name the clause")
			require.NotEmpty(t, exchanges)
			change, stateful := configured(t, config)
			auth, _ := newAuth(t, is, change)
			mux := http.NewServeMux()
			auth.Mount(mux, sdkHandler(newServer(auth), !stateful))
			server := httptest.NewServer(mux)
			defer server.Close()
			session, nonce, bound, k := "", "", "", newHolder(t, "")
			fill := func(text string) string {
				return placeholder.ReplaceAllStringFunc(text, func(m string) string {
					parts := placeholder.FindStringSubmatch(m)
					switch argument := strings.TrimSpace(parts[2]); parts[1] {
					case "token":
						return is.scoped(t, argument)
					case "admin":
						return is.token(t, claims{"roles": []string{"admin"}, "scope": argument})
					case "other":
						return is.token(t, claims{"sub": argument})
					case "expired":
						return is.token(t, claims{"exp": epoch.Add(-time.Hour).Unix()})
					case "audience":
						return is.token(t, claims{"aud": argument})
					case "bound":
						bound = k.bound(t, is, claims{"scope": argument})
						return bound
					case "cnf":
						return is.token(t, claims{"cnf": claims{argument: k.Thumbprint()}})
					case "proof": // for the token before it; of a method, with a nonce
						method, with, _ := strings.Cut(argument, " ")
						if with == "nonce" {
							return k.proof(method, bound, claim("nonce", nonce))
						}
						return k.proof(method, bound)
					case "nonce":
						return nonce
					case "issuer":
						return is.URL
					case "prm":
						return testPRM
					case "session":
						return session
					}
					require.Fail(t, "unknown placeholder", m)
					return ""
				})
			}
			for _, x := range exchanges {
				resp := x.send(t, server, fill(x.request))
				session = cmp.Or(resp.Header.Get("Mcp-Session-Id"), session)
				nonce = cmp.Or(resp.Header.Get("DPoP-Nonce"), nonce)
				x.compare(t, resp, fill(x.response))
			}
		})
	}
}

func (x exchange) send(t testing.TB, server *httptest.Server, request string) *http.Response {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	head = strings.ReplaceAll(strings.TrimSuffix(head, "\n"), "\n", "\r\n")
	if body != "" {
		head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	c := dial(t, server)
	_, err := io.WriteString(c.Conn, head+"\r\n\r\n"+body)
	require.NoError(t, err)
	method, _, _ := strings.Cut(head, " ")
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	require.NoError(t, err)
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body = io.NopCloser(bytes.NewReader(content))
	return resp
}

func (x exchange) compare(t testing.TB, resp *http.Response, want string) {
	t.Helper()
	content, _ := io.ReadAll(resp.Body)
	require.NotEmpty(t, want)
	lines := bufio.NewScanner(strings.NewReader(want))
	require.True(t, lines.Scan())
	require.Equal(t, lines.Text(), resp.Proto+" "+resp.Status, "%s\n%s", x.request, content)
	expected := make(http.Header)
	for lines.Scan() && lines.Text() != "" {
		name, value, ok := strings.Cut(lines.Text(), ": ")
		require.True(t, ok, lines.Text())
		expected.Add(name, value)
	}
	for name, values := range expected {
		if values[0] == "-" {
			require.Empty(t, resp.Header[name], "%s\n%s", name, x.request)
			continue
		}
		require.Equal(t, values, resp.Header[name], "%s\n%s", name, x.request)
	}
	_, body, hasBody := strings.Cut(want, "\n\n")
	switch body = strings.TrimSpace(body); {
	case !hasBody:
	case body == "":
		require.Empty(t, string(content), x.request)
	case strings.HasPrefix(body, "..."):
		require.Contains(t, string(content), strings.TrimPrefix(body, "..."), x.request)
	default:
		require.JSONEq(t, body, string(content), x.request)
	}
}
