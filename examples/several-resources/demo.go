package main

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"net/http"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
)

// demonstrate plays a user of both servers. key is the one that she trusts for their metadata.
func demonstrate(ctx context.Context, out io.Writer, base, issuer string, key crypto.PublicKey, log *demo.Log) error {
	client := &demo.Client{Out: out, Log: log}
	mail, code := base+"/mail/mcp", base+"/code/mcp"

	client.Step("Each server has its own metadata (RFC 9728), signed, with a name in two languages")
	for _, s := range services {
		if err := metadata(ctx, client, base+s.path, s.french, key); err != nil {
			return err
		}
	}

	client.Step("Without a token, each one names its own metadata and scope")
	for _, s := range services {
		client.Resource = base + s.path
		want := demo.Want{Status: 401, Challenge: `resource_metadata="` + base + prm.WellKnownPrefix + s.path + `", scope="` + s.read + `"`}
		if err := client.Call(ctx, nil, "list_mail", nil, want); err != nil {
			return err
		}
	}

	client.Step("Ada signs in for mail")
	forMail, err := demo.Login(ctx, issuer, mail, "ada", "mail:read", "mail:send")
	if err != nil {
		return err
	}
	client.Resource = mail
	if err := client.List(ctx, demo.Bearer(forMail), "list_mail", "send_mail"); err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(forMail), "list_mail", nil, demo.Want{Text: "list_mail of Mail for ada"}); err != nil {
		return err
	}

	client.Step("The same token opens nothing at code: its audience is mail")
	client.Resource = code
	refused := demo.Want{Status: 401, Reason: mcpauth.ReasonAudience, Challenge: `error="invalid_token"`}
	if err := client.Call(ctx, demo.Bearer(forMail), "read_code", nil, refused); err != nil {
		return err
	}

	client.Step("So she signs in there as well. The tools of mail are unknown there, and merging needs a step-up")
	forCode, err := demo.Login(ctx, issuer, code, "ada", "code:read")
	if err != nil {
		return err
	}
	if err := client.List(ctx, demo.Bearer(forCode), "merge", "read_code"); err != nil {
		return err
	}
	if err := client.Call(ctx, demo.Bearer(forCode), "read_code", nil, demo.Want{Text: "read_code of Code for ada"}); err != nil {
		return err
	}
	stepUp := demo.Want{Status: 403, Reason: mcpauth.ReasonInsufficientScope, Challenge: `resource_metadata="` + base + prm.WellKnownPrefix + `/code/mcp"`}
	if err := client.Call(ctx, demo.Bearer(forCode), "merge", nil, stepUp); err != nil {
		return err
	}

	client.Step("And the token for code opens nothing at mail")
	client.Resource = mail
	if err := client.Call(ctx, demo.Bearer(forCode), "list_mail", nil, refused); err != nil {
		return err
	}
	client.Done("two servers, one process, and no token that is good for both.")
	return nil
}

// metadata fetches and verifies the document of a resource.
func metadata(ctx context.Context, client *demo.Client, resource, french string, key crypto.PublicKey) error {
	address, err := prm.WellKnownURL(resource)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client.Note("> GET %s", address)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	document, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	verifier := prm.Verifier{Resource: resource, Keys: []prm.VerificationKey{{ID: "metadata-1", Public: key}}}
	signed, err := verifier.Verify(document)
	if err != nil {
		return err
	}
	name := signed.Metadata.Languages["fr"].ResourceName
	client.Note("< %s, in French %s, signed by %s with %s", signed.Metadata.ResourceName, name, signed.Issuer, signed.Algorithm)
	if name != french {
		return fmt.Errorf("the French name is %q, want %q", name, french)
	}
	return nil
}
