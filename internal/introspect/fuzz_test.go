package introspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/introspect"
)

// FuzzAnswer feeds the body of a 200. What counts as active is so to encoding/json as well, member by member;
// what counts as inactive says so; and nothing else is told of a token than that it cannot be known.
func FuzzAnswer(f *testing.F) {
	for _, tt := range answers {
		f.Add([]byte(tt.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newClient(t, introspect.Config{Fetch: quickRemote(says(200, string(body))).client(), Now: func() time.Time { return testNow }})
		a, err := c.Ask(context.Background(), token, hashOf(token))
		plain := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		broken := d.Decode(&plain)
		if err == nil {
			require.NoError(t, broken)
			require.Equal(t, plain, a.Claims)
			require.Equal(t, true, plain["active"])
			var folded struct{ Active bool }
			require.NoError(t, json.Unmarshal(body, &folded))
			require.True(t, folded.Active)
			require.False(t, a.Until.After(testNow.Add(time.Minute)))
			return
		}
		var refusal *introspect.Error
		require.True(t, errors.As(err, &refusal))
		require.Equal(t, refusal.Reason == introspect.ReasonInactive, !refusal.Unavailable)
		if !refusal.Unavailable {
			require.NoError(t, broken)
			require.Equal(t, false, plain["active"])
		}
	})
}

// FuzzSignedAnswer mutates signed answers. What is believed was signed exactly like that.
func FuzzSignedAnswer(f *testing.F) {
	signed := map[string]bool{}
	for _, claims := range []string{goodClaims, replaceOnce(goodClaims, "true", "false")} {
		for _, header := range []string{goodHeader, replaceOnce(goodHeader, `"kid":"k1"`, `"x":1`)} {
			s := sign(asKey, header, claims)
			signed[s] = true
			f.Add(s)
			f.Add(s + "=")
			f.Add(s[:len(s)-1])
			f.Add(sign(foreignKey, header, claims))
		}
	}
	f.Add(good)
	f.Add(bad)
	f.Fuzz(func(t *testing.T, body string) {
		_, err := signedClient(t, introspect.Config{}, body).Ask(context.Background(), token, hashOf(token))
		var refusal *introspect.Error
		if err == nil || errors.As(err, &refusal) && !refusal.Unavailable {
			require.True(t, signed[body], "believed %q", body)
		}
	})
}

func replaceOnce(s, old, new string) string {
	return string(bytes.Replace([]byte(s), []byte(old), []byte(new), 1))
}
