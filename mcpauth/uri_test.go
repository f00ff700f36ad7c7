package mcpauth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// callerOf returns the Principal that a token makes.
func callerOf(t testing.TB, auth *mcpauth.Middleware, token string) (p *mcpauth.Principal) {
	t.Helper()
	serve(auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ = mcpauth.FromContext(r.Context())
	})), post(rpc("ping", nil), token))
	require.NotNil(t, p)
	return p
}

func TestAUTHZ03_OtherSpellingsOfAURI(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Unlisted = scopes.Authenticated() })
	auth.RequireResource("file:///secret/*", scopes.All("secret"))
	auth.RequireResource("file:///deep/{name}", scopes.All("deep"))
	auth.RequireResource("notes://One/exact", scopes.All("one"))
	auth.RequireResource("https://intern.example/*", scopes.All("intern"))
	auth.RequireResource("notes://pub%20lic/*", scopes.Authenticated())
	longURI := "notes://" + strings.Repeat("a", 8<<10)
	auth.RequireResource(longURI, scopes.Authenticated())
	caller := callerOf(t, auth, is.scoped(t, ""))

	for _, tt := range []struct {
		name, uri string
		want      mcpauth.Reason // empty: allowed
	}{
		{"no rule but Unlisted", "file:///open/x", ""},
		{"the prefix as declared", "file:///secret/x", mcpauth.ReasonInsufficientScope},
		{"an unreserved character encoded", "file:///%73ecret/x", mcpauth.ReasonInsufficientScope},
		{"encoded twice", "file:///%2573ecret/x", mcpauth.ReasonInsufficientScope},
		{"the slash encoded", "file:///secret%2Fx", mcpauth.ReasonInsufficientScope},
		{"the slash encoded, and a query that cannot be decoded", "file:///secret%2Fx?%zz", mcpauth.ReasonInsufficientScope},
		{"encoded twice, and what cannot be decoded", "file:///%2573ecret/x?%", mcpauth.ReasonInsufficientScope},
		{"an exact rule, and a query that cannot be decoded", "notes://one%2Fexact?%f", mcpauth.ReasonInsufficientScope},
		{"the scheme in capitals", "FILE:///secret/x", mcpauth.ReasonInsufficientScope},
		{"a doubled slash", "file:////secret//x", mcpauth.ReasonInsufficientScope},
		{"the template as declared", "file:///deep/x", mcpauth.ReasonInsufficientScope},
		{"the template, encoded, with a space", "file:///%64eep/a%20b", mcpauth.ReasonInsufficientScope},
		{"the template, with its slash encoded", "file:///deep%2Fa", mcpauth.ReasonInsufficientScope},
		{"the template, with its slash and what no URI holds encoded", "file:///deep%2Fa%7Cb", mcpauth.ReasonInsufficientScope},
		{"the template, with its slash and a letter encoded", "file:///deep%2F%C3%A9", mcpauth.ReasonInsufficientScope},
		{"the template, with its slash and a delimiter encoded", "file:///deep%2Fa%3Ab", mcpauth.ReasonInsufficientScope},
		{"the template, encoded before a query", "file:///%2564eep/%3Fa?b=/c", mcpauth.ReasonInsufficientScope},
		{"the template, with a slash at the end and an encoded question mark", "file:///deep%2F%3Fa/", mcpauth.ReasonInsufficientScope},
		{"the template, with what no URI holds", "file:///deep/a|b", mcpauth.ReasonInsufficientScope},
		{"a delimiter, where a variable holds none", "file:///deep/a:b", ""},
		{"the host of an exact rule in another case", "NOTES://one/exact", mcpauth.ReasonInsufficientScope},
		{"an exact rule, encoded", "notes://One/e%78act", mcpauth.ReasonInsufficientScope},
		{"a prefix that was declared encoded", "notes://pub%20lic/1", ""},
		{"one slash", "file:/secret/x", mcpauth.ReasonInsufficientScope},
		{"the host of this machine", "file://LocalHost/secret/x", mcpauth.ReasonInsufficientScope},
		{"backslashes", `file:\\\secret\x`, mcpauth.ReasonInsufficientScope},
		{"a leading space", " file:///secret/x", mcpauth.ReasonInsufficientScope},
		{"a tab inside", "file:///sec\tret/x", mcpauth.ReasonInsufficientScope},
		{"an empty query", "file:///secret/x?", mcpauth.ReasonInsufficientScope},
		{"user information", "notes://x@one/exact", mcpauth.ReasonInsufficientScope},
		{"a port", "notes://one:80/exact", mcpauth.ReasonInsufficientScope},
		{"a full host name", "notes://one./exact", mcpauth.ReasonInsufficientScope},
		{"the default port", "https://Intern.example:443/x#", mcpauth.ReasonInsufficientScope},
		{"another port", "https://intern.example:8443/x", ""},
		{"dot segments", "file:///open/../secret/x", mcpauth.ReasonUnsafeURI},
		{"dot segments, encoded", "file:///open/%2e%2E/secret/x", mcpauth.ReasonUnsafeURI},
		{"dot segments, encoded twice", "file:///open/%252e%252e%252fsecret/x", mcpauth.ReasonUnsafeURI},
		{"dot segments behind a backslash", `file:///open\..\secret`, mcpauth.ReasonUnsafeURI},
		{"one dot", "file:///open/./x", mcpauth.ReasonUnsafeURI},
		{"of 8 KiB", "file:///open/" + strings.Repeat("a", 8<<10-len("file:///open/")), ""},
		{"of more", "file:///open/" + strings.Repeat("a", 8<<10-len("file:///open/")+1), mcpauth.ReasonUnsafeURI},
		{"of more, with a rule of its own", longURI, ""},
		{"dots in a name are none", "file:///open/a..b/...", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := auth.Check(context.Background(), &mcpauth.Call{
				Principal: caller, Operation: mcpauth.Operation{Method: "resources/read", Name: tt.uri},
			})
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			var refused *mcpauth.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tt.want, refused.Reason)
		})
	}
}
