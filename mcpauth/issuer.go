package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jwt"
	"github.com/go-mcpauth/sdk/scopes"
)

// An Issuer is one authorization server whose tokens are accepted. Keys of one issuer are never tried
// for another (RFC 8725, Section 3.8).
type Issuer struct {
	// URL is the iss claim of its tokens, compared byte for byte (RFC 9068, Section 4): a slash at the
	// end makes a difference. Required.
	URL string

	// AuthorizationServer is what the metadata lists, for issuers whose iss is not the URL at which
	// clients find the authorization server's metadata. Empty: URL.
	AuthorizationServer string

	// JWKSURI is where its public keys are. Empty: discovered by way of its metadata (RFC 8414, OpenID
	// Connect Discovery), whose issuer must equal URL.
	JWKSURI string

	// Audiences are accepted in aud besides the resource, for authorization servers that cannot name it.
	Audiences []string

	// SoleAudience refuses tokens that name another audience besides an accepted one.
	SoleAudience bool

	// Strict requires the claims sub, client_id, iat and jti, as RFC 9068, Section 2.2 does.
	Strict bool

	// ClientIDs accepts only tokens issued to these clients. Nil: any.
	ClientIDs []string

	// Introspection accepts opaque tokens of this issuer, by asking it (RFC 7662). Nil: an opaque token is
	// refused.
	Introspection *Introspection

	// Algorithms are the accepted signature algorithms. Nil: RS, PS and ES with 256, 384 and 512 bits, and
	// EdDSA. "none" and the HS algorithms cannot be enabled.
	Algorithms []string

	// TokenTypes are the accepted typ headers. Nil: at+jwt (RFC 9068, Section 4). A list replaces that, so
	// write {"at+jwt", "JWT"} to accept both; "" stands for a token without typ. Accepting more turns on
	// checks that tell ID tokens apart; types of other kinds of JWT cannot be enabled.
	TokenTypes []string

	// Grants says which claims hold scopes and roles, and what they imply. The zero Mapper reads scopes
	// from scope and scp.
	Grants scopes.Mapper

	// Leeway is how far the issuer's clock may differ from ours. Zero: 30 s; negative: none; at most
	// 5 min.
	Leeway time.Duration

	// DangerouslyAcceptAnyAudience accepts tokens that were issued for other resources, or for none. Any
	// of them, from any service that shares this issuer, then works here; set ClientIDs with it.
	DangerouslyAcceptAnyAudience bool

	// DangerouslyAcceptNoAudience accepts tokens without an audience, or with an empty one, that were issued
	// to one of ClientIDs, for authorization servers that write none (Amazon Cognito, older setups of Clerk).
	// Any such token of these clients then works here, whatever it was meant for: list the clients that
	// exist for this resource alone. A token that has an audience must still name the resource.
	DangerouslyAcceptNoAudience bool

	// DangerouslyAcceptClientAudience accepts tokens whose audience is the client that they were issued to,
	// one of ClientIDs, for authorization servers that ignore the resource parameter. Tokens that could be
	// ID tokens are refused all the same: those without typ at+jwt, a scope claim, and a claim that says
	// what they are.
	DangerouslyAcceptClientAudience bool
}

// An issuer is an Issuer made ready.
type issuer struct {
	url      string
	index    int // among Config.Issuers
	keys     *jwks.Set
	mapping  *scopes.Mapping
	hasRoles bool
	leeway   time.Duration

	introspection *introspect.Client // nil: none
	endpoint      func(context.Context) (string, error)
	prefix        string // of its opaque tokens
}

// addIssuers reads Config.Issuers.
func (m *Middleware) addIssuers(cfg Config, errs *mistakes) {
	client := fetch.New(fetch.Config{HTTPClient: cfg.HTTPClient})
	verified := make([]jwt.Issuer, len(cfg.Issuers))
	for i, in := range cfg.Issuers {
		verified[i] = m.addIssuer(cfg, i, client, errs)
		m.warnOfIssuer(in, fmt.Sprintf("Issuers[%d].", i))
	}
	m.checkPrefixes(errs)
	m.checkRolePrefixes(cfg, errs)
	tokens, err := jwt.New(verified, cfg.Now)
	if err != nil {
		*errs = append(*errs, err)
	}
	m.tokens = tokens
}

// addIssuer reads one of Config.Issuers, and returns what its tokens must look like.
func (m *Middleware) addIssuer(cfg Config, i int, client *fetch.Client, errs *mistakes) jwt.Issuer {
	in, field := cfg.Issuers[i], fmt.Sprintf("Issuers[%d].", i)
	mapping, err := in.Grants.Compile()
	if err != nil {
		errs.add(field+"Grants", "%w", err)
	}
	checkIssuerURLs(in, field, errs)
	var source *discovery.Source
	if in.JWKSURI == "" || in.Introspection != nil && in.Introspection.Endpoint == "" {
		source = discovery.New(discovery.Config{Issuer: in.URL, Fetch: client, Resource: cfg.Resource, Now: cfg.Now, Logger: m.log})
	}
	uri := func(context.Context) (string, error) { return in.JWKSURI, nil }
	var failing func()
	if in.JWKSURI == "" {
		uri, failing = discoveredKeys(source), source.Forget
	}
	// Now as it was configured: without a clock of the user's, keys have a faster one than time.Now.
	keys := jwks.New(jwks.Config{URI: uri, Failing: failing, Fetch: client, Now: cfg.Now, Logger: m.log.With("issuer", in.URL)})
	leeway := in.Leeway
	if leeway == 0 {
		leeway = defaultLeeway
	}
	out := &issuer{url: in.URL, index: i, keys: keys, mapping: mapping, hasRoles: mapping.ReadsRoles(), leeway: max(leeway, 0)}
	m.issuers = append(m.issuers, out)
	if in.Introspection != nil {
		if err := m.addIntrospection(cfg, in.Introspection, out, keys, source, client); err != nil {
			errs.add(field+"Introspection", "%w", err)
		}
	}
	return jwt.Issuer{
		URL: in.URL, Audiences: append([]string{cfg.Resource}, in.Audiences...), ClientIDs: in.ClientIDs,
		Algorithms: in.Algorithms, Types: in.TokenTypes, Leeway: in.Leeway, Keys: keys,
		SoleAudience: in.SoleAudience, Strict: in.Strict, AnyAudience: in.DangerouslyAcceptAnyAudience,
		Introspected: in.Introspection != nil, NoAudience: in.DangerouslyAcceptNoAudience, ClientAudience: in.DangerouslyAcceptClientAudience,
	}
}

// discoveredKeys finds jwks_uri in the metadata of an issuer.
func discoveredKeys(source *discovery.Source) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		doc, err := source.Metadata(ctx)
		if err != nil {
			return "", err
		}
		if doc.JWKSURI == "" {
			return "", errors.New("the metadata of the issuer names no jwks_uri; set Issuer.JWKSURI")
		}
		return doc.JWKSURI, nil
	}
}

// checkIssuerURLs checks what an issuer says of where it is found. An empty URL is reported with the rest of what its
// tokens must look like.
func checkIssuerURLs(in Issuer, field string, errs *mistakes) {
	if strings.Contains(in.URL, "/.well-known/") {
		errs.add(field+"URL", "is the URL of metadata; write the issuer identifier, without the /.well-known/ part")
	}
	if in.JWKSURI != "" {
		if err := fetch.CheckURL(in.JWKSURI); err != nil {
			errs.add(field+"JWKSURI", "%w", err)
		}
	} else if in.URL != "" {
		if err := fetch.CheckURL(in.URL); err != nil {
			errs.add(field+"URL", "%w; write iss as it stands in tokens. If this server reaches that host at another address only, "+
				"as in containers, see Config.HTTPClient; for an issuer that is no URL to ask, set JWKSURI", err)
		}
	}
	switch {
	case in.AuthorizationServer != "":
		if err := fetch.CheckURL(in.AuthorizationServer); err != nil {
			errs.add(field+"AuthorizationServer", "%w; write the issuer identifier from the authorization server's metadata", err)
		}
	case in.URL != "" && in.JWKSURI != "" && fetch.CheckURL(in.URL) != nil:
		errs.add(field+"AuthorizationServer", "is empty, and URL is nothing that clients could ask; "+
			"write the issuer identifier from the authorization server's metadata")
	}
}

// warnOfIssuer says which checks of tokens an issuer goes without.
func (m *Middleware) warnOfIssuer(in Issuer, field string) {
	warn := func(text string) { m.warnings = append(m.warnings, field+text) }
	if in.DangerouslyAcceptNoAudience {
		warn("DangerouslyAcceptNoAudience: tokens of the listed clients are accepted without an audience, whatever they were issued for")
	}
	if in.DangerouslyAcceptClientAudience {
		warn("DangerouslyAcceptClientAudience: tokens whose audience is one of the listed clients are accepted, whatever they were issued for")
	}
	if in.Grants.DangerouslyDefaultScopes != nil {
		warn("Grants.DangerouslyDefaultScopes: tokens that say nothing of scopes have some")
	}
	if in.DangerouslyAcceptAnyAudience {
		who := "of every client"
		if in.ClientIDs != nil {
			who = "of the listed clients"
		}
		warn("DangerouslyAcceptAnyAudience: tokens " + who + " are accepted, whatever resource they were issued for; set ClientIDs, or better Audiences")
	}
}

// checkRolePrefixes makes sure that an issuer whose roles have a prefix is the only one that can name them.
func (m *Middleware) checkRolePrefixes(cfg Config, errs *mistakes) {
	for i, a := range cfg.Issuers {
		for j, b := range cfg.Issuers {
			if m.issuers[i].hasRoles && m.issuers[j].hasRoles && a.Grants.RolePrefix != b.Grants.RolePrefix && strings.HasPrefix(b.Grants.RolePrefix, a.Grants.RolePrefix) {
				errs.add(fmt.Sprintf("Issuers[%d].Grants.RolePrefix", i), "%q begins that of Issuers[%d], %q, so this issuer could name the other's roles; write prefixes none of which begins another, at each issuer that has roles",
					a.Grants.RolePrefix, j, b.Grants.RolePrefix)
			}
		}
	}
}

// withoutIssuers is for servers that accept no access tokens.
func (m *Middleware) withoutIssuers(cfg Config, errs *mistakes) {
	if len(cfg.Authenticators) == 0 && !cfg.StdioOnly {
		errs.add("Issuers", "name at least one authorization server, or nobody could ever get in")
	}
	m.names, _ = scopes.Mapper{}.Compile()
	m.metadataURL = ""
}

// Ready fetches the metadata and the keys of every issuer, where there are none yet, and returns what went
// wrong, joined. Of an issuer with Introspection it finds out where to ask, and nothing more: it may have no
// keys, and is asked about tokens only. Use it at start-up, or as a readiness probe where there is one issuer:
// until it succeeds, tokens of the issuers named in the error are answered 503, and only theirs.
func (m *Middleware) Ready(ctx context.Context) error {
	errs := make([]error, len(m.issuers))
	done := make(chan struct{})
	for i, in := range m.issuers {
		go func() {
			if err := in.ready(ctx); err != nil {
				errs[i] = fmt.Errorf("issuer %s: %w", in.url, err)
			}
			done <- struct{}{}
		}()
	}
	for range m.issuers {
		<-done
	}
	return errors.Join(errs...)
}

// ready returns nil where tokens of the issuer can be checked, as far as that is known without one.
func (in *issuer) ready(ctx context.Context) error {
	if in.endpoint != nil {
		_, err := in.endpoint(ctx)
		return err
	}
	return in.keys.Ready(ctx)
}
