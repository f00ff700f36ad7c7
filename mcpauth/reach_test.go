package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A walk goes through everything that can be reached from a value by reflection, unexported fields
// included, as loggers and debuggers do.
type walk struct {
	secret string
	found  []string // the ways to the secret
	texts  int      // what was compared

	seen map[visit]bool
}

type visit struct {
	at  uintptr
	typ reflect.Type
}

func (w *walk) text(s, way string) {
	w.texts++
	if strings.Contains(s, w.secret) {
		w.found = append(w.found, way)
	}
}

func (w *walk) into(v reflect.Value, way string) {
	switch v.Kind() {
	case reflect.String:
		w.text(v.String(), way)
	case reflect.Interface:
		if !v.IsNil() {
			w.into(v.Elem(), way+".("+v.Elem().Type().String()+")")
		}
	case reflect.Pointer:
		at := visit{v.Pointer(), v.Type()}
		if v.IsNil() || w.seen[at] {
			return
		}
		w.seen[at] = true
		w.into(v.Elem(), way)
	case reflect.Struct:
		for i := range v.NumField() {
			w.into(v.Field(i), way+"."+v.Type().Field(i).Name)
		}
	case reflect.Map:
		at := visit{v.Pointer(), v.Type()}
		if v.IsNil() || w.seen[at] {
			return
		}
		w.seen[at] = true
		for all := v.MapRange(); all.Next(); {
			w.into(all.Key(), way+"[key]")
			w.into(all.Value(), way+"[]")
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			w.text(string(b), way)
			return
		}
		for i := range v.Len() {
			w.into(v.Index(i), fmt.Sprint(way, "[", i, "]"))
		}
	}
}

func (w *walk) from(v any, way string) []string {
	w.seen = make(map[visit]bool)
	w.into(reflect.ValueOf(v), way)
	return w.found
}

// inProcess is a transport without goroutines, so that nothing changes under the walk.
type inProcess func(*http.Request) *http.Response

func (f inProcess) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// SEC-01, SEC-02, threat 95: what the SDK tells tools of the caller leads to no token: not to the request, nor to
// its context, in which net/http keeps the connection with all that was read from it.
func TestSEC02_TokenInfoLeadsToNoToken(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.HTTPClient = &http.Client{Transport: inProcess(func(r *http.Request) *http.Response {
			return serve(is.server.Config.Handler, r).Result()
		})}
	})
	token := is.token(t, claims{"email": "ada@example.com"})
	signature := token[strings.LastIndexByte(token, '.')+1:]
	var walked walk
	var written string
	var header http.Header
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "tell"}, func(_ context.Context, r *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		walked = walk{secret: signature}
		walked.from(r.Extra, "extra")
		header = r.Extra.Header
		inJSON, err := json.Marshal(r.Extra.TokenInfo)
		written = fmt.Sprintf("%v %+v %#v %s", r.Extra.TokenInfo, *r.Extra.TokenInfo, r.Extra.TokenInfo.Extra, inJSON)
		for _, v := range r.Extra.TokenInfo.Extra {
			written += fmt.Sprintf("%v %+v %#v", v, v, v)
		}
		return &mcp.CallToolResult{}, nil, err
	}, scopes.Authenticated())
	for _, stateless := range []bool{true, false} {
		walked = walk{}
		h := auth.Wrap(sdkHandler(server, stateless))
		id := ""
		if !stateless {
			id = openSession(t, h, token)
		}
		s := httptest.NewServer(h)
		defer s.Close()
		r := inSession(id, with(post(call("tell"), token), "Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"))
		r.Header.Set("Dpop", token)
		resp := do(t, s, r)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NotContains(t, string(body), "isError", "%s", body)
		require.Empty(t, walked.found)
		require.Greater(t, walked.texts, 20, "else nothing was walked")
		require.NotContains(t, written, signature)
		require.NotContains(t, written, "ada@example.com")
		require.Empty(t, header.Get("Authorization"))

		// The walk finds what there is.
		require.NotEmpty(t, (&walk{secret: signature}).from(post(call("tell"), token), "request"))
		hidden := struct{ deep map[string]any }{map[string]any{"x": []any{&struct{ b []byte }{[]byte("..." + token)}}}}
		require.NotEmpty(t, (&walk{secret: signature}).from(hidden, "hidden"))
	}
}
