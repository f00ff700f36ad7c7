package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const resource = "https://mcp.example.com/mcp"

// call runs the command and returns what it did.
func call(t *testing.T, change func(*command), args ...string) (status int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := command{in: strings.NewReader(""), out: &stdout, err: &stderr, getenv: func(string) string { return "" }}
	if change != nil {
		change(&c)
	}
	status = c.run(t.Context(), args)
	return status, stdout.String(), stderr.String()
}

func input(text string) func(*command) { return func(c *command) { c.in = strings.NewReader(text) } }

func unsigned(claims map[string]any) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": "k"}) + "." + part(claims) + ".c2lnbmF0dXJlLXNlY3JldA"
}

func good() map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": "https://login.example.com", "aud": resource, "sub": "ada", "scope": "notes:read", "iat": now, "exp": now + 600}
}

func TestToken(t *testing.T) {
	token := unsigned(good())
	compare := []string{"token", "-resource", resource, "-issuer", "https://login.example.com", "-scope", "notes:read"}
	status, out, errs := call(t, input(token+"\n"), compare...)
	require.Equal(t, exitOK, status, out+errs)
	require.Contains(t, out, "decoded, not verified")
	require.NotContains(t, out, "\x1b")
	require.NotContains(t, out+errs, token[40:60])

	// The same from a file and from a variable.
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
	status, fromFile, _ := call(t, nil, append(compare, "-token-file", file)...)
	require.Equal(t, exitOK, status)
	status, fromEnv, _ := call(t, func(c *command) {
		c.getenv = func(name string) string { return map[string]string{"MCP_TOKEN": token}[name] }
	}, append(compare, "-token-env", "MCP_TOKEN")...)
	require.Equal(t, exitOK, status)
	require.Equal(t, strings.Count(fromFile, "PASS"), strings.Count(fromEnv, "PASS"))

	for name, tt := range map[string]struct {
		claim string
		value any
		says  string
	}{
		"aud":    {"aud", "https://mcp.example.com", "aud is the origin without the path"},
		"iss":    {"iss", "https://login.example.com/", "trailing slash"},
		"expiry": {"exp", 1_700_000_000, "get a new token"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := good()
			claims[tt.claim] = tt.value
			status, out, _ := call(t, input(unsigned(claims)), compare...)
			require.Equal(t, exitFail, status)
			require.Contains(t, strings.Join(strings.Fields(out), " "), tt.says)
		})
	}
}

func TestJSON(t *testing.T) {
	status, out, _ := call(t, input(unsigned(good())), "token", "-json", "-resource", "https://other.example.com/")
	require.Equal(t, exitFail, status)
	var report struct {
		OK       bool `json:"ok"`
		Findings []struct{ Step, Cause, Status, Cure, Got, Symptom string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.False(t, report.OK)
	require.NotEmpty(t, report.Findings)
	require.NotContains(t, out, "secret")
}

func TestUsage(t *testing.T) {
	const secret = "eyJhbGciOiJSUzI1NiJ9.SECRET.SECRET"
	missing := filepath.Join(t.TempDir(), "nothing")
	for name, tt := range map[string]struct {
		args []string
		in   string
		says string
	}{
		"nothing":                     {nil, "", "URL of the MCP endpoint is missing"},
		"a token on the command line": {[]string{resource, secret}, "", "a token goes into a file or a variable"},
		"the same offline":            {[]string{"token", secret}, "", "never from the command line"},
		"a token for a flag":          {[]string{"-token=" + secret, resource}, "", "not defined"},
		"a token for a file":          {[]string{"-token-file", secret, resource}, "", "the name of a file"},
		"a token for a variable":      {[]string{"-token-env", secret, resource}, "", "the name of a variable"},
		"two tokens":                  {[]string{"-token-env", "A", "-token-file", "-", resource}, "", "give one"},
		"no token":                    {[]string{"token"}, " \n", "is empty"},
		"a header for a token":        {[]string{"token"}, "Bearer " + secret, "without Bearer"},
		"too long":                    {[]string{"token"}, strings.Repeat("a", maxFile+2), "too long"},
		"no key":                      {[]string{"-dpop-key", missing, resource}, "", "cannot be opened"},
		"a color":                     {[]string{"-color", "blue", resource}, "", "auto, always and never"},
		"a URL that is none":          {[]string{"mcp.example.com/" + secret}, "", "not an absolute"},
		"an unknown client":           {[]string{"-clients", "Nobody", resource}, "", "TypeScript SDK"},
		"no time":                     {[]string{"-timeout", "0s", resource}, "", "more than 0"},
		"a call without a token":      {[]string{"-call", "x", resource}, "", "mcpauth-doctor: -call needs a token"},
		"arguments without a call":    {[]string{"-token-file", "-", "-arguments", "{}", resource}, "t", "-arguments needs the -call"},
		"a redirect without a client": {[]string{"-redirect-uri", "https://app.example.com/", resource}, "", "-redirect-uri needs the -client-id"},
		"a path for a resource":       {[]string{"token", "-resource", "/mcp"}, "t", "-resource is not an absolute"},
		"an unknown flag":             {[]string{"-x", resource}, "", "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := call(t, input(tt.in), tt.args...)
			require.Equal(t, exitUsage, status)
			require.Empty(t, out)
			require.Contains(t, errs, tt.says)
			require.NotContains(t, errs, "SECRET")
			require.NotContains(t, errs, "Options.", "flags, not members of the library")
		})
	}
	status, _, errs := call(t, nil, "-help")
	require.Equal(t, exitOK, status)
	require.Contains(t, errs, "Known clients: Go SDK")
}

func TestExamine(t *testing.T) {
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	status, out, errs := call(t, func(c *command) { c.outTTY, c.errTTY = true, true }, s.URL+"/mcp")
	require.Equal(t, exitFail, status)
	require.Contains(t, out, "\x1b[31mFAIL\x1b[0m")
	require.Contains(t, errs, "First POST, without a token ...")
	require.True(t, strings.HasSuffix(errs, "\r\x1b[K"), "the line of progress is wiped away")

	// A variable turns the colours off, and a pipe has neither them nor progress.
	_, out, _ = call(t, func(c *command) {
		c.outTTY, c.getenv = true, func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
	}, s.URL+"/mcp")
	require.NotContains(t, out, "\x1b")
	_, out, errs = call(t, nil, s.URL+"/mcp")
	require.NotContains(t, out, "\x1b")
	require.Empty(t, errs)
	_, out, _ = call(t, nil, "-color", "always", s.URL+"/mcp")
	require.Contains(t, out, "\x1b")

	// A token and its key.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	seen = nil
	status, out, _ = call(t, input("opaque-token-0123456789"), "-token-file", "-", "-dpop-key", file, "-json", s.URL+"/mcp")
	require.Equal(t, exitFail, status)
	require.Contains(t, seen, "DPoP opaque-token-0123456789")
	require.NotContains(t, out, "opaque-token-0123456789")
}

// An interrupted or slow examination still prints what it found, and says what is missing.
func TestTheTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	c := command{in: strings.NewReader(""), out: &out, err: io.Discard, getenv: func(string) string { return "" }}
	require.Equal(t, exitFail, c.run(ctx, []string{resource}))
	require.Contains(t, out.String(), "the time is up")
}
