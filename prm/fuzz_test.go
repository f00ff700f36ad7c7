package prm_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-mcpauth/sdk/prm"
	"github.com/stretchr/testify/require"
)

// FuzzUnmarshal: what is accepted can be written, reads back as itself, says the same as encoding/json, and has the same judgement.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{fullText, `{}`, `null`, `{"resource":"https://h","x":[1e400,-0,{"a":null}],"scopes_supported":[]}`, `{"Resource":"x"}`,
		`{"resource_name#fr":"","resource_name#":"x","resource_name#FR":"y"}`, `{"x":{"y":1,"y":2}}`, `{"signed_metadata":1}`, `{"x":"\ud800\u2028<"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first prm.Metadata
		if first.UnmarshalJSON(data) != nil {
			return
		}
		var loose struct {
			Resource string `json:"resource"`
		}
		require.NoError(t, json.Unmarshal(data, &loose))
		require.Equal(t, loose.Resource, first.Resource, "a reader that folds case must not find another resource")

		written, err := first.MarshalJSON()
		require.NoError(t, err)
		require.True(t, json.Valid(written))
		if len(written) > 200<<10 {
			return // escapes may carry it over the limit for reading
		}
		var second prm.Metadata
		require.NoError(t, second.UnmarshalJSON(written))
		again, err := second.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, string(written), string(again))
		require.Equal(t, first.Resource, second.Resource)
		if first.Validate() == nil {
			require.NoError(t, second.Validate())
		}
	})
}

// FuzzPreflight: nothing is allowed that was not asked for, and what is allowed is made of tokens.
func FuzzPreflight(f *testing.F) {
	for _, seed := range []string{"", "mcp-protocol-version", "B,a , \tX-C", ",a,,b,", "a, b c", "a\r\nSet-Cookie: x", "é", strings.Repeat("a,", 40)} {
		f.Add(seed)
	}
	h := newHandler(f, "https://h/mcp")
	f.Fuzz(func(t *testing.T, asked string) {
		w := serve(h, "OPTIONS", prefix+"/mcp", "Access-Control-Request-Headers", asked)
		require.Equal(t, 204, w.Code)
		got := w.Header().Get("Access-Control-Allow-Headers")
		if got == "" {
			return
		}
		require.LessOrEqual(t, len(got), 2048)
		require.Equal(t, strings.NewReplacer(" ", "", "\t", "").Replace(strings.ReplaceAll(got, ", ", ",")),
			strings.Join(strings.FieldsFunc(asked, func(r rune) bool { return strings.ContainsRune(", \t", r) }), ","))
		for name := range strings.SplitSeq(got, ", ") {
			require.Regexp(t, "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", name)
		}
	})
}

// FuzzIfNoneMatch: a 304 is sent exactly when net/http would send one for well-formed lists.
func FuzzIfNoneMatch(f *testing.F) {
	h := newHandler(f, "https://h/mcp")
	etag := serve(h, "GET", prefix+"/mcp").Header().Get("ETag")
	for _, seed := range []string{"", "*", etag, "W/" + etag, `"x", ` + etag, `"x` + etag, `"a,b",` + etag, `W/`, `"`, `"a b",` + etag, ",,*", `"x"*`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		if strings.ContainsAny(given, "\r\n") {
			return // no server hands these on
		}
		w := serve(h, "GET", prefix+"/mcp", "If-None-Match", given)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("If-None-Match", given)
		peer := httptest.NewRecorder()
		peer.Header().Set("ETag", etag)
		http.ServeContent(peer, r, "x.json", time.Time{}, bytes.NewReader([]byte("x")))
		require.Equal(t, peer.Code, w.Code, "%q", given)
	})
}
