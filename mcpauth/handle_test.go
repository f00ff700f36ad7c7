package mcpauth_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

func TestAUTHZ17_HandlesBelongToTheirCaller(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	ada, eve := callerOf(t, auth, is.token(t)), callerOf(t, auth, is.token(t, claims{"sub": "eve"}))
	otherClient := callerOf(t, auth, is.token(t, claims{"client_id": "other"}))
	key := bytes.Repeat([]byte{1}, 32)
	b, err := mcpauth.NewBinder(key)
	require.NoError(t, err)
	bound := b.Bind(ada, "task", "task-1")
	require.True(t, strings.HasPrefix(bound, "task-1."))

	open := func(b *mcpauth.Binder, p *mcpauth.Principal, purpose, handle string) string {
		got, err := b.Open(p, purpose, handle)
		if err != nil {
			require.ErrorIs(t, err, mcpauth.ErrHandle)
			require.Empty(t, got)
		}
		return got
	}
	require.Equal(t, "task-1", open(b, ada, "task", bound))
	require.Equal(t, "task-1", open(b, callerOf(t, auth, is.token(t, claims{"jti": "2"})), "task", bound), "another token of the same caller")
	clear(key)
	require.Equal(t, "task-1", open(b, ada, "task", bound), "the key was copied")

	replica, err := mcpauth.NewBinder(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	require.Equal(t, "task-1", open(replica, ada, "task", bound), "a replica with the same key")
	other, err := mcpauth.NewBinder(nil)
	require.NoError(t, err)

	for name, got := range map[string]string{
		"another user":                open(b, eve, "task", bound),
		"another client":              open(b, otherClient, "task", bound),
		"nobody":                      open(b, nil, "task", bound),
		"another purpose":             open(b, ada, "cursor", bound),
		"another key":                 open(other, ada, "task", bound),
		"another handle":              open(b, ada, "task", strings.Replace(bound, "task-1", "task-2", 1)),
		"an unbound handle":           open(b, ada, "task", "task-1"),
		"an empty handle":             open(b, ada, "task", ""),
		"a hash alone":                open(b, ada, "task", bound[len("task-1"):]),
		"a hash cut short":            open(b, ada, "task", bound[:len(bound)-2]),
		"an empty hash":               open(b, ada, "task", "task-1."),
		"something behind the hash":   open(b, ada, "task", bound+"A"),
		"a line break in the hash":    open(b, ada, "task", bound+"\n"),
		"purpose and handle shifted":  open(b, ada, "tas", "k"+bound),
		"the zero Binder":             open(&mcpauth.Binder{}, ada, "task", bound),
		"no Binder":                   open(nil, ada, "task", bound),
		"bound by the zero Binder":    (&mcpauth.Binder{}).Bind(ada, "task", "x"),
		"bound for nobody":            b.Bind(nil, "task", "x"),
		"bound for the zero identity": b.Bind(&mcpauth.Principal{}, "task", "x"),
		"an empty handle bound":       b.Bind(ada, "task", ""),
		"a huge handle bound":         b.Bind(ada, "task", strings.Repeat("x", 65<<10)),
	} {
		require.Empty(t, got, name)
	}
	_, err = mcpauth.NewBinder(make([]byte, 31))
	require.ErrorContains(t, err, "32")
	require.NotContains(t, fmt.Sprintf("%v", err), "\x00")
}

func FuzzBinder(f *testing.F) {
	is := newIssuer(f)
	auth, _ := newAuth(f, is, nil)
	ada, eve := callerOf(f, auth, is.token(f)), callerOf(f, auth, is.token(f, claims{"sub": "eve"}))
	b, err := mcpauth.NewBinder(bytes.Repeat([]byte{2}, 32))
	require.NoError(f, err)
	f.Add("task", "task-1", "task-1.x")
	f.Add("", "a.b.c", ".")
	f.Fuzz(func(t *testing.T, purpose, handle, foreign string) {
		if bound := b.Bind(ada, purpose, handle); bound != "" {
			got, err := b.Open(ada, purpose, bound)
			require.NoError(t, err)
			require.Equal(t, handle, got)
			_, err = b.Open(eve, purpose, bound)
			require.ErrorIs(t, err, mcpauth.ErrHandle)
		}
		// Nothing that was not bound opens.
		if got, err := b.Open(ada, purpose, foreign); err == nil {
			require.Equal(t, foreign, b.Bind(ada, purpose, got))
		}
	})
}
