//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

// inspectorClient is MCP Inspector on the command line. Each command is a program run of its own; registration and tokens wait in its user's home.
type inspectorClient struct {
	*desktop
	t    *testing.T
	args []string
}

// newInspectorClient takes a protocol era: legacy, or modern for revision 2026-07-28.
func newInspectorClient(t *testing.T, sys *system, p *person, era string) *inspectorClient {
	t.Helper()
	c := newBareInspectorClient(t, p)
	// Called with an address and no configuration of OAuth, it answers a 403 with a refresh, which cannot widen a grant, and gives up.
	config, err := json.Marshal(map[string]any{"mcpServers": map[string]any{"notes": map[string]any{
		"type": "streamable-http", "url": sys.resource, "oauth": map[string]any{"requestRefreshToken": false},
	}}})
	require.NoError(t, err)
	file := filepath.Join(c.home, "mcp.json")
	require.NoError(t, os.WriteFile(file, config, 0o600))
	c.args = append(c.args, "--config", file, "--server", "notes", "--protocol-era", era,
		"--callback-url", "http://"+freeAddress(t)+"/oauth/callback")
	return c
}

// newBareInspectorClient knows of no server.
func newBareInspectorClient(t *testing.T, p *person) *inspectorClient {
	t.Helper()
	d := newDesktop(t, p)
	// No terminal is there to show a person at the machine; no keyring either.
	d.env = append(d.env, "MCP_AUTO_OPEN_ENABLED=true", "MCP_INSPECTOR_SECRET_STORE=file")
	program := nodePackage(t, "@modelcontextprotocol/inspector", "clients", "launcher", "build", "index.js")
	return &inspectorClient{desktop: d, t: t, args: []string{program, "--cli", "--format", "json"}}
}

// run runs one command and reads its result.
func (c *inspectorClient) run(ctx context.Context, result any, args ...string) error {
	return c.do(ctx, func(ctx context.Context) error {
		p := startWith(c.t, c.env, newNodeProgram(c.t), slices.Concat(c.args, args)...)
		defer p.stop()
		defer context.AfterFunc(ctx, p.stop)()
		// It asks before a step-up.
		if _, err := io.WriteString(p.stdin, "y\n"); err != nil {
			return err
		}
		out, err := io.ReadAll(p.stdout)
		if err != nil {
			return err
		}
		<-p.exited
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("inspector: exit status %d: %s", code, p.stderr.String())
		}
		return json.Unmarshal(out, &struct{ Result any }{result})
	})
}

func (c *inspectorClient) connect(ctx context.Context) (revision, session string, err error) {
	if _, err := c.list(ctx); err != nil {
		return "", "", err
	}
	revision, session = c.spoken()
	return revision, session, nil
}

func (c *inspectorClient) list(ctx context.Context) ([]string, error) {
	var result struct{ Tools []struct{ Name string } }
	if err := c.run(ctx, &result, "--method", "tools/list"); err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

func (c *inspectorClient) call(ctx context.Context, tool string, arguments map[string]any) (string, error) {
	if arguments == nil {
		arguments = map[string]any{}
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		return "", err
	}
	var result struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err := c.run(ctx, &result, "--method", "tools/call", "--tool-name", tool, "--tool-args-json", string(text)); err != nil {
		return "", err
	}
	if len(result.Content) != 1 || result.IsError {
		return "", errors.New("the tool failed")
	}
	return result.Content[0].Text, nil
}

// close has nothing to do: every command ended its own session.
func (c *inspectorClient) close(context.Context) error { return nil }

// A token in a header, as scripts have it: nobody is asked, whatever the server says.
func TestE2E01_InspectorWithATokenInAHeader(t *testing.T) {
	ctx := within(t)
	sys := newSystem(t, devAuthority, "-listing", "all")
	uma, nobody := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}}), newPerson("nobody")
	c := newInspectorClient(t, sys, uma, "legacy")
	_, _, err := c.connect(ctx)
	require.NoError(t, err)
	_, err = c.call(ctx, "purge_notes", nil)
	require.ErrorContains(t, err, "Forbidden", "the role that uma lacks")
	tokens := c.secrets()
	require.NotEmpty(t, tokens)

	script := newBareInspectorClient(t, nobody)
	script.args = append(script.args, "--server-url", sys.resource, "--transport", "http", "--stored-auth-only",
		"--header", "Authorization: Bearer "+tokens[len(tokens)-1])
	requireTools(t, script, "purge_notes", "read_notes", "whoami", "write_note")
	requireWhoami(t, script, "uma", "notes:read")
	requireCall(t, script, "read_notes", nil, "You have no notes yet.")
	for tool, said := range map[string]string{"write_note": "Insufficient scope", "purge_notes": "Forbidden"} {
		before := len(script.exchanges())
		_, err = script.call(ctx, tool, map[string]any{"text": "Never."})
		require.ErrorContains(t, err, said)
		requireInOrder(t, script.exchanges()[before:], []exchange{{http.MethodPost, pathMCP, 403}})
	}
	requireCall(t, script, "read_notes", nil, "You have no notes yet.")
	require.Empty(t, nobody.requests())
	require.Len(t, uma.requests(), 1)
}

// Inspector 2.12.0 with nothing but an address signs in, but cannot step up: it refreshes, and takes the new token for a mistake. Others of its commands
// still work.
func TestE2E01_InspectorWithoutConfigurationCannotStepUp(t *testing.T) {
	ctx := within(t)
	sys := newSystem(t, devAuthority)
	uma := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}})
	c := newBareInspectorClient(t, uma)
	c.args = append(c.args, "--server-url", sys.resource, "--transport", "http", "--callback-url", "http://"+freeAddress(t)+"/oauth/callback")
	requireTools(t, c, "read_notes", "whoami", "write_note")
	before := len(c.exchanges())
	_, err := c.call(ctx, "write_note", map[string]any{"text": "Never."})
	require.ErrorContains(t, err, "returned AUTHORIZED", "Inspector steps up now: this test has lost its point")
	requireInOrder(t, c.exchanges()[before:], []exchange{{http.MethodPost, pathMCP, 403}, {http.MethodPost, pathToken, 200}})
	requireCall(t, c, "read_notes", nil, "You have no notes yet.")
	require.Len(t, uma.requests(), 1)
}
