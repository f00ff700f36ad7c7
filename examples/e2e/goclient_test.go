//go:build e2e && unix

package e2e

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// goClient is the Go SDK's client with its own authorization handler. The handler of v1.8.0 registers anew for every authorization, a step-up
// included, so that the caller becomes another client in the middle of a session.
type goClient struct {
	http     *recorder
	sends    *http.Client // through http, and perhaps with proofs
	endpoint string
	revision string
	handler  auth.OAuthHandler
	session  *mcp.ClientSession
}

func newGoClient(t *testing.T, sys *system, p *person, revision string) *goClient {
	t.Helper()
	c := &goClient{http: &recorder{}, endpoint: sys.resource, revision: revision}
	c.sends = &http.Client{Transport: c.http}
	return c.authorized(t, p)
}

// newBoundGoClient is newGoClient with a key for its tokens. The SDK itself knows bearer tokens only; its transport does the rest.
func newBoundGoClient(t *testing.T, sys *system, p *person, revision string) *goClient {
	t.Helper()
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	c := &goClient{http: &recorder{}, endpoint: sys.resource, revision: revision}
	c.sends = &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key, Base: c.http}}
	return c.authorized(t, p)
}

// authorized gives the client its authorization handler.
func (c *goClient) authorized(t *testing.T, p *person) *goClient {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "Go SDK", RedirectURIs: []string{redirectURL}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		Client: c.sends,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			back, err := p.authorize(ctx, args.URL)
			if err != nil {
				return nil, err
			}
			return &auth.AuthorizationResult{Code: back.Code, State: back.State, Iss: back.Issuer}, nil
		},
	})
	require.NoError(t, err)
	c.handler = handler
	return c
}

func (c *goClient) connect(ctx context.Context) (revision, session string, err error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1.0.0"}, nil)
	c.session, err = client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: c.endpoint, HTTPClient: c.sends, OAuthHandler: c.handler,
	}, &mcp.ClientSessionOptions{ProtocolVersion: c.revision})
	if err != nil {
		return "", "", err
	}
	return c.session.InitializeResult().ProtocolVersion, c.session.ID(), nil
}

func (c *goClient) list(ctx context.Context) ([]string, error) { return listTools(ctx, c.session) }

func (c *goClient) call(ctx context.Context, tool string, arguments map[string]any) (string, error) {
	return callTool(ctx, c.session, tool, arguments)
}

func listTools(ctx context.Context, session *mcp.ClientSession) ([]string, error) {
	var names []string
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

// callTool returns the text of a tool's result.
func callTool(ctx context.Context, session *mcp.ClientSession, tool string, arguments map[string]any) (string, error) {
	res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	if len(res.Content) != 1 {
		return "", errors.New("a result has one content here")
	}
	content, ok := res.Content[0].(*mcp.TextContent)
	if !ok || res.IsError {
		return "", errors.New("the tool failed")
	}
	return content.Text, nil
}

func (c *goClient) close(context.Context) error {
	if c.session == nil {
		return nil
	}
	return c.session.Close()
}

func (c *goClient) exchanges() []exchange { return c.http.all() }
func (c *goClient) secrets() []string     { return c.http.tokens() }

// A recorder is a transport that remembers what was exchanged, and the tokens that were sent.
type recorder struct {
	mu   sync.Mutex
	seen []exchange
	sent []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		r.sent = append(r.sent, token)
	}
	if err == nil {
		r.seen = append(r.seen, exchange{req.Method, req.URL.Path, res.StatusCode})
	}
	return res, err
}

func (r *recorder) all() []exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]exchange(nil), r.seen...)
}

func (r *recorder) tokens() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.sent...)
}
