//go:build e2e && unix

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

// redirectURL is where the clients want their users back. Nothing listens there: the browser stops before it.
const redirectURL = "http://127.0.0.1:33418/callback"

// A person sits in front of a client and signs in where it asks for that.
type person struct {
	name string

	mu      sync.Mutex
	browser *browser.Browser
	plan    []browser.Decision // of the next authorizations, in turn; after these: approve
	asked   []url.Values       // the parameters of the authorization requests so far
}

func newPerson(name string, plan ...browser.Decision) *person {
	return &person{name: name, browser: browser.New(), plan: plan}
}

// refusedError is an authorization that ended without a code.
type refusedError struct{ code string }

func (e *refusedError) Error() string { return "the authorization server said " + e.code }

// authorize opens an authorization URL and returns the parameters of the redirect.
func (p *person) authorize(ctx context.Context, target string) (*browser.Result, error) {
	back, err := p.visit(ctx, target)
	if err == nil && back.Error != "" {
		return nil, &refusedError{back.Error}
	}
	return back, err
}

// visit is authorize for somebody who takes a refusal back to the application too.
func (p *person) visit(ctx context.Context, target string) (*browser.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	p.asked = append(p.asked, u.Query())
	d := browser.Decision{}
	if len(p.plan) > 0 {
		d, p.plan = p.plan[0], p.plan[1:]
	}
	d.User = p.name
	back, err := p.browser.Authorize(ctx, target, d)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(back.URL.String(), u.Query().Get("redirect_uri")+"?") {
		return nil, fmt.Errorf("the browser was sent to %s", back.URL)
	}
	return back, nil
}

// requests returns the authorization requests so far.
func (p *person) requests() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]url.Values(nil), p.asked...)
}
