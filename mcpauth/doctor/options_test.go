package doctor_test

import (
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func TestOptionsThatCannotBeUsed(t *testing.T) {
	const secret = "SECRET-0123456789abcdef"
	const url = "https://mcp.example.com/mcp"
	key, err := mcpauthtest.NewDPoPKey("ES256")
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		opt  doctor.Options
		says string
	}{
		"no URL":                     {doctor.Options{}, "is empty"},
		"a path":                     {doctor.Options{URL: "/mcp"}, "not an absolute"},
		"another scheme":             {doctor.Options{URL: "ftp://mcp.example.com/" + secret}, "not an absolute"},
		"user information":           {doctor.Options{URL: "https://u:" + secret + "@mcp.example.com/"}, "user information"},
		"a fragment":                 {doctor.Options{URL: url + "#" + secret}, "fragment"},
		"a scheme in the token":      {doctor.Options{URL: url, Token: "Bearer " + secret}, "without Bearer"},
		"a line break in the token":  {doctor.Options{URL: url, Token: secret + "\n"}, "line breaks"},
		"a token that is too long":   {doctor.Options{URL: url, Token: strings.Repeat(secret, 4096)}, "at most"},
		"a call without a token":     {doctor.Options{URL: url, Call: "x"}, "needs a Token"},
		"arguments that are no JSON": {doctor.Options{URL: url, Arguments: []byte("[" + secret)}, "JSON object"},
		"a key without a token":      {doctor.Options{URL: url, DPoPKey: key}, "needs the Token"},
		"arguments without a call":   {doctor.Options{URL: url, Token: "t", Arguments: []byte("{}")}, "needs the Call"},
		"an unknown client":          {doctor.Options{URL: url, Clients: []string{secret}}, "TypeScript SDK"},
		"an origin with a path":      {doctor.Options{URL: url, Origin: "https://app.example.com/" + secret}, "not an origin"},
		"a redirect without client":  {doctor.Options{URL: url, RedirectURI: "https://app.example.com/"}, "ClientID"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := doctor.Run(t.Context(), tt.opt)
			require.Nil(t, r)
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), "SECRET")
		})
	}
}

func TestJudgingForSomeClients(t *testing.T) {
	w := newWorld(t)
	w.metadata["resource"] = w.mcp.URL // a parent, which some accept
	r := w.run(doctor.Options{Clients: []string{"TypeScript SDK", "mcp-remote"}})
	require.Equal(t, doctor.Warn, find(t, r, "resource/origin").Status)
	require.Empty(t, find(t, r, "resource/origin").Clients)
	r = w.run(doctor.Options{Clients: []string{"TypeScript SDK", "VS Code"}})
	require.Equal(t, doctor.Fail, find(t, r, "resource/origin").Status)
	require.Equal(t, []string{"VS Code"}, find(t, r, "resource/origin").Clients)
}

func TestProgress(t *testing.T) {
	w := newWorld(t)
	var told []string
	w.run(doctor.Options{Progress: func(step string) { told = append(told, step) }})
	require.Contains(t, told, "Keys and algorithms")
}

func TestAnEmptyReportIsNotOK(t *testing.T) {
	var none *doctor.Report
	require.False(t, none.OK())
	require.False(t, (&doctor.Report{}).OK())
	require.False(t, (&doctor.Report{Findings: []doctor.Finding{{Step: "x"}}}).OK(), "the zero Status")
	require.True(t, (&doctor.Report{Findings: []doctor.Finding{{Step: "x", Status: doctor.Warn}}}).OK())
}

func TestColours(t *testing.T) {
	w := newWorld(t)
	w.root = false
	r := w.run(doctor.Options{})
	var with, without strings.Builder
	require.NoError(t, r.WriteTable(&with, true))
	require.NoError(t, r.WriteTable(&without, false))
	require.Contains(t, with.String(), "\x1b[33mWARN\x1b[0m")
	require.NotContains(t, without.String(), "\x1b")
	require.Contains(t, without.String(), "WARN  metadata")
	require.Contains(t, without.String(), "stumbles: ChatGPT")
}

// A server that speaks the newer revision only, and answers with events.
func TestAServerOfTheNewerRevision(t *testing.T) {
	w := newWorld(t)
	w.endpoint = only(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" && r.Method == "POST" }, func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		if r.Header.Get("Authorization") == "Bearer not-a-token-mcpauth-doctor" {
			h.ServeHTTP(rw, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Mcp-Protocol-Version") != "2026-07-28" || !strings.Contains(string(body), "io.modelcontextprotocol/protocolVersion"):
			rw.WriteHeader(400)
			_, _ = io.WriteString(rw, `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"unsupported"}}`)
		case r.Header.Get("Mcp-Method") == "tools/list":
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(rw, ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\ndata: \"result\":{\"tools\":[{},{}]}}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/y\"}\n\n")
			rw.(http.Flusher).Flush()
			<-r.Context().Done() // the stream stays open
		default:
			writeJSON(rw, members{"jsonrpc": "2.0", "id": 1, "result": members{}})
		}
	})
	r := w.run(doctor.Options{Token: w.mint(nil)})
	noFail(t, r)
	require.Contains(t, find(t, r, "call-server-discover").Got, "200")
	require.Contains(t, find(t, r, "call-tools-list").Got, "2 tools")
}

// Where nothing was found that could name scopes, nobody can say that they are in order.
func TestScopesOfNothingAreNotJudged(t *testing.T) {
	w := newWorld(t)
	w.challenge = []string{"Bearer"}
	w.document = func(http.Handler) http.Handler { return http.NotFoundHandler() }
	require.Equal(t, doctor.Skip, find(t, w.run(doctor.Options{}), "scopes").Status)
}
