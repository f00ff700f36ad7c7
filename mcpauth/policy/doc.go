// Package policy has ready conditions on the context of a call, for the Policy and the ListPolicy of
// mcpauth.Config: the time of day, the client's address and region, claims and the tenant, the
// arguments, and and, or, not. Rules say what a caller holds; conditions say when, from where and with
// what it may be used.
//
//	officeHours := policy.During(policy.Hours{Zone: berlin, Days: policy.Workdays(), From: "08:00", To: "18:00"})
//	inside := policy.From(netip.MustParsePrefix("10.20.0.0/16"))
//	small := policy.Argument("amount", func(cents int64) bool { return cents <= 10_000 })
//
//	conditions := policy.And(
//		policy.For("tools/call send_*", policy.And(officeHours, inside)),
//		policy.For("tools/call pay", policy.Or(small, policy.Claim("/level", 3))),
//	)
//	auth, err := mcpauth.New(mcpauth.Config{
//		// ...
//		Policy:     conditions.Check,
//		ListPolicy: conditions.List,
//	})
//
// What is refused is answered with a bare 403, which tells clients that no other token would help. The
// log line of the refusal names the condition and what came instead. Clients are told neither.
//
// # Which operations
//
// A Policy is asked for everything that a client sends, initialize and tools/list among them. A
// condition by itself closes the whole server; [For] narrows it to some operations and lets all others
// pass. Several Fors belong into an [And]: every one whose pattern fits an operation must hold for it,
// whichever stands first. A For inside of Or or Not would let through what its pattern does not name,
// and panics; put the Or inside of the For.
//
// # What cannot be told is refused
//
// A condition holds, or does not, or cannot be told: the peer has no address, the claim is missing or has
// another type, arguments are malformed, a function panicked. What cannot be told does not become true by
// [Not]: Not(From(...)) refuses a caller without an address, Not(Claim(...)) one without the claim, and
// Not of the zero Condition everybody. Where a function of yours asks something that is down, it cannot
// be told at the moment, and the answer is 503.
//
// And, Or and Not are those of Kleene's logic. One part that holds makes an Or hold and one that does not
// makes an And fail, whatever is the matter with the others. Otherwise a doubt counts more than an outage in an
// And, where asking again would not help, and less in an Or, where it might. Parts are asked in order, up
// to the first one that decides: put the expensive ones last.
//
// # Lists
//
// [Condition.List] hides what [Condition.Check] would refuse whatever the arguments were: tools outside
// of their hours, or for callers from elsewhere. Arguments that a list does not have count as those that
// would be allowed. So a condition on an argument hides no tool, and one that no argument can rescue does.
//
// # Addresses
//
// The client is the peer of the connection, and no header says otherwise. Behind reverse proxies write
// [Proxies], which names those whose X-Forwarded-For or Forwarded field is believed:
//
//	edge := policy.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}}
//	inside := edge.From(netip.MustParsePrefix("198.51.100.0/24"))
//
// Middleware that copies such a header into RemoteAddr must not stand before mcpauth: anybody could write
// the header. An address without a port, which most of them leave there, is refused.
//
// On standard input and output there is no address and no header, so conditions on them refuse.
//
// # The rest
//
// [Func] makes a condition of any function, [Arguments] decodes what it may want to look at, and a Policy
// written in Go needs no condition at all. Example cedar plugs in an engine.
//
// Constructors panic where an argument can only be a mistake in the source code, so that it shows at start-up
// and not in a refusal. Conditions are immutable values and safe for concurrent use, as the functions given to
// them must be.
package policy
