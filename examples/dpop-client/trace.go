package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// A tracer prints requests and answers as they go over the wire. Tokens are printed as their length and
// proofs as what they say, so that nobody can use either.
type tracer struct {
	out  io.Writer
	base http.RoundTripper

	mu     sync.Mutex
	last   *http.Request // the last one that held a proof for a token
	proofs int           // requests that were accepted with a proof for a token
}

// RoundTrip prints an exchange when its answer has begun, so that concurrent ones do not mix.
func (t *tracer) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(req)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.printf("> %s %s %s", req.Method, req.URL, purpose(req))
	scheme, token, bound := strings.Cut(req.Header.Get("Authorization"), " ")
	if bound {
		t.printf("> Authorization: %s (%d bytes)", scheme, len(token))
	}
	if proof := req.Header.Get("DPoP"); proof != "" {
		t.printf("> DPoP: %s", describe(proof))
	}
	if err != nil {
		t.printf("< %v", err)
		return nil, err
	}
	t.printf("< %s", res.Status)
	for _, challenge := range res.Header.Values("WWW-Authenticate") {
		t.printf("< WWW-Authenticate: %s", challenge)
	}
	if nonce := res.Header.Get("DPoP-Nonce"); nonce != "" {
		t.printf("< DPoP-Nonce: %s", short(nonce))
	}
	if scheme == "DPoP" && res.StatusCode < 300 {
		t.last = req
		t.proofs++
	}
	return res, nil
}

// check wants to have seen what this example is to show.
func (t *tracer) check() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proofs == 0 {
		return errors.New("no request went through under the scheme DPoP: does the server accept it, and has the authorization server bound the token?")
	}
	return nil
}

// again returns a copy of the last accepted request with a token.
func (t *tracer) again(ctx context.Context) (*http.Request, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	req := t.last.Clone(ctx)
	if req.GetBody == nil {
		return req, nil
	}
	var err error
	req.Body, err = req.GetBody()
	return req, err
}

func (t *tracer) printf(format string, args ...any) {
	fmt.Fprintf(t.out, "  %s\n", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// purpose names the JSON-RPC method or the grant of a request.
func purpose(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return ""
	}
	if form, err := url.ParseQuery(string(data)); err == nil && form.Has("grant_type") {
		return "grant_type=" + form.Get("grant_type")
	}
	var message struct {
		Method string `json:"method"`
	}
	_ = json.Unmarshal(data, &message) // of another kind: no name
	return message.Method
}

// describe tells what a proof says, without its signature.
func describe(proof string) string {
	var header, claims map[string]any
	parts := strings.Split(proof, ".")
	if len(parts) != 3 || decode(parts[0], &header) != nil || decode(parts[1], &claims) != nil {
		return "(not readable)"
	}
	out := fmt.Sprint("alg=", header["alg"])
	for _, name := range []string{"htm", "htu", "iat", "jti", "ath", "nonce"} {
		switch v := claims[name].(type) {
		case nil:
		case float64:
			out += fmt.Sprintf(" %s=%.0f", name, v)
		default:
			text := fmt.Sprint(v)
			if name != "htu" {
				text = short(text)
			}
			out += fmt.Sprintf(" %s=%s", name, text)
		}
	}
	return out
}

func decode(part string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// short is enough of a value to tell it from another.
func short(s string) string {
	if len(s) > 12 {
		return s[:12] + "..."
	}
	return s
}
