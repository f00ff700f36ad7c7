package doctor_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// SEC-04: "a server on the internet cannot send the doctor to services of the computer that it runs on". The unspecified addresses lead
// there on Linux, and so do IPv4 addresses written as IPv6, names with a dot at the end, and names under localhost (RFC 6761, Section 6.3).
func TestOtherNamesOfThisComputer(t *testing.T) {
	for _, host := range []string{"0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "localhost.", "a.localhost"} {
		var asked []string
		respond := func(r *http.Request, status int, body string) *http.Response {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		}
		far := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Host)
			if strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource") {
				return respond(r, 200, `{"resource":"https://mcp.example.com/mcp","authorization_servers":["https://`+host+`:8443"]}`), nil
			}
			return respond(r, 401, ""), nil
		})}
		examine(t, doctor.Options{URL: "https://mcp.example.com/mcp", HTTPClient: far})
		if contains(asked, host+":8443") {
			t.Errorf("the doctor asked %s", host)
		}
	}
}

func contains(list []string, s string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+s+" ")
}

// A server chooses its session ids and nonces, and what it chooses is taken out of the report: it can blank what is said about it.
func TestAServerDoesNotBlankTheReport(t *testing.T) {
	blank := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Mcp-Session-Id": {"the server answers without a token, so no client ever begins a login; if that is not meant, put the check in front of the handler, and answer 401 POST: 200 OK"}}
		return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
	})}
	r := examine(t, doctor.Options{URL: "https://mcp.example.com/mcp", HTTPClient: blank})
	for _, f := range r.Findings {
		if strings.HasSuffix(f.ID(), "/open") {
			require.Contains(t, f.Cure, "token", f.ID())
		}
	}
}
