//go:build e2e && unix

package e2e

import (
	"context"
	"io"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

// remoteClient is mcp-remote, which offers a remote server over standard input and output to applications that know no other way. The application here
// is the Go SDK, which sees nothing of the authorization.
type remoteClient struct {
	*desktop
	process *process
	session *mcp.ClientSession
}

// newRemoteClient starts mcp-remote. Mode is legacy, or auto to speak revision 2026-07-28 to servers that have it.
func newRemoteClient(t *testing.T, sys *system, p *person, mode string) *remoteClient {
	t.Helper()
	d := newDesktop(t, p)
	program := nodePackage(t, "mcp-remote", "dist", "proxy.js")
	return &remoteClient{desktop: d, process: startWith(t, d.env, nodeProgram(t), program, sys.resource, "--protocol", mode)}
}

func (c *remoteClient) connect(ctx context.Context) (revision, session string, err error) {
	err = c.do(ctx, func(ctx context.Context) (err error) {
		client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1.0.0"}, nil)
		c.session, err = client.Connect(ctx, &mcp.IOTransport{Reader: io.NopCloser(c.process.stdout), Writer: c.process.stdin},
			&mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
		return err
	})
	if err != nil {
		return "", "", err
	}
	if _, err := c.list(ctx); err != nil { // revision and session are in requests after the first only
		return "", "", err
	}
	revision, session = c.spoken()
	return revision, session, nil
}

func (c *remoteClient) list(ctx context.Context) (names []string, err error) {
	err = c.do(ctx, func(ctx context.Context) (err error) {
		names, err = listTools(ctx, c.session)
		return err
	})
	return names, err
}

func (c *remoteClient) call(ctx context.Context, tool string, arguments map[string]any) (text string, err error) {
	err = c.do(ctx, func(ctx context.Context) (err error) {
		text, err = callTool(ctx, c.session, tool, arguments)
		return err
	})
	return text, err
}

func (c *remoteClient) close(context.Context) error {
	return c.session.Close()
}

// mcp-remote 0.15.1 takes a declined step-up for one that is under way: for ten seconds it opens no other, and the call that wanted it waits in vain.
// The session itself goes on.
func TestE2E01_McpRemoteGoesOnAfterADeclinedStepUp(t *testing.T) {
	ctx := within(t)
	sys := newSystem(t, devAuthority, stateful...)
	uma := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}}, browser.Decision{Deny: true})
	c := newRemoteClient(t, sys, uma, "legacy")
	_, _, err := c.connect(ctx)
	require.NoError(t, err)
	requireDeclined(t, c, "write_note", map[string]any{"text": "Never."})
	requireWhoami(t, c, "uma", "notes:read")
	requireCall(t, c, "read_notes", nil, "You have no notes yet.")
	require.Len(t, uma.requests(), 2)
	require.NoError(t, c.close(ctx))
}
