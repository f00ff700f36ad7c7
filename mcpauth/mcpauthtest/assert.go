package mcpauthtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-mcpauth/sdk/prm"
)

// AssertAllowed checks that an answer carries a result, or that it acknowledges a notification (202). A tool
// that was called and failed is allowed all the same.
func AssertAllowed(t testing.TB, resp *http.Response) {
	t.Helper()
	if resp.StatusCode == http.StatusAccepted {
		return
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("want a result, with status 200\n%s", came(resp))
		return
	}
	if a, err := readAnswer(resp); err != nil {
		t.Errorf("want a result: %v\n%s", err, came(resp))
	} else if a.Error != nil {
		t.Errorf("want a result, not an error\n%s", came(resp))
	}
}

// AssertUnauthorized checks an answer to missing or bad credentials: 401 with a challenge that leads to the
// login (RFC 9728, Section 5.1), on a line for Bearer or DPoP tokens.
func AssertUnauthorized(t testing.TB, resp *http.Response) {
	t.Helper()
	list, ok := statusAndChallenges(t, resp, http.StatusUnauthorized)
	if !ok {
		return
	}
	for _, ch := range list {
		if ch.params["error"] == "insufficient_scope" {
			t.Errorf("want a challenge to log in, not insufficient_scope, which goes with 403\n%s", came(resp))
			return
		}
	}
	tokenChallenge(t, resp, list)
}

// AssertStepUp checks an answer to a token with too few scopes: 403 insufficient_scope (RFC 6750, Section
// 3.1) that asks for exactly these scopes, in any order, and leads to the login. Config.BaseScopes are among
// them. The names are those that clients are told: with Grants.ChallengePrefix where the issuer has one. To
// callers of revisions before 2026-07-28 the middleware names the scopes that the token has, too; see
// [mcpauth.StepUp].
func AssertStepUp(t testing.TB, resp *http.Response, scopes ...string) {
	t.Helper()
	list, ok := statusAndChallenges(t, resp, http.StatusForbidden)
	if !ok || !tokenChallenge(t, resp, list) {
		return
	}
	for _, ch := range list {
		if ch.scheme != "bearer" && ch.scheme != "dpop" {
			continue
		}
		if ch.params["error"] != "insufficient_scope" {
			t.Errorf("want error=\"insufficient_scope\" in each challenge\n%s", came(resp))
			return
		}
		got, want := strings.Fields(ch.params["scope"]), slices.Clone(scopes)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("want a challenge for %q, not for %q\n%s", strings.Join(want, " "), strings.Join(got, " "), came(resp))
			return
		}
	}
}

// AssertForbidden checks a bare 403, without any challenge: no login and no step-up would help, so a client
// must not try.
func AssertForbidden(t testing.TB, resp *http.Response) {
	t.Helper()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("want a bare 403\n%s", came(resp))
	} else if len(resp.Header.Values("WWW-Authenticate")) > 0 {
		t.Errorf("want a bare 403, without WWW-Authenticate, which makes clients ask for another token\n%s", came(resp))
	}
}

// AssertUnknown checks that an answer is the one for a tool, prompt, resource or method that does not exist:
// an error of JSON-RPC, -32602 or -32601, without a challenge. What has no rule is answered so.
func AssertUnknown(t testing.TB, resp *http.Response) {
	t.Helper()
	want := "want the answer for what does not exist, an error -32602 or -32601 of JSON-RPC"
	switch resp.StatusCode {
	case http.StatusOK, http.StatusBadRequest, http.StatusNotFound:
	default:
		t.Errorf("%s\n%s", want, came(resp))
		return
	}
	if len(resp.Header.Values("WWW-Authenticate")) > 0 {
		t.Errorf("%s, without a challenge\n%s", want, came(resp))
		return
	}
	a, err := readAnswer(resp)
	if err != nil || a.Error == nil || a.Error.Code != -32602 && a.Error.Code != -32601 {
		t.Errorf("%s\n%s", want, came(resp))
	}
}

// AssertUnavailable checks an answer in an outage: 503 with Retry-After and without a challenge, which would
// make clients throw a good token away.
func AssertUnavailable(t testing.TB, resp *http.Response) {
	t.Helper()
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	switch {
	case resp.StatusCode != http.StatusServiceUnavailable:
		t.Errorf("want 503\n%s", came(resp))
	case err != nil || seconds < 1:
		t.Errorf("want 503 with Retry-After in seconds, not %q\n%s", resp.Header.Get("Retry-After"), came(resp))
	case len(resp.Header.Values("WWW-Authenticate")) > 0:
		t.Errorf("want 503 without WWW-Authenticate\n%s", came(resp))
	}
}

// AssertChallenge checks that one of the challenges of an answer has this scheme and, whatever else it has,
// these parameters; an empty value means that the parameter is not there. Scheme and names are compared
// without case (RFC 9110, Section 11.1).
//
//	mcpauthtest.AssertChallenge(t, resp, "Bearer", map[string]string{
//		"error": "insufficient_user_authentication", "max_age": "300",
//	})
func AssertChallenge(t testing.TB, resp *http.Response, scheme string, params map[string]string) {
	t.Helper()
	list, ok := strictChallenges(t, resp)
	if !ok {
		return
	}
	for _, ch := range list {
		fits := ch.scheme == strings.ToLower(scheme)
		for name, value := range params {
			fits = fits && ch.params[strings.ToLower(name)] == value
		}
		if fits {
			return
		}
	}
	var want strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(&want, " %s=%q", name, params[name])
	}
	t.Errorf("want a challenge %s%s\n%s", scheme, want.String(), came(resp))
}

// AssertMetadata checks that the challenges of an answer lead somewhere: that the handler serves the document
// at resource_metadata, without a token, and that the document is of the resource to which that URL belongs
// and names an authorization server (RFC 9728, Sections 3.2 and 3.3). The handler is the whole of what
// serves the resource, such as the mux of [mcpauth.Middleware.Mount].
func AssertMetadata(t testing.TB, handler http.Handler, resp *http.Response) {
	t.Helper()
	list, ok := strictChallenges(t, resp)
	if !ok || !tokenChallenge(t, resp, list) {
		return
	}
	checked := make(map[string]bool)
	for _, ch := range list {
		address := ch.params["resource_metadata"]
		if address == "" || checked[address] {
			continue
		}
		checked[address] = true
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		got := w.Result()
		if got.StatusCode != http.StatusOK || !isMediaType(got.Header, "application/json") {
			t.Errorf("want JSON with status 200 at %s: mount Middleware.Metadata, outside of Wrap\n%s", address, came(got))
			continue
		}
		var document map[string]json.RawMessage // a struct would take members in any spelling
		var resource string
		var servers []string
		if json.Unmarshal(w.Body.Bytes(), &document) != nil ||
			json.Unmarshal(document["resource"], &resource) != nil || json.Unmarshal(document["authorization_servers"], &servers) != nil || len(servers) == 0 {
			t.Errorf("want resource and authorization_servers in the metadata at %s\n%s", address, came(got))
			continue
		}
		if own, err := prm.WellKnownURL(resource); err != nil || own != address {
			t.Errorf("want the metadata of the resource to which %s belongs, not of %q\n%s", address, resource, came(got))
		}
	}
}

// statusAndChallenges checks the status first, since it explains the rest.
func statusAndChallenges(t testing.TB, resp *http.Response, status int) ([]challenge, bool) {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("want %d %s with a challenge\n%s", status, http.StatusText(status), came(resp))
		return nil, false
	}
	return strictChallenges(t, resp)
}

// strictChallenges reads every WWW-Authenticate line. At least one, and none that is malformed: clients
// differ in what they make of those.
func strictChallenges(t testing.TB, resp *http.Response) ([]challenge, bool) {
	t.Helper()
	lines := resp.Header.Values("WWW-Authenticate")
	if len(lines) == 0 {
		t.Errorf("want a challenge, but there is no WWW-Authenticate\n%s", came(resp))
		return nil, false
	}
	var list []challenge
	for _, line := range lines {
		read, ok := readChallenges(line)
		if !ok || len(line) > maxChallenge {
			t.Errorf("want challenges as RFC 9110, Section 11.6.1 writes them; this line is malformed: %q\n%s", line, came(resp))
			return nil, false
		}
		for _, ch := range read {
			if name := ch.malformed(); name != "" {
				t.Errorf("want %s with the characters of RFC 6750, Section 3, not %q\n%s", name, ch.params[name], came(resp))
				return nil, false
			}
		}
		list = append(list, read...)
	}
	return list, true
}

// malformed returns the name of a parameter whose value may not stand there, or nothing.
func (ch challenge) malformed() string {
	for _, name := range slices.Sorted(maps.Keys(ch.params)) {
		value := ch.params[name]
		for i := range len(value) {
			c := value[i]
			// RFC 6750, Section 3, for three of them; control characters are nowhere allowed.
			narrow := name == "error" || name == "error_description" || name == "scope"
			if c < ' ' || c == 0x7f || narrow && (c == '"' || c == '\\' || c > 0x7e) {
				return name
			}
		}
		if name == "scope" && (value == "" || strings.Join(strings.Fields(value), " ") != value) {
			return name // one space between scopes (RFC 6749, Section 3.3)
		}
	}
	return ""
}

// tokenChallenge checks that there is a challenge for tokens, and that each leads to metadata.
func tokenChallenge(t testing.TB, resp *http.Response, list []challenge) bool {
	t.Helper()
	found := false
	for _, ch := range list {
		if ch.scheme != "bearer" && ch.scheme != "dpop" {
			continue
		}
		found = true
		u, err := url.Parse(ch.params["resource_metadata"])
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || !strings.HasPrefix(u.Path, prm.WellKnownPrefix) {
			t.Errorf("want resource_metadata with the URL of metadata in each challenge (RFC 9728, Section 5.1), not %q\n%s", ch.params["resource_metadata"], came(resp))
			return false
		}
	}
	if !found {
		t.Errorf("want a challenge for Bearer or DPoP\n%s", came(resp))
	}
	return found
}

const maxShown = 600 // bytes of a body

// came describes an answer for a failure. Nothing of the request is in it, so no token is.
func came(resp *http.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "came: %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	for _, name := range []string{"WWW-Authenticate", "Retry-After", "Location"} {
		for _, value := range resp.Header.Values(name) {
			fmt.Fprintf(&b, "\n\t%s: %s", name, value)
		}
	}
	body, _ := readBody(resp)
	text := strings.TrimSpace(string(body))
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	if text != "" {
		b.WriteString("\n\t" + strings.ReplaceAll(text, "\n", "\n\t"))
	}
	if resp.StatusCode == http.StatusNotFound && text == "404 page not found" { // of http.NotFound
		b.WriteString("\n\tan http.ServeMux has nothing at this path: give the client the mux of Middleware.Mount, and Config.Resource as its resource")
	}
	return b.String()
}
