package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/policy"
	"github.com/go-mcpauth/sdk/scopes"
)

// A misspelled pattern is found wherever it stands (nobody else would notice that it refuses nothing).
func TestVerify(t *testing.T) {
	catalog := scopes.Catalog{Items: []scopes.Item{
		{Kind: scopes.Tool, Name: "send_mail"}, {Kind: scopes.Tool, Name: "pay"}, {Kind: scopes.Prompt, Name: "deploy"},
		{Kind: scopes.Resource, Name: "file:///x"},
	}}
	never := policy.Condition{}
	for _, tt := range []struct {
		name      string
		condition policy.Condition
		missing   []string
	}{
		{"one tool", policy.For("tools/call pay", never), nil},
		{"several tools", policy.For("tools/call send_*", never), nil},
		{"all tools", policy.For("tools/call *", never), nil},
		{"a prompt", policy.For("prompts/get deploy", never), nil},
		{"a method needs no target", policy.For("resources/subscribe", never), nil},
		{"no pattern at all", policy.Not(policy.Claim("/x", 1)), nil},
		{"the zero Condition", never, nil},
		{"a misspelled tool", policy.For("tools/call Pay", never), []string{"tools/call Pay"}},
		{"a misspelled beginning", policy.For("tools/call snd_*", never), []string{"tools/call snd_*"}},
		{"the name of a tool for a prompt", policy.For("prompts/get pay", never), []string{"prompts/get pay"}},
		{"the name of a prompt for a tool", policy.For("tools/call deploy", never), []string{"tools/call deploy"}},
		{"a resource is no tool", policy.For("tools/call file:///x", never), []string{"tools/call file:///x"}},
		{"two of three", policy.And(policy.For("tools/call a", never), policy.And(policy.For("tools/call pay", never), policy.For("tools/call b", never))),
			[]string{"tools/call a", "tools/call b"}},
		{"one inside of another", policy.For("tools/call", policy.For("tools/call b", never)), []string{"tools/call b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.condition.Verify(catalog)
			if tt.missing == nil {
				require.NoError(t, err)
				return
			}
			require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), len(tt.missing))
			for _, pattern := range tt.missing {
				require.ErrorContains(t, err, `the condition for "`+pattern+`" has no target`)
			}
		})
	}
}
