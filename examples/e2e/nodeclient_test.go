//go:build e2e && unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

const answerTimeout = 30 * time.Second

// nodeClient is a client in Node.js in a process of its own; ts/client.mjs says how the two talk.
type nodeClient struct {
	process *process
	person  *person
	seen    []exchange
	tokens  []string
}

// newNodeClient starts the client of the TypeScript SDK. Generation is v1 or v2, mode is a version negotiation mode of v2: legacy, auto or a revision.
// With the binding dpop it holds a key.
func newNodeClient(t *testing.T, sys *system, p *person, generation, mode string, binding ...string) *nodeClient {
	t.Helper()
	nodePackage(t, "@modelcontextprotocol/client", "package.json")
	nodePackage(t, "@modelcontextprotocol/sdk", "package.json")
	return newScriptClient(t, p, append([]string{"client.mjs", generation, mode, sys.resource}, binding...)...)
}

// newScriptClient starts a script of the folder ts that is driven as client.mjs is.
func newScriptClient(t *testing.T, p *person, args ...string) *nodeClient {
	t.Helper()
	args[0] = filepath.Join("ts", args[0])
	return &nodeClient{process: start(t, nodeProgram(t), args...), person: p}
}

type nodeAnswer struct {
	Value     json.RawMessage
	Error     string
	Authorize string
	Exchanges []exchange
	Secrets   []string
}

// do gives a command and, where the client needs its user first, repeats it after that, as an application would.
func (c *nodeClient) do(ctx context.Context, command map[string]any, value any) error {
	answer, err := c.ask(command)
	if err != nil {
		return err
	}
	if answer.Authorize != "" {
		back, err := c.person.authorize(ctx, answer.Authorize)
		if err != nil {
			return err
		}
		if _, err := c.ask(map[string]any{"do": "finish", "query": back.URL.RawQuery}); err != nil {
			return err
		}
		if answer, err = c.ask(command); err != nil {
			return err
		}
	}
	if answer.Authorize != "" {
		return errors.New("the client wants its user to sign in again")
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}

func (c *nodeClient) ask(command map[string]any) (*nodeAnswer, error) {
	line, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	if _, err := c.process.stdin.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	text, err := c.process.line(answerTimeout)
	if err != nil {
		return nil, err
	}
	answer := &nodeAnswer{}
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		return nil, fmt.Errorf("%w in %q", err, text)
	}
	c.seen = append(c.seen, answer.Exchanges...)
	c.tokens = answer.Secrets
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer, nil
}

func (c *nodeClient) connect(ctx context.Context) (string, string, error) {
	var v struct{ Revision, Session string }
	err := c.do(ctx, map[string]any{"do": "connect"}, &v)
	return v.Revision, v.Session, err
}

func (c *nodeClient) list(ctx context.Context) (names []string, err error) {
	err = c.do(ctx, map[string]any{"do": "list"}, &names)
	return names, err
}

func (c *nodeClient) call(ctx context.Context, tool string, arguments map[string]any) (text string, err error) {
	err = c.do(ctx, map[string]any{"do": "call", "name": tool, "arguments": arguments}, &text)
	return text, err
}

func (c *nodeClient) close(ctx context.Context) error {
	return c.do(ctx, map[string]any{"do": "close"}, nil)
}

func (c *nodeClient) exchanges() []exchange { return c.seen }
func (c *nodeClient) secrets() []string     { return c.tokens }
