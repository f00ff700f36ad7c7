package mcpauth_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// A long token is remembered by all of its bytes, not by those that fit some buffer.
func TestCache_LongTokensThatBeginAlike(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	padding := strings.Repeat("x", 4<<10)
	mint := func(user string) string {
		return is.token(t, claims{"scope": "mcp:read", "a": padding, "sub": user}) // members are written in alphabetical order
	}
	ada, eve := mint("ada"), mint("eve")
	require.Equal(t, ada[:2<<10], eve[:2<<10])
	require.Contains(t, serve(h, post(call("whoami"), ada)).Body.String(), "whoami ada")
	require.Contains(t, serve(h, post(call("whoami"), eve)).Body.String(), "whoami eve")
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), ada[:len(ada)-8]+"AAAAAAAA")).Code)
}

// Config.CachedTokens: negative remembers nothing, zero a lot, and a number no more than that.
func TestCache_Size(t *testing.T) {
	is := newIssuer(t)
	for size, want := range map[int]int{-1: 0, 0: 20, 5: 5} {
		h, auth, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.CachedTokens = size })
		kept := 0
		var tokens []string
		for i := range 20 {
			tokens = append(tokens, is.token(t, claims{"scope": "mcp:read", "jti": strconv.Itoa(i)}))
			require.Equal(t, 200, serve(h, post(call("whoami"), tokens[i])).Code)
		}
		for _, token := range tokens {
			if it, _ := mcpauth.Remembers(auth, token); it {
				kept++
			}
		}
		require.LessOrEqual(t, kept, want, "%d", size)
		require.Equal(t, want > 0, kept > 0, "%d", size)
		require.Equal(t, want == 20, kept == 20, "%d", size)
	}
}

// What is remembered lasts as long as the token does, leeway included, and no longer.
func TestCache_LastsAsLongAsTheToken(t *testing.T) {
	is := newIssuer(t)
	h, auth, clock := newBased(t, is, nil)
	token := is.token(t, claims{"scope": "mcp:read", "exp": epoch.Add(time.Hour).Unix(), "nbf": epoch.Unix()})
	remembered := func() bool { it, _ := mcpauth.Remembers(auth, token); return it }
	send := func() int { return serve(h, post(call("whoami"), token)).Code }
	clock.advance(-20 * time.Second)
	require.Equal(t, 200, send())
	require.True(t, remembered())
	clock.set(epoch.Add(time.Hour + 20*time.Second))
	require.True(t, remembered())
	require.Equal(t, 200, send())
	clock.set(epoch.Add(time.Hour + 30*time.Second))
	require.False(t, remembered())
	require.Equal(t, 401, send())

	clock.set(epoch)
	require.Equal(t, 200, send())
	clock.advance(-time.Minute) // put back, before nbf
	require.Equal(t, 401, send())
	require.False(t, remembered(), "what is refused takes no room")
}

// Threats 84 to 91: one user with many clients takes no room from the others.
func TestCache_OneUserLeavesRoom(t *testing.T) {
	is := newIssuer(t)
	h, auth, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.CachedTokens = 8 })
	modest := is.token(t, claims{"scope": "mcp:read", "sub": "modest"})
	require.Equal(t, 200, serve(h, post(call("whoami"), modest)).Code)
	for i := range 100 {
		greedy := is.token(t, claims{"scope": "mcp:read", "sub": "greedy", "client_id": strconv.Itoa(i)})
		require.Equal(t, 200, serve(h, post(call("whoami"), greedy)).Code)
	}
	it, _ := mcpauth.Remembers(auth, modest)
	require.True(t, it)
}

// A token counts by its length, and a bound one with room for the key of its proofs, which is kept.
func TestCache_Bytes(t *testing.T) {
	is := newIssuer(t)
	h, auth, _ := newBased(t, is, nil)
	token := is.token(t, claims{"scope": "mcp:read", "a": strings.Repeat("x", 8<<10)})
	require.Equal(t, 200, serve(h, post(call("whoami"), token)).Code)
	before := mcpauth.RememberedBytes(auth)
	require.Greater(t, before, int64(4*len(token)))
	k := newHolder(t, "")
	bound := k.bound(t, is, claims{"scope": "mcp:read"})
	require.Equal(t, 200, serve(h, k.signed(post(call("whoami"), ""), bound)).Code)
	require.Greater(t, mcpauth.RememberedBytes(auth)-before, int64(4*len(bound)+2<<10))
	_, key := mcpauth.Remembers(auth, bound)
	require.True(t, key)
}

// The client chooses what else the header of its proof holds: what is too large to be set aside is checked
// anew with each request.
func TestCache_LargeProofHeadersAreNotKept(t *testing.T) {
	is := newIssuer(t)
	h, auth, _ := newBased(t, is, nil)
	k := newHolder(t, "")
	token := k.bound(t, is, claims{"scope": "mcp:read"})
	for range 2 {
		large := k.signed(post(call("whoami"), ""), token, header("kid", strings.Repeat("x", 2600)))
		require.Equal(t, 200, serve(h, large).Code)
		it, key := mcpauth.Remembers(auth, token)
		require.True(t, it)
		require.False(t, key)
	}
}

// An opaque token counts by what the authorization server says of it: a short one may stand for thousands of groups. It is
// remembered all the same, however many there are.
func TestCache_BytesOfOpaqueTokens(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	h, auth, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "x"}
	})
	remember := func(token string, groups int) int64 {
		o.answer = func(string) (int, any) {
			list := make([]string, groups)
			for i := range list {
				list[i] = "group-number-" + strconv.Itoa(i)
			}
			return 200, active(is, claims{"groups": list})
		}
		before := mcpauth.RememberedBytes(auth)
		require.Equal(t, 200, serve(h, post(call("whoami"), token)).Code)
		it, _ := mcpauth.Remembers(auth, token)
		require.True(t, it)
		return mcpauth.RememberedBytes(auth) - before
	}
	few := remember("few", 1)
	require.Greater(t, remember("some", 301)-few, int64(300*len("group-number-123")))
	require.Greater(t, remember("many", 10_000)-few, int64(48<<10))
}
