package mcpauthtest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// DefaultLifetime is how long tokens are good that do not say otherwise.
const DefaultLifetime = 10 * time.Minute

const defaultClient = "test-client"

// Claims say what a token is to say. The zero value makes a good token of an application that acts for
// itself and may do nothing.
type Claims struct {
	Subject  string        // sub: the user. Empty: the client, which acts for itself
	Client   string        // client_id. Empty: the first of the issuer's ClientIDs, else "test-client"
	Scope    string        // scopes, separated by spaces, as rules name them
	Roles    []string      // as rules name them
	Audience []string      // aud. Nil: this server, as the issuer names it
	Lifetime time.Duration // until exp. Zero: DefaultLifetime; negative: it has expired so long ago

	// Key binds the token to a key (RFC 9449, Section 6): it is good with proofs by this key alone, which a
	// [Client] of the issuer makes. Nil: a bearer token.
	Key *DPoPKey

	// Extra and Header are put over the claims and the header of the token as they are; nil as a value takes a
	// member out. For a token that is wrong in one place: Extra: map[string]any{"iss": "https://evil.example"}.
	Extra, Header map[string]any
}

// Token makes a signed access token (RFC 9068, or what the issuer stands in for). The test ends if the
// issuer's configuration leaves no place for what is asked, such as roles where no claim is read for them.
func (is *Issuer) Token(c Claims) string {
	is.t.Helper()
	key := is.signer()
	header := map[string]any{"alg": key.Algorithm(), "kid": key.id}
	if typ := is.tokenType(); typ != "" {
		header["typ"] = typ
	}
	return key.SignParts(object(changed(header, c.Header)), object(is.claims(c)))
}

// Caller returns the principal that such a token makes of its bearer, for a [Matrix] and for
// [mcpauth.Middleware.Check]. Nothing is signed or verified.
func (is *Issuer) Caller(name string, c Claims) Caller {
	is.t.Helper()
	mapping, err := is.config.Grants.Compile()
	if err != nil {
		is.t.Fatalf("mcpauthtest: the issuer's Grants: %v", err)
	}
	// As a token's reader would have them: arrays of any, and numbers with their digits.
	var claims map[string]any
	d := json.NewDecoder(strings.NewReader(string(object(is.claims(c)))))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		is.t.Fatalf("mcpauthtest: the claims: %v", err)
	}
	id := mcpauth.Identity{Issuer: is.URL, Scheme: "Bearer", Grant: mapping.Grant(claims), Expiry: is.expiry(c), Claims: claims}
	id.Subject, _ = claims["sub"].(string)
	id.ClientID, _ = claims["client_id"].(string)
	if c.Key != nil {
		id.Scheme = "DPoP"
	}
	return Caller{name, mcpauth.NewPrincipal(id)}
}

func (is *Issuer) tokenType() string {
	if types := is.config.TokenTypes; len(types) > 0 {
		return types[len(types)-1]
	}
	return "at+jwt"
}

func (is *Issuer) expiry(c Claims) time.Time {
	return is.now().Add(cmp.Or(c.Lifetime, DefaultLifetime))
}

// claims are those of a token, in the shape of the issuer.
func (is *Issuer) claims(c Claims) map[string]any {
	is.t.Helper()
	client := c.Client
	if client == "" {
		client = defaultClient
		if len(is.config.ClientIDs) > 0 {
			client = is.config.ClientIDs[0]
		}
	}
	expiry := is.expiry(c)
	issued := is.now()
	if issued.After(expiry) {
		issued = expiry.Add(-DefaultLifetime)
	}
	out := map[string]any{
		"iss": is.URL, "sub": cmp.Or(c.Subject, client), "client_id": client, "jti": rand.Text(),
		"iat": issued.Unix(), "exp": expiry.Unix(),
	}
	if aud := is.audience(c); len(aud) == 1 {
		out["aud"] = aud[0] // the usual form where there is one (RFC 7519, Section 4.1.3)
	} else if len(aud) > 0 {
		out["aud"] = aud
	}
	if c.Key != nil {
		out["cnf"] = map[string]any{"jkt": c.Key.Thumbprint()}
	}
	if err := writeGrant(out, is.config.Grants, strings.Fields(c.Scope), c.Roles, c.Subject == ""); err != nil {
		is.t.Fatalf("mcpauthtest: a token of %s: %v", is.URL, err)
	}
	return changed(out, c.Extra)
}

func (is *Issuer) audience(c Claims) []string {
	switch {
	case c.Audience != nil:
		return slices.Clone(c.Audience)
	case len(is.config.Audiences) > 0:
		return is.config.Audiences[:1]
	case is.config.DangerouslyAcceptNoAudience:
		return nil
	}
	return []string{is.Resource}
}

// changed puts changes over members, of which nil takes one out.
func changed(members, changes map[string]any) map[string]any {
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	return members
}
