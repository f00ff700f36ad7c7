package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
)

// demonstrate plays users of all issuers. now is the clock of the MCP server.
func demonstrate(ctx context.Context, client *demo.Client, staff string, customers *keycloak, now *demo.Clock) error {
	client.Step("Where to log in, says the metadata (RFC 9728)")
	if err := metadata(ctx, client, staff, customers.issuer("acme"), customers.issuer("globex")); err != nil {
		return err
	}

	client.Step("Ada of the staff signs in. Her role opens every tool")
	ada, err := demo.Login(ctx, staff, client.Resource, "ada", notes.ScopeRead, notes.ScopeWrite)
	if err != nil {
		return err
	}
	if err := client.List(ctx, demo.Bearer(ada), "purge_notes", "read_notes", "whoami", "write_note"); err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(ada), "write_note", map[string]any{"text": "Of the staff."}, demo.Want{Text: "Noted."}); err != nil {
		return err
	}

	client.Step("Ada of the customer acme has the same name and is somebody else")
	hers, err := customers.token("acme", "acme", nil)
	if err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(hers), "whoami", nil, demo.Want{Text: `"scopes":["openid","notes:write","notes:read"],"sub":"ada"`}); err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(hers), "read_notes", nil, demo.Want{Text: "no notes yet"}); err != nil {
		return err
	}

	client.Step("Acme has made her an admin, which is acme's business alone")
	if err := client.List(ctx, demo.Bearer(hers), "read_notes", "whoami", "write_note"); err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(hers), "purge_notes", nil, demo.Want{Status: 403, Reason: mcpauth.ReasonRole}); err != nil {
		return err
	}
	if err := forgeries(ctx, client, staff, customers); err != nil {
		return err
	}

	client.Step("The Keycloak breaks down. New tokens of a realm whose keys are known are still good, and so are those of the staff")
	another, err := customers.token("acme", "acme", nil)
	if err != nil {
		return err
	}
	customers.down.Store(true)
	for _, token := range []string{another, ada} {
		if err := client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{}); err != nil {
			return err
		}
	}

	client.Step("Nobody of globex has come before the breakdown, so nobody can tell: 503, and only for them")
	theirs, err := customers.token("globex", "globex", nil)
	if err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(theirs), "whoami", nil, demo.Want{Status: 503, Reason: mcpauth.ReasonKeysUnavailable}); err != nil {
		return err
	}

	client.Step("The same token a moment later, with the Keycloak back")
	customers.down.Store(false)
	now.Advance(10 * time.Second)
	if err := client.Call(ctx, demo.Bearer(theirs), "whoami", nil, demo.Want{Text: `"sub":"ada"`}); err != nil {
		return err
	}
	client.Done("three issuers, three Adas, and no key that opens another one's door.")
	return nil
}

// metadata wants exactly these authorization servers.
func metadata(ctx context.Context, client *demo.Client, want ...string) error {
	at, err := url.Parse(client.Resource)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Scheme+"://"+at.Host+"/.well-known/oauth-protected-resource"+at.Path, nil)
	if err != nil {
		return err
	}
	client.Note("> GET %s", req.URL)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var document prm.Metadata
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&document); err != nil {
		return err
	}
	client.Note("< authorization_servers: %s", strings.Join(document.AuthorizationServers, ", "))
	if !slices.Equal(document.AuthorizationServers, want) {
		return fmt.Errorf("the metadata lists %v, want %v", document.AuthorizationServers, want)
	}
	return nil
}

// forgeries are made with good keys of the Keycloak. All of them are refused.
func forgeries(ctx context.Context, client *demo.Client, staff string, customers *keycloak) error {
	for _, f := range []struct {
		title, realm, signer string
		changes              map[string]any
		reason               mcpauth.Reason
	}{
		{"A token of acme, signed with globex's key", "acme", "globex", nil, mcpauth.ReasonSignature},
		{"A token of the staff, signed with acme's key", "acme", "acme", map[string]any{"iss": staff, "aud": client.Resource}, mcpauth.ReasonAlgorithm},
		{"A token of acme's for another server", "acme", "acme", map[string]any{"aud": "billing"}, mcpauth.ReasonAudience},
		{"A token of initech, a realm of the same Keycloak that is not on the list", "initech", "initech", nil, mcpauth.ReasonUnknownIssuer},
	} {
		client.Step(f.title)
		token, err := customers.token(f.realm, f.signer, f.changes)
		if err != nil {
			return err
		}
		want := demo.Want{Status: 401, Reason: f.reason, Challenge: `error="invalid_token"`}
		if err := client.Call(ctx, demo.Bearer(token), "whoami", nil, want); err != nil {
			return err
		}
	}
	return nil
}
