// Package testissuer is the issuer of package mcpauthtest for tests whose claims are maps, and which have one
// issuer for several resources.
package testissuer

import (
	"maps"
	"testing"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// An Issuer publishes its metadata and one key at URL until the test ends.
type Issuer struct {
	URL    string
	issuer *mcpauthtest.Issuer
}

// New starts an issuer.
func New(t testing.TB) *Issuer {
	t.Helper()
	is := mcpauthtest.NewIssuer(t, "")
	return &Issuer{is.URL, is}
}

// Token returns an access token (RFC 9068) for the resource, good for ten minutes. Claims are added or,
// where they are nil, left out.
func (is *Issuer) Token(t testing.TB, resource, subject string, claims map[string]any) string {
	t.Helper()
	return is.TokenOfType(t, "at+jwt", resource, subject, claims)
}

// TokenOfType is Token with another typ header.
func (is *Issuer) TokenOfType(t testing.TB, typ, resource, subject string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"scope": nil} // none but those in claims
	maps.Copy(all, claims)
	return is.issuer.Token(mcpauthtest.Claims{
		Subject: subject, Client: "test", Audience: []string{resource}, Extra: all, Header: map[string]any{"typ": typ},
	})
}
