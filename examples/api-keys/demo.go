package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/mcpauth"
)

// demonstrate plays the callers, and then those who are none. token is uma's, for reading.
func demonstrate(ctx context.Context, client *demo.Client, c callers, keys []mcpauth.APIKey, token string) error {
	inField := func(key string) demo.Credentials { return demo.Field("X-Api-Key", key) }
	partner := func(r *http.Request, body []byte) { sign(r, body, "acme", c.secret, time.Now()) }

	client.Step("What the server keeps of its keys")
	for _, k := range keys {
		ends := "never"
		if !k.Expiry.IsZero() {
			ends = k.Expiry.Format(time.DateOnly)
		}
		client.Note("%s... of %s, %q: scopes %v, roles %v, ends %s", k.Hash[:15], k.Owner, k.Name, k.Scopes, k.Roles, ends)
	}

	client.Step("A key in X-Api-Key, and the same as a bearer token")
	if err := client.Call(ctx, inField(c.reader), "whoami", nil, demo.Want{Text: `"sub":"uma"`}); err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(c.reader), "whoami", nil, demo.Want{Text: `"client_id":"laptop"`}); err != nil {
		return err
	}

	client.Step("What a tool sees of them: nothing")
	for _, who := range []demo.Credentials{inField(c.reader), demo.Bearer(c.reader)} {
		if err := client.Call(ctx, who, "show_headers", nil, demo.Want{Text: "Content-Type", Not: c.reader}); err != nil {
			return err
		}
	}

	client.Step("Lists show what the key opens. Nobody could add to it, so there is nothing to step up to")
	if err := client.List(ctx, inField(c.reader), "read_notes", "show_headers", "whoami"); err != nil {
		return err
	}
	if err := client.List(ctx, inField(c.admin), "purge_notes", "read_notes", "show_headers", "whoami", "write_note"); err != nil {
		return err
	}

	client.Step("A scope that the key lacks: 403 without a challenge")
	note := map[string]any{"text": "Deny first."}
	err := client.Call(ctx, inField(c.reader), "write_note", note, demo.Want{Status: 403, Reason: mcpauth.ReasonFixedGrant})
	if err != nil {
		return err
	}

	client.Step("The same with an access token of uma's: she can get more, so the list shows it and the challenge names it")
	if err := client.List(ctx, demo.Bearer(token), "read_notes", "show_headers", "whoami", "write_note"); err != nil {
		return err
	}
	err = client.Call(ctx, demo.Bearer(token), "write_note", note, demo.Want{
		Status: 403, Reason: mcpauth.ReasonInsufficientScope, Challenge: `error="insufficient_scope", scope="notes:read notes:write"`,
	})
	if err != nil {
		return err
	}

	client.Step("A partner signs its requests")
	if err := client.Call(ctx, partner, "whoami", nil, demo.Want{Text: `"client_id":"acme"`}); err != nil {
		return err
	}
	if err := client.Call(ctx, partner, "write_note", note, demo.Want{Text: "Noted."}); err != nil {
		return err
	}
	return refusals(ctx, client, c, token)
}

// refusals are 401 with every way to get in, but for the last one.
func refusals(ctx context.Context, client *demo.Client, c callers, token string) error {
	unknown, _ := mcpauth.NewAPIKey(keyPrefix)
	forAnother := func(r *http.Request, _ []byte) { sign(r, []byte(`{"method":"another"}`), "acme", c.secret, time.Now()) }
	late := func(r *http.Request, body []byte) { sign(r, body, "acme", c.secret, time.Now().Add(-time.Hour)) }
	another := func(r *http.Request, body []byte) { sign(r, body, "acme", []byte(strings.Repeat("x", 32)), time.Now()) }
	refused := demo.Want{Status: 401, Reason: mcpauth.ReasonCredentials, Challenge: `ApiKey header="X-Api-Key"`}
	expired := refused
	expired.Reason = mcpauth.ReasonTokenExpired
	for _, step := range []struct {
		title string
		who   demo.Credentials
		want  demo.Want
	}{
		{"Nothing at all", nil, demo.Want{Status: 401, Reason: mcpauth.ReasonNoCredentials, Challenge: "resource_metadata="}},
		{"A key that nobody has", demo.Field("X-Api-Key", unknown), refused},
		{"A key that nobody has, as a bearer token", demo.Bearer(unknown), demo.Want{Status: 401, Reason: mcpauth.ReasonCredentials, Challenge: `error="invalid_token"`}},
		{"A key that ended", demo.Field("X-Api-Key", c.expired), expired},
		{"A signature of another body", forAnother, refused},
		{"A signature of an hour ago", late, refused},
		{"A signature with another secret", another, refused},
		{"A key and a token at once", func(r *http.Request, body []byte) {
			demo.Field("X-Api-Key", c.reader)(r, body)
			demo.Bearer(token)(r, body)
		}, demo.Want{Status: 400, Reason: mcpauth.ReasonMultipleCredentials, Challenge: `error="invalid_request"`}},
	} {
		client.Step(step.title)
		if err := client.Call(ctx, step.who, "whoami", nil, step.want); err != nil {
			return err
		}
	}
	client.Done("keys, signatures and tokens at one endpoint, and one table of rules for all of them.")
	return nil
}
