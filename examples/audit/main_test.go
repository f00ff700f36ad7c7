package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

type line struct {
	Allowed                             bool
	Reason, Method, Expected, Got, Cure string
	Status                              int
	Principal                           map[string]string
	Arguments                           map[string]string
}

func lines(t *testing.T, out string) []line {
	t.Helper()
	var all []line
	for text := range strings.Lines(out) {
		require.NotRegexp(t, `[^ -~]`, strings.TrimSuffix(text, "\n"), "one line of printable ASCII")
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		all = append(all, l)
	}
	return all
}

// explains asserts that a reader of the log alone can say why a call was refused and what would repair it.
func explains(t *testing.T, all []line) (reasons []string) {
	t.Helper()
	for _, l := range all {
		require.NotEmpty(t, l.Reason)
		if l.Allowed {
			continue
		}
		require.NotEmpty(t, l.Expected, l.Reason)
		require.NotEmpty(t, l.Got, l.Reason)
		require.NotEqual(t, l.Expected, l.Got, l.Reason)
		require.GreaterOrEqual(t, l.Status, 400, l.Reason)
		require.NotEmpty(t, l.Cure, l.Reason)
		reasons = append(reasons, l.Reason)
	}
	return reasons
}

func TestDemonstration(t *testing.T) {
	for args, check := range map[string]func(out string, all []line){
		"": func(out string, all []line) {
			require.Contains(t, out, `"subject":"uma"`)
			require.NotContains(t, out, "combination")
		},
		"-pseudonyms": func(out string, all []line) {
			for _, name := range []string{"uma", "ada", "trainee", "robot\"", "backup"} {
				require.NotContains(t, out, `"`+name)
			}
			require.Equal(t, all[1].Principal["subject"], all[2].Principal["subject"], "lines of one user are found together")
		},
		"-arguments": func(out string, all []line) {
			require.JSONEq(t, `"The combination is 7-3-9"`, all[3].Arguments["text"])
		},
	} {
		var out, log bytes.Buffer
		require.Zero(t, run(t.Context(), strings.Fields(args), &out, &log), "%s\n%s", out.String(), log.String())
		all := lines(t, out.String())
		require.Equal(t, []string{
			"no_credentials", "insufficient_scope", "role_missing", "policy_refused", "grant_fixed", "no_rule", "token_expired",
			"audience_mismatch", "unknown_issuer", "token_revoked", "token_not_jwt", "origin_not_allowed", "body_ambiguous_member",
		}, explains(t, all))
		require.Len(t, all, 18)
		require.Contains(t, out.String(), `"actor":"`)
		require.Contains(t, out.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`)
		check(out.String(), all)
		require.NotRegexp(t, `eyJ[A-Za-z0-9_-]{10}|notes_[A-Za-z0-9_-]{43}|opaque-and-secret`, out.String()+log.String(), "a token or a key was written")
		require.Regexp(t, `"uma" +"robots" +"tools/call" +"write_note" +1 +0\n`, log.String())
	}
}

// TestEveryRefusalExplainsItself plays what the demonstration leaves out.
func TestEveryRefusalExplainsItself(t *testing.T) {
	var out bytes.Buffer
	s, err := start(audit.Log(slog.NewJSONHandler(&out, nil), audit.Options{}), false)
	require.NoError(t, err)
	defer s.close()
	const both = notes.ScopeRead + " " + notes.ScopeWrite
	good := s.token(s.resource, "uma", both, nil)
	token := func(more claims) map[string]string { return bearer(s.token(s.resource, "uma", both, more)) }
	signed := func(header claims) map[string]string {
		token, err := s.issuer.TokenWithHeader(header, s.resource, "uma", time.Minute, nil)
		require.NoError(t, err)
		return bearer(token)
	}
	key, err := mcpauthtest.NewDPoPKey("ES256")
	require.NoError(t, err)
	other, err := mcpauthtest.NewDPoPKey("ES256")
	require.NoError(t, err)
	bound := s.token(s.resource, "uma", both, claims{"cnf": claims{"jkt": key.Thumbprint()}})
	dpop := func(proof string) map[string]string {
		return map[string]string{"Authorization": "DPoP " + bound, "Dpop": proof}
	}
	claim := func(name string, value any) map[string]string {
		p := key.NewProof("POST", s.resource, bound, "")
		p.Claims[name] = value
		return dpop(key.Sign(p))
	}
	head := func(name string, value any) map[string]string {
		p := key.NewProof("POST", s.resource, bound, "")
		p.Header[name] = value
		return dpop(key.Sign(p))
	}
	once := dpop(key.Proof("POST", s.resource, bound, ""))
	read := call("read_notes", "{}")
	change := func(f func(*http.Request)) func(*http.Request) { return f }
	scenes := []scene{
		{"host_not_allowed", read, nil, 403, change(func(r *http.Request) { r.Host = "evil.example" })},
		{"scheme_unsupported", read, map[string]string{"Authorization": "Basic dTpw"}, 401, nil},
		{"credentials_malformed", read, map[string]string{"Authorization": "Bearer a b"}, 400, nil},
		{"credentials_multiple", read, nil, 400, change(func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} })},
		{"credentials_multiple", read, map[string]string{"Authorization": "Bearer " + good, "X-Api-Key": s.apiKey}, 400, nil},
		{"token_in_query", read, nil, 401, change(func(r *http.Request) { r.URL.RawQuery = "access_token=" + good })},
		{"credentials_refused", read, map[string]string{"X-Api-Key": s.apiKey + "x"}, 401, nil},
		{"token_bound", read, token(claims{"cnf": claims{"kid": "x"}}), 401, nil},
		{"token_too_long", read, bearer(strings.Repeat("x", 17<<10)), 401, nil},
		{"token_encrypted", read, bearer("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0.a.b.c.d"), 401, nil},
		{"token_malformed", read, bearer("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30x.x"), 401, nil},
		{"algorithm_not_allowed", read, signed(claims{"alg": "none", "kid": nil}), 401, nil},
		{"type_not_allowed", read, signed(claims{"typ": "JWT"}), 401, nil},
		{"critical_header", read, signed(claims{"crit": []string{"x"}, "x": 1}), 401, nil},
		{"unknown_key", read, signed(claims{"kid": "2"}), 401, nil},
		{"signature_invalid", read, bearer(good[:strings.LastIndex(good, ".")+1] + strings.Repeat("A", 86)), 401, nil},
		{"expiry_missing", read, token(claims{"exp": nil}), 401, nil},
		{"token_not_yet_valid", read, token(claims{"nbf": time.Now().Add(time.Hour).Unix()}), 401, nil},
		{"token_issued_in_future", read, token(claims{"iat": time.Now().Add(30 * time.Second).Add(time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix()}), 401, nil},
		{"audience_missing", read, token(claims{"aud": nil}), 401, nil},
		{"id_token", read, token(claims{"token_use": "id"}), 401, nil},
		{"refresh_token", read, token(claims{"token_use": "refresh"}), 401, nil},
		{"subject_missing", read, token(claims{"sub": ""}), 401, nil},

		{"dpop_downgrade", read, bearer(bound), 401, nil},
		{"token_not_bound", read, map[string]string{"Authorization": "DPoP " + good, "Dpop": once["Dpop"]}, 401, nil},
		{"", read, once, 200, nil},
		{"proof_replayed", read, once, 401, nil},
		{"proof_count", read, map[string]string{"Authorization": "DPoP " + bound}, 401, nil},
		{"proof_too_long", read, dpop(strings.Repeat("x", 20<<10)), 401, nil},
		{"proof_malformed", read, dpop("a.b"), 401, nil},
		{"proof_critical", read, head("crit", []string{"x"}), 401, nil},
		{"proof_type", read, head("typ", "JWT"), 401, nil},
		{"proof_algorithm", read, head("alg", "HS256"), 401, nil},
		{"proof_key", read, head("jwk", map[string]any{"kty": "EC"}), 401, nil},
		{"proof_private_key", read, head("jwk", map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}), 401, nil},
		{"proof_htm", read, claim("htm", "GET"), 401, nil},
		{"proof_htu", read, claim("htu", "https://proxy.example/mcp"), 401, nil},
		{"proof_iat", read, claim("iat", 1), 401, nil},
		{"proof_ath", read, claim("ath", strings.Repeat("A", 43)), 401, nil},
		{"proof_jti", read, claim("jti", ""), 401, nil},
		{"proof_key_binding", read, dpop(other.Proof("POST", s.resource, bound, "")), 401, nil},
		{"proof_signature", read, dpop(once["Dpop"][:strings.LastIndex(once["Dpop"], ".")+1] + strings.Repeat("A", 86)), 401, nil},

		{"method_not_allowed", "", bearer(good), 405, change(func(r *http.Request) { r.Method = "PUT" })},
		{"content_type", read, with(bearer(good), "Content-Type", "text/plain"), 415, nil},
		{"header_repeated", read, bearer(good), 400, change(func(r *http.Request) { r.Header["Mcp-Name"] = []string{"a", "b"} })},
		{"body_too_large", `"` + strings.Repeat("x", 5<<20) + `"`, bearer(good), 413, nil},
		{"unsafe_uri", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"notes://mine/../x"}}`, bearer(good), 200, nil},
		{"batch_refused", "[" + read + "," + call("purge_notes", "{}") + "]", with(bearer(good), "Mcp-Protocol-Version", "2025-03-26"), 403, nil},
	}
	// Each is played alone, so that its lines are known.
	for _, sc := range scenes {
		out.Reset()
		if err := s.play(t.Context(), []scene{sc}); err != nil {
			require.NoError(t, err)
		}
		reasons := explains(t, lines(t, out.String()))
		if sc.name != "" {
			require.True(t, slices.Contains(reasons, sc.name), "%s: %s", sc.name, out.String())
		}
		for _, secret := range []string{good, bound, once["Dpop"], s.apiKey} {
			for part := range strings.SplitSeq(secret, ".") {
				require.NotContains(t, out.String(), part, sc.name)
			}
		}
	}
}

func TestFailsWhereNothingIsProtected(t *testing.T) {
	s, err := start(func(context.Context, mcpauth.Decision) {}, false)
	require.NoError(t, err)
	defer s.close()
	require.ErrorContains(t, s.play(t.Context(), []scene{{"anybody reads", call("read_notes", "{}"), nil, 200, nil}}), "anybody reads")
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for args, status := range map[string]int{"-no-such-flag": 2, "extra": 2, "-h": 0} {
		var log bytes.Buffer
		require.Equal(t, status, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.NotEmpty(t, log.String())
	}
}
