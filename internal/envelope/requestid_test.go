package envelope_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/envelope"
)

var requestIDs = []struct {
	name string
	body string
	want string // empty: nil
}{
	{"a request", call(`{"name":"admin"}`), `1`},
	{"a request that Read refuses", call(`{"name":"admin","Name":"who"}`), `1`},
	{"a string", withID(`"a\u0041\"\ud83d\ude00"`), `"a\u0041\"\ud83d\ude00"`},
	{"a fraction that is none", withID(`1.0`), `1.0`},
	{"the id after the params", `{"method":"ping","params":{"a":[1,{"id":2}]},"jsonrpc":"2.0","id":3}`, `3`},
	{"an id of 256 bytes", withID(`"` + strings.Repeat("i", 254) + `"`), `"` + strings.Repeat("i", 254) + `"`},
	{"cut in the params", call(`{"name":"admin","arguments":{"a":"b`)[:70], `1`},
	{"cut in a character", `{"id":1,"method":"ping","params":{"a":"` + "\xc3", `1`},
	{"cut right behind id and method", `{"id":1,"method":"ping"`, `1`},
	{"64 KiB and more", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + strings.Repeat("x", 70_000) + `"}}`, `1`},

	{"nothing", ``, ``},
	{"no JSON", `hello`, ``},
	{"the id beyond 64 KiB", `{"method":"ping","params":{"x":"` + strings.Repeat("x", 70_000) + `"},"id":1}`, ``},
	{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ``},
	{"the id null", withID(`null`), ``},
	{"a response", `{"jsonrpc":"2.0","id":1,"result":{}}`, ``},
	{"an error response", `{"jsonrpc":"2.0","id":1,"error":{}}`, ``},
	{"method and result", `{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, ``},
	{"a batch", `[` + withID("1") + `]`, ``},
	{"two ids", `{"jsonrpc":"2.0","id":1,"method":"ping","id":2}`, ``},
	{"two methods", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}`, ``},
	{"duplicates deep below", call(`{"a":{"b":1,"b":2}}`), ``},
	{"ID beside id", `{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}`, ``},
	{"ID alone", `{"jsonrpc":"2.0","ID":2,"method":"ping"}`, ``},
	{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, ``},
	{"an id in a list", withID(`[1]`), ``},
	{"an id true", withID(`true`), ``},
	{"an id in an object", withID(`{"id":1}`), ``},
	{"an id 1.5", withID(`1.5`), ``},
	{"an id of 257 bytes", withID(`"` + strings.Repeat("i", 255) + `"`), ``},
	{"invalid UTF-8 in the id", withID("\"\xff\""), ``},
	{"a lone surrogate in the id", withID(`"\udc00"`), ``},
	{"a raw line feed in the id", withID("\"\n\""), ``},
	{"an empty method", `{"id":1,"method":""}`, ``},
	{"a method that is no string", `{"id":1,"method":1}`, ``},
	{"garbage behind the message", withID("1") + `x`, ``},
	{"a second message", withID("1") + withID("2"), ``},
	{"garbage in the message", `{"id":1,"method":"ping",x}`, ``},
	{"cut in the id", `{"method":"ping","id":12`, ``},
	{"cut in an id that is a string", `{"method":"ping","id":"12`, ``},
	{"cut before the method", `{"id":1,"jsonrpc":"2.0"`, ``},
	{"nested too deeply", `{"id":1,"method":"ping","params":` + nest(5000) + `}`, ``},
}

func TestHTTP01_RequestID(t *testing.T) {
	for _, tt := range requestIDs {
		t.Run("HTTP-01 "+tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, string(envelope.RequestID([]byte(tt.body))))
		})
	}
}

func TestHTTP01_RequestIDDoesNotAliasTheBody(t *testing.T) {
	body := []byte(withID(`"abc"`))
	id := envelope.RequestID(body)
	clear(body)
	require.Equal(t, `"abc"`, string(id))
}

func FuzzRequestID(f *testing.F) {
	for _, tt := range requestIDs {
		if len(tt.body) < 4096 {
			f.Add([]byte(tt.body), uint16(1<<15))
			f.Add([]byte(tt.body), uint16(len(tt.body)-len(tt.body)/4))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint16) {
		id := envelope.RequestID(body)
		if id != nil {
			require.LessOrEqual(t, len(id), 256)
			require.True(t, json.Valid(id))
			require.Contains(t, "\"-0123456789", string(id[:1]))
			var answer map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(`{"id":`+string(id)+`,"error":{}}`), &answer))
			require.Len(t, answer, 2)
		}
		env, err := envelope.Read(body, envelope.Options{})
		if err != nil {
			return
		}
		// A good body gives its own id, and so does any beginning of it, or none.
		want := env.Operations[0].ID
		if env.Operations[0].Kind != envelope.Request || len(want) > 256 {
			want = nil
		}
		if len(body) <= 64<<10 {
			require.Equal(t, string(want), string(id))
		}
		if part := envelope.RequestID(body[:min(int(cut), len(body))]); part != nil {
			require.True(t, bytes.Equal(want, part), "%s from a part, %s from all", part, want)
		}
	})
}
