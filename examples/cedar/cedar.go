// Package cedar plugs the policy engine Cedar (cedarpolicy.com) into mcpauth. It is an example to copy: a
// module of its own, so that a server without Cedar does not depend on it.
//
//	engine, err := cedar.New("policies.cedar", document)
//	auth, err := mcpauth.New(mcpauth.Config{
//		// ...
//		Policy:     engine.Check,
//		ListPolicy: engine.List,
//	})
//
// A policy sees
//
//	principal          User::"ID", the Principal.ID of the caller
//	action             Action::"tools/call", the method
//	resource           Tool::"name", Prompt::"name", Resource::"uri"; Server::"mcp" where there is no name
//	context.time       datetime
//	context.address    ipaddr, of the client; missing where it cannot be told
//	context.issuer     String, who vouches for the caller
//	context.subject    String
//	context.scopes     Set of String, after mapping; context.roles as well
//	context.claims     Record, of those claims that New was told to pass on
//	context.arguments  Record, of the call; {} without any
package cedar

import (
	"context"
	"errors"
	"fmt"

	engine "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/batch"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

// An Engine decides by policies. It does not change and is safe for concurrent use. The zero Engine
// permits nothing.
type Engine struct {
	Proxies  policy.Proxies // those whose word about the client's address is taken
	policies *engine.PolicySet
	claims   []string
}

// New parses a document of policies. The file name is for error messages; claims are the top-level claims
// that policies may look at.
func New(file string, document []byte, claims ...string) (*Engine, error) {
	policies, err := engine.NewPolicySetFromBytes(file, document)
	if err != nil {
		return nil, fmt.Errorf("cedar: %s: %w", file, err)
	}
	return &Engine{policies: policies, claims: claims}, nil
}

// Check is a mcpauth.Policy. It refuses what no policy permits, what one forbids, and whatever a policy
// could not evaluate: Cedar itself passes over such a policy, which would make a broken forbid permit.
func (e *Engine) Check(_ context.Context, call *mcpauth.Call) error {
	if e.policies == nil {
		return errors.New("cedar: there are no policies")
	}
	members, err := policy.Arguments(call)
	if err != nil {
		return err
	}
	arguments, err := record(members)
	if err != nil {
		return err
	}
	facts, err := e.facts(call, arguments)
	if err != nil {
		return err
	}
	decision, why := engine.Authorize(e.policies, nil, engine.Request{
		Principal: principal(call), Action: action(call), Resource: resource(call), Context: engine.NewRecord(facts),
	})
	return verdict(decision, why)
}

// List is a mcpauth.Policy for Config.ListPolicy: it hides what Check would refuse whatever the arguments
// were. Conditions that look at them do not count, see [batch.Ignore].
func (e *Engine) List(ctx context.Context, call *mcpauth.Call) error {
	if e.policies == nil {
		return errors.New("cedar: there are no policies")
	}
	facts, err := e.facts(call, batch.Ignore())
	if err != nil {
		return err
	}
	refused := errors.New("cedar: there was no decision")
	err = batch.Authorize(ctx, e.policies, nil, batch.Request{
		Principal: principal(call), Action: action(call), Resource: resource(call), Context: engine.NewRecord(facts),
	}, func(r batch.Result) error {
		refused = verdict(r.Decision, r.Diagnostic)
		return nil
	})
	return errors.Join(err, refused)
}

func verdict(decision engine.Decision, why engine.Diagnostic) error {
	switch {
	case len(why.Errors) > 0:
		return fmt.Errorf("cedar: %s cannot be evaluated", why.Errors[0].PolicyID)
	case decision == engine.Allow:
		return nil
	case len(why.Reasons) > 0:
		return fmt.Errorf("cedar: %s forbids it", why.Reasons[0].PolicyID)
	}
	return errors.New("cedar: no policy permits it")
}
