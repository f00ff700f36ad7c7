package mcpauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

// A meter measures how much memory stands ready for a body of which nothing has come.
type meter struct{ first int }

func (m *meter) Read(p []byte) (int, error) {
	if m.first == 0 {
		m.first = len(p)
	}
	return 0, io.EOF
}

func (*meter) Close() error { return nil }

// HTTP-21: a length is a promise that costs its sender nothing. Without a token, next to nothing is allocated
// for it, and with one no more than 128 KiB.
func TestHTTP21_ADeclaredLengthIsNotAllocated(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("whoami", scopes.Authenticated())
	h := auth.Wrap(http.NotFoundHandler())
	for _, c := range []struct {
		name     string
		token    string
		declared int64
		status   int
		most     int
	}{
		{"no token", "", 64 << 10, http.StatusUnauthorized, 4 << 10},
		{"a bad token", "x.y.z", 64 << 10, http.StatusUnauthorized, 4 << 10},
		{"a good token", is.token(t), 4 << 20, http.StatusBadRequest, 128<<10 + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := &meter{}
			r := post("", c.token)
			r.Body, r.ContentLength = body, c.declared
			require.Equal(t, c.status, serve(h, r).Code)
			require.Positive(t, body.first, "else nothing was measured")
			require.LessOrEqual(t, body.first, c.most)
		})
	}
}

// The id of a refusal is that of a body that is as long as declared, within 64 KiB.
func TestHTTP21_TheIDOfARefusalNeedsTheWholeBody(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(http.NotFoundHandler())
	body := call("whoami") + strings.Repeat(" ", 5000)
	for declared, want := range map[int64]string{int64(len(body)): `"id":7`, int64(len(body)) + 1: `"id":null`, 64<<10 + 1: `"id":null`} {
		r := post(body, "")
		r.ContentLength = declared
		w := serve(h, r)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		if want == `"id":7` {
			require.Contains(t, w.Body.String(), want)
		} else {
			require.NotContains(t, w.Body.String(), `"id":7`)
		}
	}
}

// AUTHZ-11: JSON is UTF-8 (RFC 8259, Section 8.1). Its usual misspelling means the same to everybody; any
// other charset is one that another reader would follow.
func TestAUTHZ11_Charsets(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for value, status := range map[string]int{
		"application/json":                     http.StatusOK,
		"application/json; charset=utf-8":      http.StatusOK,
		"application/json;charset=\"UTF-8\"":   http.StatusOK,
		"application/json; charset=utf8":       http.StatusOK,
		"application/json; charset=UTF8":       http.StatusOK,
		"application/json; charset=utf-7":      http.StatusUnsupportedMediaType,
		"application/json; charset=utf-16":     http.StatusUnsupportedMediaType,
		"application/json; charset=iso-8859-1": http.StatusUnsupportedMediaType,
		"application/json; charset=utf-8-x":    http.StatusUnsupportedMediaType,
		"application/json; charset=":           http.StatusUnsupportedMediaType,
	} {
		w := serve(h, with(post(call("whoami"), is.token(t)), "Content-Type", value))
		require.Equal(t, status, w.Code, "%s: %s", value, w.Body)
	}
}
