package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

const (
	demoUser     = "uma"
	demoRedirect = "http://127.0.0.1:33418/callback" // nothing listens there: the browser stops before it
	demoRevision = "2025-11-25"
	maxAnswer    = 1 << 20
)

// A walker plays an MCP client that knows nothing but the URL of a server. Everything that it uses
// later, it has learned from an earlier answer.
type walker struct {
	out  io.Writer
	http *http.Client
	page *browser.Browser
	step int

	resource string
	token    string
	clientID string
	scope    string // of the present token
	auth     struct {
		Issuer        string `json:"issuer"`
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
		Registration  string `json:"registration_endpoint"`
	}
}

// walk goes the whole way from the first refusal to a stepped-up call and fails at the first answer
// that is not as it should be.
func walk(ctx context.Context, out io.Writer, resource string) error {
	w := &walker{out: out, http: &http.Client{Timeout: 30 * time.Second}, page: browser.New(), resource: resource}
	for _, step := range []func(context.Context) error{
		w.connectWithoutToken, w.register, w.signIn, w.initialize, w.listTools, w.readNotes, w.writeAndStepUp,
		w.readResource, w.getPrompt,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\nDone: one login, one step-up, and a tool that this user's role hides.\n")
	return nil
}

// connectWithoutToken finds out where tokens come from: 401, resource metadata, server metadata.
func (w *walker) connectWithoutToken(ctx context.Context) error {
	w.title("Connect without a token")
	res, err := w.rpc(ctx, "initialize", initializeParams)
	if err != nil {
		return err
	}
	if res.status != http.StatusUnauthorized {
		return fmt.Errorf("got %d without a token, want 401", res.status)
	}
	where := param(res.challenge, "resource_metadata")
	w.scope = param(res.challenge, "scope")

	w.title("Ask the resource where to log in (RFC 9728)")
	var resource struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	if err := w.get(ctx, where, &resource); err != nil {
		return err
	}
	if resource.Resource != w.resource || len(resource.Servers) == 0 {
		return fmt.Errorf("the metadata is about %q, not %q", resource.Resource, w.resource)
	}

	w.title("Ask the authorization server for its endpoints (RFC 8414)")
	if err := w.get(ctx, resource.Servers[0]+"/.well-known/oauth-authorization-server", &w.auth); err != nil {
		return err
	}
	if w.auth.Issuer != resource.Servers[0] {
		return fmt.Errorf("the metadata of %q names the issuer %q", resource.Servers[0], w.auth.Issuer)
	}
	return nil
}

func (w *walker) register(ctx context.Context) error {
	w.title("Register as a client (RFC 7591)")
	body, _ := json.Marshal(map[string]any{
		"client_name": "Quickstart demo", "redirect_uris": []string{demoRedirect}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	})
	res, err := w.do(ctx, http.MethodPost, w.auth.Registration, "application/json", body, nil)
	if err != nil {
		return err
	}
	var client struct {
		ID string `json:"client_id"`
	}
	if err := res.decode(http.StatusCreated, &client); err != nil {
		return err
	}
	w.clientID = client.ID
	return nil
}

// signIn gets a token for w.scope: browser, consent, code and PKCE.
func (w *walker) signIn(ctx context.Context) error {
	w.title("Sign in and consent in the browser, as " + demoUser)
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	target := w.auth.Authorization + "?" + url.Values{
		"response_type": {"code"}, "client_id": {w.clientID}, "redirect_uri": {demoRedirect}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"resource": {w.resource}, "scope": {w.scope},
	}.Encode()
	w.printf("> browser opens %s?...&resource=%s&scope=%s", w.auth.Authorization, w.resource, w.scope)
	back, err := w.page.Authorize(ctx, target, browser.Decision{User: demoUser})
	if err != nil {
		return err
	}
	if back.Error != "" || back.State != state || back.Issuer != w.auth.Issuer {
		return fmt.Errorf("the redirect says %s %s, iss %s", back.Error, back.ErrorDescription, back.Issuer)
	}
	w.printf("< redirect to %s with code, state and iss=%s (RFC 9207)", demoRedirect, back.Issuer)

	w.title("Exchange the code for a token")
	res, err := w.do(ctx, http.MethodPost, w.auth.Token, "application/x-www-form-urlencoded", []byte(url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Code}, "redirect_uri": {demoRedirect},
		"client_id": {w.clientID}, "code_verifier": {verifier}, "resource": {w.resource},
	}.Encode()), nil)
	if err != nil {
		return err
	}
	var token struct {
		Access string `json:"access_token"`
		Scope  string `json:"scope"`
	}
	if err := res.decode(http.StatusOK, &token); err != nil {
		return err
	}
	w.token = token.Access
	return nil
}

var initializeParams = map[string]any{
	"protocolVersion": demoRevision, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "quickstart", "version": "1"},
}

func (w *walker) initialize(ctx context.Context) error {
	w.title("Initialize, with the token")
	res, err := w.rpc(ctx, "initialize", initializeParams)
	if err != nil {
		return err
	}
	return res.decode(http.StatusOK, nil)
}

func (w *walker) listTools(ctx context.Context) error {
	w.title("List the tools: purge_notes asks for a role that this user lacks, so it is not there")
	res, err := w.rpc(ctx, "tools/list", map[string]any{})
	if err != nil {
		return err
	}
	var list struct {
		Result struct {
			Tools []struct {
				Name string `json:"name"`
			} `json:"tools"`
		} `json:"result"`
	}
	if err := res.decode(http.StatusOK, &list); err != nil {
		return err
	}
	var names []string
	for _, t := range list.Result.Tools {
		names = append(names, t.Name)
	}
	if want := []string{"read_notes", "whoami", "write_note"}; !slices.Equal(names, want) {
		return fmt.Errorf("the list shows %v, want %v", names, want)
	}
	return nil
}

func (w *walker) readNotes(ctx context.Context) error {
	w.title("Call a tool that this token may call")
	return w.call(ctx, "read_notes", map[string]any{})
}

func (w *walker) writeAndStepUp(ctx context.Context) error {
	w.title("Call a tool that asks for more")
	note := map[string]any{"text": "Deny first."}
	res, err := w.rpc(ctx, "tools/call", map[string]any{"name": "write_note", "arguments": note})
	if err != nil {
		return err
	}
	if res.status != http.StatusForbidden || param(res.challenge, "error") != "insufficient_scope" {
		return fmt.Errorf("got %d %q, want 403 insufficient_scope", res.status, res.challenge)
	}
	w.scope = param(res.challenge, "scope")
	if err := w.signIn(ctx); err != nil {
		return fmt.Errorf("stepping up: %w", err)
	}
	w.title("Call it again, with the new token")
	if err := w.call(ctx, "write_note", note); err != nil {
		return err
	}
	w.title("And read the note back")
	return w.call(ctx, "read_notes", map[string]any{})
}

func (w *walker) readResource(ctx context.Context) error {
	w.title("Read the notes as a resource: the same rule, by its URI")
	return w.result(ctx, "resources/read", map[string]any{"uri": "notes://mine"}, "Deny first.")
}

func (w *walker) getPrompt(ctx context.Context) error {
	w.title("And as a prompt, by its name")
	return w.result(ctx, "prompts/get", map[string]any{"name": "tidy_notes"}, "Deny first.")
}

// result wants a result that holds this text.
func (w *walker) result(ctx context.Context, method string, params map[string]any, want string) error {
	res, err := w.rpc(ctx, method, params)
	if err != nil {
		return err
	}
	if err := res.decode(http.StatusOK, nil); err != nil {
		return err
	}
	if !strings.Contains(string(res.body), want) {
		return fmt.Errorf("%s: no %q in %s", method, want, res.body)
	}
	return nil
}

// call calls a tool and wants a result.
func (w *walker) call(ctx context.Context, tool string, arguments map[string]any) error {
	res, err := w.rpc(ctx, "tools/call", map[string]any{"name": tool, "arguments": arguments})
	if err != nil {
		return err
	}
	var answer struct {
		Result *struct {
			IsError bool `json:"isError"`
		} `json:"result"`
	}
	if err := res.decode(http.StatusOK, &answer); err != nil {
		return err
	}
	if answer.Result == nil || answer.Result.IsError {
		return fmt.Errorf("%s failed: %s", tool, res.body)
	}
	return nil
}

func (w *walker) rpc(ctx context.Context, method string, params any) (*answer, error) {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": w.step, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	return w.do(ctx, http.MethodPost, w.resource, "application/json", body, http.Header{
		"Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {demoRevision},
	})
}

func (w *walker) get(ctx context.Context, target string, v any) error {
	res, err := w.do(ctx, http.MethodGet, target, "", nil, nil)
	if err != nil {
		return err
	}
	return res.decode(http.StatusOK, v)
}

type answer struct {
	status    int
	challenge string
	body      []byte
}

func (a *answer) decode(status int, v any) error {
	if a.status != status {
		return fmt.Errorf("got %d, want %d: %s", a.status, status, a.body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(a.body, v)
}

// do makes one request and prints it and its answer. Credentials are printed as their length.
func (w *walker) do(ctx context.Context, method, target, contentType string, body []byte, header http.Header) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	w.printf("> %s %s", method, target)
	if w.token != "" && target == w.resource {
		req.Header.Set("Authorization", "Bearer "+w.token)
		w.printf("> Authorization: Bearer (%d bytes)", len(w.token))
	}
	if len(body) > 0 {
		w.printf("> %s", redact(string(body)))
	}
	res, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	a := &answer{status: res.StatusCode, challenge: res.Header.Get("WWW-Authenticate"), body: data}
	w.printf("< %s", res.Status)
	if a.challenge != "" {
		w.printf("< WWW-Authenticate: %s", a.challenge)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		a.body = lastEvent(data)
	}
	if len(a.body) > 0 {
		w.printf("< %s", redact(string(bytes.TrimSpace(a.body))))
	}
	return a, nil
}

// lastEvent is the data of the last event of a stream: the answer to a call.
func lastEvent(stream []byte) []byte {
	var last []byte
	for line := range bytes.Lines(stream) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && len(bytes.TrimSpace(data)) > 0 {
			last = bytes.TrimSpace(data)
		}
	}
	return last
}

func (w *walker) title(s string) {
	w.step++
	fmt.Fprintf(w.out, "\n%d. %s\n", w.step, s)
}

func (w *walker) printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	const most = 600
	if len(line) > most {
		line = fmt.Sprintf("%s... (%d bytes)", line[:most], len(line))
	}
	fmt.Fprintf(w.out, "   %s\n", line)
}

var (
	secretMember = regexp.MustCompile(`"(access_token|refresh_token|id_token|registration_access_token)"\s*:\s*"([^"]*)"`)
	secretField  = regexp.MustCompile(`(^|&)(code|code_verifier|refresh_token)=([^&]*)`)
)

func redact(s string) string {
	s = secretMember.ReplaceAllString(s, `"$1":"(not shown)"`)
	return secretField.ReplaceAllString(s, `$1$2=(not shown)`)
}

// param reads a parameter of a challenge as clients do.
func param(challenge, name string) string {
	m := regexp.MustCompile(`\b` + name + `="([^"]*)"`).FindStringSubmatch(challenge)
	if m == nil {
		return ""
	}
	return m[1]
}
