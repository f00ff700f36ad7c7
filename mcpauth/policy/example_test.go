package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

// Mail is sent during office hours and from the office, and payments above a limit need a caller of level 3.
func Example() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		log.Fatal(err)
	}
	officeHours := policy.During(policy.Hours{Zone: berlin, Days: policy.Workdays(), From: "08:00", To: "18:00"})
	office := policy.From(netip.MustParsePrefix("192.0.2.0/24"))
	small := policy.Argument("amount", func(cents int64) bool { return cents <= 10_000 })

	conditions := policy.And(
		policy.For("tools/call send_*", policy.And(officeHours, office)),
		policy.For("tools/call pay", policy.Or(small, policy.Claim("/level", 3))),
	)
	cfg := mcpauth.Config{
		Resource:   "https://mcp.example.com/mcp",
		Issuers:    []mcpauth.Issuer{{URL: "https://login.example.com"}},
		Policy:     conditions.Check,
		ListPolicy: conditions.List,
	}
	if _, err := mcpauth.New(cfg); err != nil {
		log.Fatal(err)
	}

	ask := func(tool, arguments, address, hour string) {
		when, _ := time.ParseInLocation("2006-01-02 15:04", "2026-06-01 "+hour, berlin)
		fmt.Println(tool, arguments, "->", conditions.Check(context.Background(), &mcpauth.Call{
			Operation: mcpauth.Operation{Method: "tools/call", Name: tool},
			Arguments: json.RawMessage(arguments), RemoteAddr: address, Time: when,
		}))
	}
	ask("send_mail", `{}`, "192.0.2.7:50000", "17:59")
	ask("send_mail", `{}`, "192.0.2.7:50000", "18:00")
	ask("send_mail", `{}`, "203.0.113.9:50000", "12:00")
	ask("pay", `{"amount":9900}`, "203.0.113.9:50000", "22:00")
	ask("pay", `{"amount":990000}`, "203.0.113.9:50000", "22:00")
	ask("search", `{}`, "203.0.113.9:50000", "22:00")
	// Output:
	// send_mail {} -> <nil>
	// send_mail {} -> policy: during(Mon Tue Wed Thu Fri 08:00-18:00 Europe/Berlin): it is Mon 18:00 CEST
	// send_mail {} -> policy: from(192.0.2.0/24): the client is 203.0.113.9
	// pay {"amount":9900} -> <nil>
	// pay {"amount":990000} -> policy: argument(amount int64): its value is not allowed; claim(/level 3): the caller has no such claim
	// search {} -> <nil>
}

// Behind a load balancer, the address is what the load balancer saw. What the client wrote stands to the
// left of it.
func ExampleProxies() {
	edge := policy.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}}
	office := edge.From(netip.MustParsePrefix("192.0.2.0/24"))
	call := &mcpauth.Call{
		RemoteAddr: "10.0.0.5:33000",
		Header:     http.Header{"X-Forwarded-For": {"192.0.2.7, 203.0.113.9"}},
	}
	fmt.Println(office.Check(context.Background(), call))
	// Output: policy: from(192.0.2.0/24 by X-Forwarded-For of 10.0.0.5/32): the client is 203.0.113.9
}

// A caller may only work on projects of its own.
func ExampleArgumentIsClaim() {
	own := policy.For("tools/call deploy", policy.ArgumentIsClaim("project", "/projects"))
	ada := mcpauth.NewPrincipal(mcpauth.Identity{
		Issuer: "https://login.example.com", Subject: "ada", Claims: map[string]any{"projects": []any{"web", "docs"}},
	})
	for _, arguments := range []string{`{"project":"web"}`, `{"project":"bank"}`, `{"Project":"web"}`} {
		fmt.Println(own.Check(context.Background(), &mcpauth.Call{
			Principal: ada, Operation: mcpauth.Operation{Method: "tools/call", Name: "deploy"}, Arguments: json.RawMessage(arguments),
		}))
	}
	// Output:
	// <nil>
	// policy: argument(project) is claim(/projects): they differ
	// policy: argument(project) is claim(/projects): the arguments have such a name in another case
}

// A condition of one's own stands beside the others. A list has no arguments, and the function says so.
func ExampleFunc() {
	owned := policy.Func("the caller owns the document", func(ctx context.Context, call *mcpauth.Call) (bool, error) {
		if call.Arguments == nil {
			return false, policy.ErrNeedsArguments
		}
		return false, fmt.Errorf("the database: %w", mcpauth.ErrUnavailable) // 503
	})
	call := &mcpauth.Call{Operation: mcpauth.Operation{Method: "tools/call", Name: "delete"}}
	fmt.Println("list:", owned.List(context.Background(), call))
	call.Arguments = json.RawMessage(`{"id":1}`)
	fmt.Println("call:", errors.Is(owned.Check(context.Background(), call), mcpauth.ErrUnavailable))
	// Output:
	// list: <nil>
	// call: true
}

// The trap: For lets all other operations pass, so an Or of two would let everything pass. It panics.
func ExampleFor_incorrect() {
	defer func() { fmt.Println(recover()) }()
	policy.Or(
		policy.For("tools/call send_mail", policy.Claim("/level", 3)),
		policy.For("tools/call pay", policy.Claim("/level", 4)),
	)
	// Output: policy: Or: one of the conditions is a For, which lets all other operations pass; put the Or inside of the For
}
