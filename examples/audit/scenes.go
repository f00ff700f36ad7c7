package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/examples/internal/notes"
)

// A scene is one request, and the status that it is to get.
type scene struct {
	name   string
	body   string
	header map[string]string
	status int
	change func(*http.Request) // nil: nothing
}

func call(tool, arguments string) string {
	name, _ := json.Marshal(tool) // a string always is JSON
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + string(name) + `,"arguments":` + arguments + `}}`
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

type claims = map[string]any

// token is good for a minute. Claims are added or, where they are nil, left out. Making it does not fail: all of it is JSON, and
// the key is our own.
func (s *stage) token(audience, subject, scope string, more claims) string {
	all := claims{"client_id": "desk", "scope": scope}
	maps.Copy(all, more)
	token, err := s.issuer.Token(audience, subject, time.Minute, all)
	if err != nil {
		panic(err)
	}
	return token
}

// scenes are the days of a notebook: what works, and what operators are asked about.
func (s *stage) scenes() []scene {
	const both = notes.ScopeRead + " " + notes.ScopeWrite
	token := func(subject, scope string, more claims) map[string]string {
		return bearer(s.token(s.resource, subject, scope, more))
	}
	read, write := call("read_notes", "{}"), call("write_note", `{"text":"The combination is 7-3-9"}`)
	return []scene{
		{"a client that has not signed in yet", read, nil, 401, nil},
		{"uma reads", read, token("uma", notes.ScopeRead, nil), 200, nil},
		{"uma writes, and has to ask for more", write, token("uma", notes.ScopeRead, nil), 403, nil},
		{"uma writes", write, token("uma", both, nil), 200, nil},
		{"a robot writes for uma, traced", write, with(token("uma", both, claims{"act": claims{"sub": "robot"}, "client_id": "robots"}),
			"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"), 200, nil},
		{"uma is no administrator", call("purge_notes", "{}"), token("uma", both, claims{"roles": []string{"user"}}), 403, nil},
		{"ada is", call("purge_notes", "{}"), token("ada", both, claims{"roles": []string{"admin"}}), 200, nil},
		{"a trainee may not write yet", write, token("trainee", both, nil), 403, nil},
		{"a key cannot step up", write, map[string]string{"X-Api-Key": s.apiKey}, 403, nil},
		{"a key reads", read, map[string]string{"X-Api-Key": s.apiKey}, 200, nil},
		{"a tool that there is not", call("reed_notes\n\x1b[2J", "{}"), token("uma", both, nil), 200, nil},
		{"a token that has expired", read, token("uma", both, claims{"iat": 1, "exp": 2}), 401, nil},
		{"a token for another server", read, bearer(s.token("https://mail.example.com/mcp", "uma", both, nil)), 401, nil},
		{"a token of another issuer", read, token("uma", both, claims{"iss": "https://login.example.com"}), 401, nil},
		{"a token that was revoked", read, token("left-the-company", both, nil), 401, nil},
		{"a token that is none", read, bearer("opaque-and-secret"), 401, nil},
		{"a page of another site", read, with(token("uma", both, nil), "Origin", "https://evil.example"), 403, nil},
		{"two readers would disagree", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"purge_notes","Name":"whoami"}}`, token("uma", both, nil), 400, nil},
	}
}

func with(header map[string]string, name, value string) map[string]string {
	header[name] = value
	return header
}

// play sends the requests in order.
func (s *stage) play(ctx context.Context, scenes []scene) error {
	for _, sc := range scenes {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.resource, strings.NewReader(sc.body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		for name, value := range sc.header {
			r.Header.Set(name, value)
		}
		if sc.change != nil {
			sc.change(r)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return err
		}
		if res.StatusCode != sc.status {
			return fmt.Errorf("%s: the answer is %s, not %d", sc.name, res.Status, sc.status)
		}
	}
	return nil
}
