package mcpauthtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	statelessRevision = "2026-07-28"
	sessionRevision   = "2025-11-25"
	maxAnswer         = 4 << 20
)

// A Client sends requests of MCP to a handler, in process, as the holder of a token, and shows the answer as
// it came: unlike a real client, it never logs in or steps up by itself. Make one with [Issuer.Client] or
// [NewClient]; the zero value does not work. It is for one goroutine.
type Client struct {
	// Token is sent in Authorization. Empty: the request has no credentials but those in Header.
	Token string

	// Key makes a DPoP proof for each request, for a token that is bound to it. Nil: a bearer token.
	Key *DPoPKey

	// Header is added to each request, for an API key or an Origin.
	Header http.Header

	// Peer is the address that requests come from, for limits on failures and conditions on addresses. Behind a
	// proxy it is the proxy's, and the client's stands in Header. Zero: 192.0.2.1.
	Peer netip.Addr

	// Sessions makes the client speak revision 2025-11-25 and open a session before its first request, for
	// handlers that are not stateless. Else it speaks revision 2026-07-28, which has none.
	Sessions bool

	// Now is the clock of proofs. Nil: time.Now.
	Now func() time.Time

	t         testing.TB
	handler   http.Handler
	resource  string
	transport *DPoPTransport // for Key
	session   string
	opened    bool
	requests  int
}

// Client returns a client that holds a [Issuer.Token] with these claims, bound to [Claims.Key] if there is
// one. The handler is the whole of what serves the resource, such as the mux of [mcpauth.Middleware.Mount].
func (is *Issuer) Client(handler http.Handler, c Claims) *Client {
	is.t.Helper()
	client := NewClient(is.t, handler, is.Resource, is.Token(c))
	client.Key, client.Now = c.Key, is.Now
	return client
}

// NewClient returns a client of the MCP server at resource, a URL that the handler serves, with a token; an
// empty one means no credentials.
func NewClient(t testing.TB, handler http.Handler, resource, token string) *Client {
	return &Client{Token: token, t: t, handler: handler, resource: resource}
}

// CallTool calls a tool with arguments: nil, or what encoding/json makes an object of. The result is nil
// where the call was refused: see the response, and the assertions of this package. A result that is an error
// of the tool itself is a result.
func (c *Client) CallTool(name string, arguments any) (*mcp.CallToolResult, *http.Response) {
	c.t.Helper()
	if arguments == nil {
		arguments = struct{}{}
	}
	text, resp := c.Do("tools/call", map[string]any{"name": name, "arguments": arguments})
	if text == nil {
		return nil, resp
	}
	result := new(mcp.CallToolResult)
	if err := json.Unmarshal(text, result); err != nil {
		c.t.Fatalf("mcpauthtest: the result of tools/call: %v\n%s", err, came(resp))
	}
	return result, resp
}

// ListTools returns the names of the tools on the first page of tools/list, nil where that was refused.
func (c *Client) ListTools() ([]string, *http.Response) {
	c.t.Helper()
	text, resp := c.Do("tools/list", nil)
	if text == nil {
		return nil, resp
	}
	var result struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal(text, &result); err != nil {
		c.t.Fatalf("mcpauthtest: the result of tools/list: %v\n%s", err, came(resp))
	}
	names := make([]string, len(result.Tools))
	for i, tool := range result.Tools {
		names[i] = tool.Name
	}
	return names, resp
}

// Do sends any request of JSON-RPC and returns its result, nil where it was refused, and the response, whose
// body can be read again. The test ends if the answer has status 200 and is no answer to the request.
func (c *Client) Do(method string, params map[string]any) (json.RawMessage, *http.Response) {
	c.t.Helper()
	if c.Sessions && !c.opened {
		c.opened = true
		resp := c.send("initialize", map[string]any{
			"protocolVersion": sessionRevision, "capabilities": map[string]any{}, "clientInfo": clientInfo,
		})
		result := c.result(resp)
		if result == nil {
			c.opened = false
			return nil, resp
		}
		c.session = resp.Header.Get("Mcp-Session-Id")
		c.send("notifications/initialized", nil)
	}
	resp := c.send(method, params)
	return c.result(resp), resp
}

var clientInfo = map[string]any{"name": "mcpauthtest", "version": "1"}

// send makes one request.
func (c *Client) send(method string, params map[string]any) *http.Response {
	c.t.Helper()
	all := maps.Clone(params)
	if all == nil {
		all = make(map[string]any)
	}
	if !c.Sessions {
		if _, ok := all["_meta"]; !ok {
			all["_meta"] = map[string]any{
				"io.modelcontextprotocol/protocolVersion": statelessRevision, "io.modelcontextprotocol/clientInfo": clientInfo,
				"io.modelcontextprotocol/clientCapabilities": map[string]any{},
			}
		}
	}
	message := map[string]any{"jsonrpc": "2.0", "method": method, "params": all}
	if !strings.HasPrefix(method, "notifications/") {
		c.requests++
		message["id"] = c.requests
	}
	body := object(message)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.resource, bytes.NewReader(body))
	if err != nil {
		c.t.Fatalf("mcpauthtest: a request to %s: %v", c.resource, err)
	}
	c.dress(req.Header, method, all)
	var transport http.RoundTripper = inProcess{c}
	if c.Key != nil && c.Token != "" {
		if c.transport == nil || c.transport.Key != c.Key {
			c.transport = &DPoPTransport{Key: c.Key, Base: transport, Now: c.Now}
		}
		c.transport.Bind(c.Token)
		transport = c.transport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		c.t.Fatalf("mcpauthtest: %s: %v", method, err)
	}
	return resp
}

// dress writes the header of a request (Streamable HTTP of each revision).
func (c *Client) dress(h http.Header, method string, params map[string]any) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	switch {
	case !c.Sessions:
		h.Set("Mcp-Protocol-Version", statelessRevision)
		h.Set("Mcp-Method", method)
		for _, name := range []string{"name", "uri"} {
			if value, ok := params[name].(string); ok {
				h.Set("Mcp-Name", value)
				break
			}
		}
	case method != "initialize":
		h.Set("Mcp-Protocol-Version", sessionRevision)
		if c.session != "" {
			h.Set("Mcp-Session-Id", c.session)
		}
	}
	if c.Token != "" {
		h.Set("Authorization", "Bearer "+c.Token)
	}
	for name, values := range c.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
}

// result reads the result out of an answer, nil where there is none.
func (c *Client) result(resp *http.Response) json.RawMessage {
	c.t.Helper()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	answer, err := readAnswer(resp)
	if err != nil {
		c.t.Fatalf("mcpauthtest: %v\n%s", err, came(resp))
	}
	return answer.Result
}

// An answer is a response of JSON-RPC 2.0, Section 5: it has a result or an error, never both.
type answer struct {
	Version string          `json:"jsonrpc"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// readAnswer reads the one answer in a response, which may be JSON or a stream of events.
func readAnswer(resp *http.Response) (answer, error) {
	body, err := readBody(resp)
	if err != nil {
		return answer{}, err
	}
	if isMediaType(resp.Header, "text/event-stream") {
		lines := bufio.NewScanner(bytes.NewReader(body))
		lines.Buffer(nil, maxAnswer)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data:")
			if !ok {
				continue
			}
			if a, ok := parseAnswer([]byte(data)); ok {
				return a, nil // others are notifications
			}
		}
		return answer{}, fmt.Errorf("no answer to the request in the stream of events")
	}
	a, ok := parseAnswer(body)
	if !ok {
		return a, fmt.Errorf("the body is no answer of JSON-RPC")
	}
	return a, nil
}

func parseAnswer(text []byte) (a answer, ok bool) {
	err := json.Unmarshal(text, &a)
	return a, err == nil && a.Version == "2.0" && (a.Result == nil) != (a.Error == nil)
}

// readBody reads the body of a response and puts an equal one in its place.
func readBody(resp *http.Response) ([]byte, error) {
	if resp.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the body is longer than %d bytes", maxAnswer)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	return body, err
}

// inProcess hands requests to the client's handler, without a network.
type inProcess struct{ client *Client }

// RoundTrip serves one request.
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	r := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), req.Body)
	r.Header, r.ContentLength = req.Header.Clone(), req.ContentLength
	if p.client.Peer.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(p.client.Peer, 1234).String() // the port that httptest has as well
	}
	w := httptest.NewRecorder()
	p.client.handler.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}
