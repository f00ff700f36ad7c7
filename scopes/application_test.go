package scopes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestTOK22_Applications(t *testing.T) {
	m := compile(t, scopes.Mapper{
		RoleClaims: []string{"/roles"}, ApplicationsLackScopes: true,
		Applications: map[string][]string{"/idtyp": {"app"}, "/gty": {"client-credentials", "client_credentials"}},
	})
	tests := []struct {
		name, claims string
		want         bool
	}{
		{"a user", `{"sub":"ada","client_id":"app","scope":"a"}`, false},
		{"sub is the client", `{"sub":"app","client_id":"app","scope":"a"}`, true},
		{"sub is azp", `{"sub":"app","azp":"app"}`, true},
		{"sub is appid", `{"sub":"app","appid":"app"}`, true},
		{"sub is cid", `{"sub":"app","cid":"app"}`, true},
		{"the first client claim decides", `{"sub":"ada","client_id":"app","azp":"ada"}`, false},
		{"another case", `{"sub":"App","client_id":"app"}`, false},
		{"nobody at all", `{"sub":"","client_id":""}`, false},
		{"no sub: nothing is said", `{"client_id":"app","scope":"a"}`, false},
		{"idtyp", `{"sub":"x","azp":"app","idtyp":"app"}`, true},
		{"idtyp of a user", `{"sub":"x","azp":"app","idtyp":"user","scp":"a"}`, false},
		{"gty", `{"sub":"app@clients","azp":"app","gty":"client-credentials"}`, true},
		{"gty as an array", `{"sub":"x","gty":["client_credentials"]}`, true},
		{"a gty that holds it", `{"sub":"x","gty":"client-credentials-not"}`, false},
		{"roles and no scope claim", `{"sub":"x","azp":"app","roles":["r"]}`, true},
		{"roles and an empty scope claim", `{"sub":"x","azp":"app","roles":["r"],"scp":""}`, false},
		{"neither roles nor scopes", `{"sub":"x","azp":"app"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, m.Grant(claims(t, tt.claims)).Application())
		})
	}
	require.False(t, scopes.Grant{}.Application())
	require.False(t, scopes.NewGrant(nil, []string{"r"}).Application())
	plain := compile(t, scopes.Mapper{RoleClaims: []string{"/roles"}})
	require.False(t, plain.Grant(claims(t, `{"sub":"x","idtyp":"app","roles":["r"]}`)).Application(), "only what the Mapper names")
	require.True(t, plain.Grant(claims(t, `{"sub":"app","client_id":"app"}`)).Application())
}
