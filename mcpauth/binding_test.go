package mcpauth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

func TestHTTP13_SessionPerUser(t *testing.T) {
	for _, perUser := range []bool{false, true} {
		is := newIssuer(t)
		auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.SessionPerUser = perUser })
		h := auth.Wrap(sdkHandler(newServer(auth), false))
		for _, tt := range []struct {
			name   string
			opener claims
			caller claims
			always bool // whatever SessionPerUser says
			shared bool // where it is set
		}{
			{"the same user and client", claims{}, claims{}, true, true},
			{"another client of the same user", claims{}, claims{"client_id": "other"}, false, true},
			{"another user of the same client", claims{}, claims{"sub": "eve"}, false, false},
			{"a client without a user, and another", claims{"sub": nil, "client_id": "one"}, claims{"sub": nil, "client_id": "two"}, false, false},
			{"a client without a user", claims{"sub": nil}, claims{"sub": nil}, true, true},
			{"a user named like a client", claims{"sub": nil, "client_id": "bot"}, claims{"sub": "bot", "client_id": "bot"}, false, false},
		} {
			id := openSession(t, h, is.token(t, tt.opener))
			w := serve(h, inSession(id, post(call("whoami"), is.token(t, tt.caller))))
			want := http.StatusForbidden
			if tt.always || perUser && tt.shared {
				want = http.StatusOK
			}
			require.Equal(t, want, w.Code, "%s, per user: %t", tt.name, perUser)
			require.Empty(t, w.Header()["Www-Authenticate"], "a step-up would not help")
		}
	}
}
