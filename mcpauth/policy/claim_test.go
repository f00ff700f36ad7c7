package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/strictjson"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
	"github.com/go-mcpauth/sdk/scopes"
)

// caller has the claims, decoded as those of a token are.
func caller(t testing.TB, claims string) *mcpauth.Principal {
	t.Helper()
	decoded, err := strictjson.Object([]byte(claims), strictjson.Limits{})
	require.NoError(t, err)
	return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://as.example", Subject: "ada", ClientID: "app",
		Grant: scopes.NewGrant(nil, nil), Claims: decoded})
}

func TestClaim(t *testing.T) {
	text := func(pointer string, values ...string) policy.Condition { return policy.Claim(pointer, values...) }
	for _, tt := range []struct {
		name, claims string
		c            policy.Condition
		want         string
	}{
		{"equal", `{"tenant":"acme"}`, text("/tenant", "acme"), "yes"},
		{"one of several", `{"tenant":"acme"}`, text("/tenant", "globex", "acme"), "yes"},
		{"another", `{"tenant":"globex"}`, text("/tenant", "acme"), "no"},
		{"another case", `{"tenant":"ACME"}`, text("/tenant", "acme"), "no"},
		{"a part", `{"tenant":"acme-labs"}`, text("/tenant", "acme"), "no"},
		{"empty", `{"tenant":""}`, text("/tenant", "acme"), "no"},
		{"missing", `{}`, text("/tenant", "acme"), "doubt"},
		{"null", `{"tenant":null}`, text("/tenant", "acme"), "doubt"},
		{"a name in another case", `{"Tenant":"acme"}`, text("/tenant", "acme"), "doubt"},
		{"a number for a string", `{"tenant":1}`, text("/tenant", "1"), "doubt"},
		{"an object", `{"tenant":{"acme":1}}`, text("/tenant", "acme"), "doubt"},
		{"in an array", `{"groups":["a","b"]}`, text("/groups", "b"), "yes"},
		{"not in an array", `{"groups":["a","b"]}`, text("/groups", "c"), "no"},
		{"not in an empty array", `{"groups":[]}`, text("/groups", "c"), "no"},
		{"an array with something else", `{"groups":["a",1]}`, text("/groups", "a"), "doubt"},
		{"an array in an array", `{"groups":[["a"]]}`, text("/groups", "a"), "doubt"},
		{"nested", `{"realm_access":{"roles":["a"]}}`, text("/realm_access/roles", "a"), "yes"},
		{"through a string", `{"a":"b"}`, text("/a/b", "b"), "doubt"},
		{"true", `{"email_verified":true}`, policy.Claim("/email_verified", true), "yes"},
		{"false", `{"email_verified":false}`, policy.Claim("/email_verified", true), "no"},
		{"true as a string", `{"email_verified":"true"}`, policy.Claim("/email_verified", true), "doubt"},
		{"a string for true", `{"email_verified":true}`, text("/email_verified", "true"), "doubt"},
		{"a number", `{"level":3}`, policy.Claim("/level", 2, 3), "yes"},
		{"another number", `{"level":4}`, policy.Claim("/level", 2, 3), "no"},
		{"a large number", `{"id":9007199254740993}`, policy.Claim("/id", int64(9007199254740993)), "yes"},
		{"its neighbour", `{"id":9007199254740992}`, policy.Claim("/id", int64(9007199254740993)), "no"},
		{"a number that is no integer", `{"level":3.0}`, policy.Claim("/level", 3), "doubt"},
		{"a number with an exponent", `{"level":3e0}`, policy.Claim("/level", 3), "doubt"},
		{"a number too large", `{"level":9223372036854775808}`, policy.Claim("/level", 3), "doubt"},
		{"numbers in an array", `{"level":[3]}`, policy.Claim("/level", 3), "doubt"},

		{"tenant", `{"tid":"acme"}`, policy.Tenant("/tid", "globex", "acme"), "yes"},
		{"another tenant", `{"tid":"acme"}`, policy.Tenant("/tid", "globex"), "no"},
		{"several tenants", `{"tid":["acme"]}`, policy.Tenant("/tid", "acme"), "doubt"},
		{"no tenant", `{}`, policy.Tenant("/tid", "acme"), "doubt"},
		{"an empty tenant", `{"tid":""}`, policy.Tenant("/tid", "acme"), "doubt"},

		{"nobody acts", `{}`, policy.Delegated(), "no"},
		{"an agent acts", `{"act":{"sub":"agent"}}`, policy.Delegated(), "yes"},
		{"an agent without a subject acts", `{"act":{"client_id":"agent"}}`, policy.Delegated(), "yes"},
		{"a malformed actor", `{"act":"agent"}`, policy.Delegated(), "doubt"},
		{"a null actor", `{"act":null}`, policy.Delegated(), "doubt"},
		{"which agent", `{"act":{"sub":"agent"}}`, text("/act/sub", "agent"), "yes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := tool("t", `{}`)
			call.Principal = caller(t, tt.claims)
			require.Equal(t, tt.want, verdict(t, tt.c, call))
			require.Equal(t, tt.want == "yes", tt.c.List(t.Context(), call) == nil, "lists decide it, too")
		})
	}
	long := tool("t", "")
	long.Principal = caller(t, `{"tenant":"`+strings.Repeat("x", 10_000)+`\n"}`)
	err := policy.Claim("/tenant", "acme").Check(t.Context(), long)
	require.Less(t, len(err.Error()), 200)
	require.NotContains(t, err.Error(), "\n")
}

func TestArgumentIsClaim(t *testing.T) {
	c := policy.ArgumentIsClaim("tenant", "/tid")
	for _, tt := range []struct {
		name, claims, arguments string
		want                    string
		shown                   bool
	}{
		{"the same", `{"tid":"acme"}`, `{"tenant":"acme"}`, "yes", true},
		{"another", `{"tid":"acme"}`, `{"tenant":"globex"}`, "no", true},
		{"one of several", `{"tid":["acme","globex"]}`, `{"tenant":"globex"}`, "yes", true},
		{"none of several", `{"tid":["acme","globex"]}`, `{"tenant":"other"}`, "no", true},
		{"no argument", `{"tid":"acme"}`, `{}`, "doubt", true},
		{"an argument of another type", `{"tid":"acme"}`, `{"tenant":["acme"]}`, "doubt", true},
		{"both are empty", `{"tid":""}`, `{"tenant":""}`, "no", true},
		{"no claim", `{}`, `{"tenant":"acme"}`, "doubt", false},
		{"a claim of another type", `{"tid":1}`, `{"tenant":"1"}`, "doubt", false},
		{"a claim of several types", `{"tid":["acme",1]}`, `{"tenant":"acme"}`, "doubt", false},
		{"an empty claim", `{"tid":[]}`, `{"tenant":"acme"}`, "no", false},
		{"the argument in another case besides", `{"tid":"acme"}`, `{"tenant":"acme","Tenant":"globex"}`, "doubt", true},
		{"the argument twice", `{"tid":"acme"}`, `{"tenant":"acme","tenant":"globex"}`, "doubt", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := tool("t", tt.arguments)
			call.Principal = caller(t, tt.claims)
			require.Equal(t, tt.want, verdict(t, c, call))
			require.Equal(t, tt.shown, c.List(t.Context(), call) == nil)
			if err := c.Check(t.Context(), call); err != nil {
				require.NotContains(t, err.Error(), "globex", "no argument is logged")
			}
		})
	}
}

// OpenID Connect Core 1.0, Section 5.6.2: what a token says is elsewhere is not known from the part of it that is there, as
// with groups of which there are too many. So Not of it does not hold either.
func TestClaimsElsewhere(t *testing.T) {
	groups := policy.Claim("/groups", "banned")
	for _, tt := range []struct {
		name, claims string
		c            policy.Condition
		want         string
	}{
		{"here", `{"groups":["a"]}`, groups, "no"},
		{"elsewhere", `{"groups":["a"],"_claim_names":{"groups":"src1"}}`, groups, "doubt"},
		{"elsewhere, and part of it here", `{"groups":["banned"],"_claim_names":{"groups":"src1"}}`, groups, "doubt"},
		{"another one elsewhere", `{"groups":["a"],"_claim_names":{"roles":"src1"}}`, groups, "no"},
		{"somewhere", `{"groups":["a"],"_claim_names":"groups"}`, groups, "doubt"},
		{"nowhere", `{"groups":["a"],"_claim_names":null}`, groups, "doubt"},
		{"inside", `{"a/b":{"c":"x"},"_claim_names":{"a/b":"src1"}}`, policy.Claim("/a~1b/c", "y"), "doubt"},
		{"a tenant", `{"tid":"acme","_claim_names":{"tid":"src1"}}`, policy.Tenant("/tid", "acme"), "doubt"},
		{"an actor", `{"_claim_names":{"act":"src1"}}`, policy.Delegated(), "doubt"},
		{"an argument", `{"team":"red","_claim_names":{"team":"src1"}}`, policy.ArgumentIsClaim("team", "/team"), "doubt"},
	} {
		call := tool("t", `{"team":"red"}`)
		call.Principal = caller(t, tt.claims)
		require.Equal(t, tt.want, verdict(t, tt.c, call), tt.name)
	}
}
