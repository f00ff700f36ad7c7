package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

// One condition of each truth value.
var (
	yes    = policy.Func("yes", func(context.Context, *mcpauth.Call) (bool, error) { return true, nil })
	no     = policy.Func("no", func(context.Context, *mcpauth.Call) (bool, error) { return false, nil })
	doubt  = policy.Func("doubt", func(context.Context, *mcpauth.Call) (bool, error) { return true, errors.New("db says maybe") })
	outage = policy.Func("outage", func(context.Context, *mcpauth.Call) (bool, error) {
		return true, fmt.Errorf("db: %w", mcpauth.ErrUnavailable)
	})
	panicky = policy.Func("panicky", func(context.Context, *mcpauth.Call) (bool, error) { panic("secret") })
	zero    policy.Condition
)

func tool(name, arguments string) *mcpauth.Call {
	call := &mcpauth.Call{Operation: mcpauth.Operation{Method: "tools/call", Name: name}}
	if arguments != "" {
		call.Arguments = json.RawMessage(arguments)
	}
	return call
}

// verdict tells the truth value of a condition for a call. Only what does not hold makes its Not hold.
func verdict(t testing.TB, c policy.Condition, call *mcpauth.Call) string {
	t.Helper()
	err := c.Check(context.Background(), call)
	turned := policy.Not(c).Check(context.Background(), call)
	switch {
	case err == nil:
		require.Error(t, turned)
		return "yes"
	case errors.Is(err, mcpauth.ErrUnavailable):
		require.ErrorIs(t, turned, mcpauth.ErrUnavailable, "Not of an outage is an outage")
		return "outage"
	case turned == nil:
		return "no"
	}
	require.NotErrorIs(t, turned, mcpauth.ErrUnavailable)
	return "doubt"
}

// The whole of And, Or and Not: Kleene's tables, with two kinds of what cannot be told.
func TestTruthTables(t *testing.T) {
	values := []policy.Condition{yes, no, doubt, outage}
	names := []string{"yes", "no", "doubt", "outage"}
	and := [4][4]string{
		{"yes", "no", "doubt", "outage"},
		{"no", "no", "no", "no"},
		{"doubt", "no", "doubt", "doubt"},
		{"outage", "no", "doubt", "outage"},
	}
	or := [4][4]string{
		{"yes", "yes", "yes", "yes"},
		{"yes", "no", "doubt", "outage"},
		{"yes", "doubt", "doubt", "outage"},
		{"yes", "outage", "outage", "outage"},
	}
	not := [4]string{"no", "yes", "doubt", "outage"}
	call := tool("t", "")
	for i, a := range values {
		require.Equal(t, names[i], verdict(t, a, call))
		require.Equal(t, not[i], verdict(t, policy.Not(a), call), "not %s", a)
		require.Equal(t, names[i], verdict(t, policy.And(a), call))
		require.Equal(t, names[i], verdict(t, policy.Or(a), call))
		require.Equal(t, names[i], verdict(t, policy.Not(policy.Not(a)), call))
		for j, b := range values {
			require.Equal(t, and[i][j], verdict(t, policy.And(a, b), call), "%s and %s", a, b)
			require.Equal(t, or[i][j], verdict(t, policy.Or(a, b), call), "%s or %s", a, b)
			require.Equal(t, and[i][j], verdict(t, policy.And(a, yes, b, yes), call), "yes changes no And")
			require.Equal(t, or[i][j], verdict(t, policy.Or(no, a, b, no), call), "no changes no Or")
			// In a list nothing here depends on arguments, so it decides alike.
			for _, c := range []policy.Condition{policy.And(a, b), policy.Or(a, b), policy.Not(policy.And(a, b))} {
				require.Equal(t, c.Check(t.Context(), call) == nil, c.List(t.Context(), call) == nil, "%s", c)
			}
		}
	}
}

// Expensive parts are put last, so they must not be asked once the others have decided.
func TestPartsAreAskedUpToTheOneThatDecides(t *testing.T) {
	asked := 0
	expensive := policy.Func("expensive", func(context.Context, *mcpauth.Call) (bool, error) { asked++; return true, nil })
	call := tool("t", "")
	require.Error(t, policy.And(doubt, no, expensive).Check(t.Context(), call))
	require.NoError(t, policy.Or(doubt, yes, expensive).Check(t.Context(), call))
	require.NoError(t, policy.For("tools/call other", expensive).Check(t.Context(), call))
	require.Zero(t, asked)
	require.Error(t, policy.And(doubt, expensive).Check(t.Context(), call), "which could still be no")
	require.NoError(t, policy.Or(outage, expensive).Check(t.Context(), call))
	require.Equal(t, 2, asked)
}

// SEC-05: what nobody thought of refuses, and so does its opposite.
func TestSEC05_DoubtRefusesAndSoDoesItsOpposite(t *testing.T) {
	for name, c := range map[string]policy.Condition{
		"the zero Condition": zero, "And of nothing": policy.And(), "Or of nothing": policy.Or(),
		"And with a zero": policy.And(yes, zero), "Or of zeros": policy.Or(zero, zero),
		"a panic": panicky, "no prefixes": policy.From(), "no values": policy.Claim[string]("/tenant"), "no tenants": policy.Tenant("/tenant"),
		"no regions": policy.Region(neverAsked), "no days": policy.During(policy.Hours{Zone: utc, Days: noDays, From: "00:00", To: "24:00"}),
		"no address": policy.From(prefix("0.0.0.0/0"), prefix("::/0")), "no time": policy.During(policy.Hours{Zone: utc, From: "00:00", To: "24:00"}),
		"no claim": policy.Claim("/tenant", "acme"), "nobody": policy.Delegated(),
	} {
		call := tool("t", `{}`)
		switch name {
		case "no days", "no prefixes", "no values", "no tenants", "no regions": // whatever comes
			call.Time, call.RemoteAddr, call.Principal = at(t, "2026-06-01T12:00:00Z"), "192.0.2.7:1", caller(t, `{"tenant":"acme"}`)
		}
		require.Equal(t, "doubt", verdict(t, c, call), name)
		require.Error(t, c.List(t.Context(), call), name)
		require.Error(t, policy.Not(c).List(t.Context(), call), name)
	}
	require.Equal(t, "yes", verdict(t, policy.Or(zero, yes), tool("t", "")))
	require.Equal(t, "no", verdict(t, policy.And(zero, no), tool("t", "")))
	require.Error(t, yes.Check(t.Context(), nil))
	require.Error(t, yes.List(t.Context(), nil))
}

// LIST-02: whatever a condition is made of, a list shows what some call would be allowed.
func TestLIST02_ListsShowWhatArgumentsCouldAllow(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	leaves := []policy.Condition{yes, no, doubt, outage, policy.HasArgument("a"), policy.HasArgument("b"),
		policy.Argument("a", func(s string) bool { return s == "x" }), policy.Argument("b", func(int64) bool { panic("no") })}
	var grow func(depth int) policy.Condition
	grow = func(depth int) policy.Condition {
		if depth == 0 || rnd.IntN(5) == 0 {
			return leaves[rnd.IntN(len(leaves))]
		}
		switch rnd.IntN(3) {
		case 0:
			return policy.Not(grow(depth - 1))
		case 1:
			return policy.And(grow(depth-1), grow(depth-1))
		}
		return policy.Or(grow(depth-1), grow(depth-1))
	}
	calls := []string{``, `{}`, `{"a":"x"}`, `{"a":"y"}`, `{"a":1}`, `{"b":1}`, `{"a":"x","b":1}`, `{"A":"x"}`, `[]`}
	shown, hidden := 0, 0
	for range 3000 {
		c := grow(4)
		visible := c.List(t.Context(), tool("t", `{"a":"x"}`)) == nil
		require.Equal(t, visible, c.List(t.Context(), tool("t", "")) == nil, "arguments do not count in a list")
		for _, arguments := range calls {
			if c.Check(t.Context(), tool("t", arguments)) == nil {
				require.True(t, visible, "%s allows %s and is hidden", c, arguments)
			}
		}
		if visible {
			shown++
		} else {
			hidden++
		}
	}
	require.Greater(t, shown, 500)
	require.Greater(t, hidden, 500)
}

func TestList_HidesWhatNoArgumentCanRescue(t *testing.T) {
	argument := policy.Argument("amount", func(n int64) bool { return n < 10 })
	call := tool("pay", "")
	for _, c := range []struct {
		name  string
		c     policy.Condition
		shown bool
	}{
		{"an argument", argument, true},
		{"not an argument", policy.Not(argument), true},
		{"outside of the window", policy.And(no, argument), false},
		{"inside", policy.And(yes, argument), true},
		{"one of them", policy.Or(no, argument), true},
		{"doubt", policy.And(argument, doubt), false},
		{"an outage", policy.And(argument, outage), false},
		{"an outage that arguments can pass by", policy.Or(argument, outage), true},
		{"never both, but to tell that is too much to ask", policy.And(argument, policy.Not(argument)), true},
		{"optional", policy.OptionalArgument("bcc", func([]string) bool { return false }), true},
		{"the opposite of what no argument can make hold", policy.Not(policy.And(no, argument)), true},
		{"and of what none can make fail", policy.Not(policy.Or(yes, argument)), false},
	} {
		require.Equal(t, c.shown, c.c.List(t.Context(), call) == nil, c.name)
	}
	sees := policy.Func("sees no arguments", func(_ context.Context, c *mcpauth.Call) (bool, error) { return c.Arguments == nil, nil })
	full := tool("pay", `{}`)
	require.NoError(t, sees.List(t.Context(), full))
	require.Error(t, sees.Check(t.Context(), full))
	require.NotNil(t, full.Arguments, "the Call is not changed")

	resource := &mcpauth.Call{Operation: mcpauth.Operation{Method: "resources/read", Name: "notes://mine"}}
	require.Error(t, argument.List(t.Context(), resource), "a resource has no arguments, ever")
	require.NoError(t, argument.List(t.Context(), &mcpauth.Call{Operation: mcpauth.Operation{Method: "prompts/get", Name: "p"}}))
}

func TestFor(t *testing.T) {
	op := func(method, name string) *mcpauth.Call {
		return &mcpauth.Call{Operation: mcpauth.Operation{Method: method, Name: name}}
	}
	c := policy.And(
		policy.For("tools/call send_*", no),
		policy.For("tools/call send_now", yes),
		policy.For("tools/call pay", zero),
		policy.For("prompts/get deploy", no),
		policy.For("resources/read", no),
	)
	for _, tt := range []struct {
		method, name string
		allowed      bool
	}{
		{"tools/call", "send_mail", false},
		{"tools/call", "send_", false},
		{"tools/call", "send_now", false}, // every For counts
		{"tools/call", "send", true},
		{"tools/call", "Send_mail", true},
		{"tools/call", "pay", false},
		{"tools/call", "pay_later", true},
		{"tools/call", "", true},
		{"prompts/get", "deploy", false},
		{"prompts/get", "deploy_later", true},
		{"prompts/get", "send_mail", true},
		{"prompts/get", "pay", true}, // another thing with the name of a tool
		{"resources/read", "notes://mine", false},
		{"tools/list", "", true},
		{"initialize", "", true},
		{"", "", true},
	} {
		require.Equal(t, tt.allowed, c.Check(t.Context(), op(tt.method, tt.name)) == nil, "%s %s", tt.method, tt.name)
		require.Equal(t, tt.allowed, c.List(t.Context(), op(tt.method, tt.name)) == nil, "%s %s", tt.method, tt.name)
	}
	require.NoError(t, policy.For("tools/call a", policy.For("tools/call b", no)).Check(t.Context(), op("tools/call", "a")))
}

// What can only be a mistake in the source code shows at start-up.
func TestMistakesPanic(t *testing.T) {
	whole := policy.Hours{Zone: utc, From: "00:00", To: "24:00"}
	hours := func(change func(*policy.Hours)) func() {
		return func() { h := whole; change(&h); policy.During(h) }
	}
	for want, f := range map[string]func(){
		"put the Or inside":              func() { policy.Or(yes, policy.For("tools/call a", no)) },
		"put the Not inside":             func() { policy.Not(policy.And(yes, policy.For("tools/call a", no))) },
		"one of the conditions is a For": func() { policy.Or(policy.And(policy.For("tools/call a", no), yes), yes) },
		"the condition is a For":         func() { policy.Not(policy.And(policy.For("tools/call a", no), yes)) },
		`"tool/call" is no`:              func() { policy.For("tool/call a", yes) },
		`"Tools/call" is no`:             func() { policy.For("Tools/call a", yes) },
		`"" is no method`:                func() { policy.For("", yes) },
		"the name is empty":              func() { policy.For("tools/call ", yes) },
		"has a space at an end":          func() { policy.For("tools/call  a", yes) },
		"only stand at the end":          func() { policy.For("tools/call *_a", yes) },
		"write the method alone":         func() { policy.For("resources/read notes://*", yes) },
		"function is nil":                func() { policy.Func("x", nil) },
		"must be one line":               func() { policy.Func("x\ny", func(context.Context, *mcpauth.Call) (bool, error) { return true, nil }) },
		"Zone is nil":                    hours(func(h *policy.Hours) { h.Zone = nil }),
		"00:00 to 24:00":                 hours(func(h *policy.Hours) { h.To = "00:00" }),
		`From is "8:00"`:                 hours(func(h *policy.Hours) { h.From = "8:00" }),
		`To is "25:00"`:                  hours(func(h *policy.Hours) { h.To = "25:00" }),
		`To is ""`:                       hours(func(h *policy.Hours) { h.To = "" }),
		"From 24:00":                     hours(func(h *policy.Hours) { h.From, h.To = "24:00", "08:00" }),
		"9 is no weekday":                hours(func(h *policy.Hours) { h.Days = append(h.Days, 9) }),
		"zero Prefix":                    func() { policy.From(noPrefix) },
		"10.1.2.3/8 has bits":            func() { policy.From(prefix("10.1.2.3/8")) },
		"is IPv4; write it so":           func() { policy.From(prefix("::ffff:10.0.0.0/104")) },
		"Proxies.Trusted":                func() { policy.Proxies{Trusted: prefixes("10.1.2.3/8")}.From(prefix("10.0.0.0/8")) },
		`is "X-Real-Ip"`:                 func() { policy.Proxies{Field: "X-Real-Ip"}.From(prefix("10.0.0.0/8")) },
		"the lookup is nil":              func() { policy.Region(nil, "DE") },
		"a region is empty":              func() { policy.Region(neverAsked, "DE", "") },
		"Claim: \"tenant\" is":           func() { policy.Claim("tenant", "acme") },
		"Claim: \"\" is":                 func() { policy.Claim("", "acme") },
		"Tenant: \"/a~2\" is":            func() { policy.Tenant("/a~2", "acme") },
		"the argument is empty":          func() { policy.HasArgument("") },
		"must be followed by":            func() { policy.HasArgument("/a~2") },
		"a control character":            func() { policy.HasArgument("a\nb") },
		"ok is nil":                      func() { policy.Argument[string]("a", nil) },
	} {
		func() {
			defer func() { require.Contains(t, fmt.Sprint(recover()), want) }()
			f()
		}()
	}
}

// The log gets a line that says which condition refused and what came; see the README on refusals.
func TestErrors_NameWhatDecided(t *testing.T) {
	call := tool("t", `{"amount":4711}`)
	call.RemoteAddr = "192.0.2.7:80"
	inside := policy.From(prefix("10.0.0.0/8"))
	small := policy.Argument("amount", func(n int64) bool { return n < 10 })
	for _, tt := range []struct {
		c    policy.Condition
		want string
	}{
		{zero, "policy: never: the zero Condition refuses everything; make one with a constructor"},
		{inside, "policy: from(10.0.0.0/8): the client is 192.0.2.7"},
		{policy.And(yes, doubt, inside), "policy: from(10.0.0.0/8): the client is 192.0.2.7"},
		{policy.And(outage, doubt), "policy: doubt: db says maybe"},
		{policy.Or(no, inside), "policy: no: it does not hold; from(10.0.0.0/8): the client is 192.0.2.7"},
		{policy.Not(policy.Or(no, yes)), "policy: not (no or yes): it holds"},
		{policy.Not(doubt), "policy: doubt: db says maybe"},
		{policy.Func("lazy", func(context.Context, *mcpauth.Call) (bool, error) { return true, policy.ErrNeedsArguments }), "policy: lazy: " + policy.ErrNeedsArguments.Error()},
		{outage, "policy: outage: db: " + mcpauth.ErrUnavailable.Error() + ": " + mcpauth.ErrUnavailable.Error()},
		{policy.For("tools/call t", small), "policy: argument(amount int64): its value is not allowed"},
		{panicky, "policy: panicky: it panicked: with a string"},
		{policy.Argument("amount", func(n int64) bool { return []int{}[n] == 0 }), "policy: argument(amount int64): it panicked: runtime error: index out of range [4711] with length 0"},
	} {
		require.EqualError(t, tt.c.Check(t.Context(), call), tt.want)
	}
	require.NotContains(t, small.Check(t.Context(), call).Error(), "4711")

	// mcpauth cuts what it logs after 200 bytes.
	var many []netip.Prefix
	for range 1000 {
		many = append(many, prefix("2001:db8::/32"))
	}
	for _, c := range []policy.Condition{policy.From(many...), policy.And(yes, policy.From(many...))} {
		require.Len(t, c.Check(t.Context(), call).Error(), len("policy: ")+100+len("...: the client is 192.0.2.7"))
		require.Contains(t, c.Check(t.Context(), call).Error(), "...: the client is 192.0.2.7")
	}
	require.Less(t, len(policy.Not(policy.Or(policy.From(many...), yes)).Check(t.Context(), call).Error()), 200)
}

func TestString(t *testing.T) {
	c := policy.And(
		policy.For("tools/call send_*", policy.Or(policy.From(prefix("10.0.0.0/8")), policy.Not(policy.Delegated()))),
		policy.Claim("/level", 2, 3), policy.Tenant("/tid", "a b"), zero,
		policy.During(policy.Hours{Zone: utc, Days: policy.Workdays(), From: "08:00", To: "18:00"}),
	)
	require.Equal(t, `(for(tools/call send_*, from(10.0.0.0/8) or (not delegated))) and claim(/level 2 3) and tenant(/tid "a b") and never and during(Mon Tue Wed Thu Fri 08:00-18:00 UTC)`, c.String())
	require.Equal(t, "never", zero.String())
	require.NotContains(t, policy.Claim("/x", "a\nb").String(), "\n")
	require.False(t, strings.Contains(policy.And(policy.Or(yes, no)).String(), "("))
}

// A condition is a value: what its makers were given can change afterwards.
func TestConditionsAreValues(t *testing.T) {
	list := prefixes("10.0.0.0/8")
	parts := []policy.Condition{yes}
	days := policy.Workdays()
	inside, all := policy.From(list...), policy.And(parts...)
	week := policy.During(policy.Hours{Zone: utc, Days: days, From: "00:00", To: "24:00"})
	list[0], parts[0], days[0] = prefix("0.0.0.0/0"), zero, 0
	call := tool("t", "")
	call.RemoteAddr, call.Time = "192.0.2.7:80", at(t, "2026-06-01T12:00:00Z") // a Monday
	require.Error(t, inside.Check(t.Context(), call))
	require.NoError(t, all.Check(t.Context(), call))
	require.NoError(t, week.Check(t.Context(), call))
}
