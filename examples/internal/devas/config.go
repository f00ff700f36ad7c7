package devas

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/scopes"
)

// Config describes a development authorization server. Issuer and Resources are required.
type Config struct {
	// Issuer is the issuer identifier: scheme, loopback host and port, without path, query or trailing slash, such as http://127.0.0.1:9000.
	// [IssuerURL] makes it from a listener. https is for programs that serve the handler over TLS themselves.
	Issuer string

	// Resources are the protected resources that tokens can be issued for.
	Resources []Resource

	// Users can sign in by choosing a name. Nil means [DefaultUsers].
	Users []User

	// RoleScopes names the scopes that each role may have. A role that is missing here may have none. Nil means [DefaultRoleScopes] of Resources.
	RoleScopes map[string][]string

	// Clients are known without registration.
	Clients []Client

	// IdentityProviders are those whose identity assertions (ID-JAG) are exchanged for access tokens, for Clients with Assertions. Nil: none, and the
	// grant is neither offered nor accepted.
	IdentityProviders []IdentityProvider

	// Strict refuses requests without a resource (invalid_target) or a scope (invalid_scope), and gives no scope to an application that registered
	// itself until an administrator has permitted it. The zero value is the open mode: some clients leave these parameters out, so when there is
	// exactly one resource a missing resource means that one, and a missing scope means all of its scopes, which is logged each time; and applications
	// may ask for every scope.
	Strict bool

	// NoRegistration switches dynamic client registration (RFC 7591) off.
	NoRegistration bool

	// NoDocuments switches client ID metadata documents off. The zero value fetches the document of every client that has one, from public addresses
	// only.
	NoDocuments bool

	// DocumentHosts, when not nil, are the only hosts whose metadata documents are fetched; an empty list allows none.
	DocumentHosts []string

	// DangerouslyFetchLoopback allows metadata documents to be fetched from this machine, with these roots for TLS. It is for tests.
	DangerouslyFetchLoopback *x509.CertPool

	// DPoPNonces asks for a nonce of this server in every DPoP proof at the token endpoint (RFC 9449, Section 8).
	DPoPNonces bool

	// File keeps what has to survive a restart: servers and permissions that were made on the administrators' pages, registered clients, grants and the
	// event log. The signing key is not in it: every start has a fresh one, so access tokens end with the process and refresh tokens live on. Secrets
	// and refresh tokens are in it as SHA-256 digests only. Empty keeps everything in memory.
	File string

	// TokenLifetime is the life of an access token: at most 10 minutes, zero means 5.
	TokenLifetime time.Duration

	// Logger receives warnings and refusals, never tokens or codes. Nil discards them.
	Logger *slog.Logger

	// Now is the clock for expiry of requests, codes, refresh tokens and sign-ins; nil means time.Now. What is signed into tokens, and the
	// library's own checks, always use the real clock, so Now can only make things expire earlier.
	Now func() time.Time
}

// A Resource is one protected resource, for example an MCP server. The zero values of Owner, Access and Users let every user in.
type Resource struct {
	// Identifier is the absolute URL of the resource; it becomes the aud of tokens exactly as written here.
	Identifier string
	// Name is shown on the consent page. Empty means the identifier.
	Name string
	// Scopes are what can be granted for this resource.
	Scopes []Scope

	// Owner is the name of the user who is responsible for it, if any.
	Owner string `json:",omitempty"`
	// Access says which users may authorize applications for it, within the bounds of their roles. Empty means the owner, or everyone if there is none.
	Access Access `json:",omitempty"`
	// Users are the names of those who may when Access is [AccessListed]; the owner may in any case.
	Users []string `json:",omitempty"`

	// OpaqueTokens makes the access tokens for this resource random strings, which it has to introspect (RFC 7662), instead of JWTs.
	OpaqueTokens bool `json:",omitempty"`

	// Tools lists what these scopes open for this user, for the consent page. Nil: the page shows scopes only.
	Tools func(user User, scopes []string) []Tool `json:"-"`

	// ScopeNames says in words what scopes are, for pages, as ScopeNames of a [scopes.Catalog] does. What Scopes says itself comes first. It is asked
	// for each page, since a policy file may change while the server runs. Nil: the pages show what Scopes says.
	ScopeNames func() []scopes.Description `json:"-"`
}

// Access says which users may use a resource.
type Access string

// The values of [Access].
const (
	AccessEveryone Access = "everyone"
	AccessOwner    Access = "owner"
	AccessListed   Access = "listed"
)

// A Scope is a scope value and how it is explained to the user.
type Scope struct {
	Name string
	// Title is a short display name. Empty means Name.
	Title string `json:",omitempty"`
	// Text is a sentence that says what the scope allows. Empty shows the name alone.
	Text string `json:",omitempty"`
	// Roles may have the scope. Nil leaves that to [Config.RoleScopes].
	Roles []string `json:",omitempty"`
}

// A Tool is something that a resource offers, as the consent page shows it. Title may be empty; everything is plain text.
type Tool struct{ Name, Title, Description string }

// A Client is registered before the server starts. The zero value of Scopes gives it no scope.
type Client struct {
	ID string
	// Secret makes the client confidential: it then authenticates with client_secret_basic or client_secret_post, whichever it likes. Empty means a
	// public client, which must not send a secret.
	Secret string
	// SecretMethod, client_secret_basic or client_secret_post, holds it to one of the two. Empty accepts either.
	SecretMethod string
	// Name is shown on the consent page. Empty means the ID.
	Name string
	// RedirectURIs are compared exactly, except that the port of a loopback address is ignored (RFC 8252, Section 7.3).
	RedirectURIs []string
	// Scopes bound what the client can be granted; AllScopes lifts the bound.
	Scopes    []string
	AllScopes bool
	// MayIntrospect lets the client use the introspection endpoint; it needs a Secret.
	MayIntrospect bool

	// Agent lets the client act for itself with the client_credentials grant, with its Scopes and Roles; it needs a Secret or a JWKS. Such a client gets
	// no refresh token (RFC 6749, Section 4.4.3).
	Agent bool
	// Assertions lets the client exchange identity assertions of [Config.IdentityProviders] with the JWT bearer grant (RFC 7523); it needs a Secret or a
	// JWKS. The providers have to know it by its ID. Such tokens come without a refresh token.
	Assertions bool
	// Roles become the roles claim of tokens that an agent gets for itself.
	Roles []string
	// JWKS is a JSON Web Key Set of public keys. With it the client authenticates with private_key_jwt instead of a Secret.
	JWKS string
}

// Lifetimes, in seconds where the library wants them so.
const (
	defaultTokenLifetime = 5 * time.Minute
	maxTokenLifetime     = 10 * time.Minute
	requestLifetime      = 10 * time.Minute
	codeLifetime         = time.Minute
	refreshLifetime      = 24 * time.Hour
	loginLifetime        = 8 * time.Hour
)

func (c *Config) fillDefaults() {
	if c.Users == nil {
		c.Users = DefaultUsers()
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = defaultTokenLifetime
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// validate returns every mistake at once.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("devas: "+format, args...)) }

	if err := checkIssuer(c.Issuer); err != nil {
		bad("Config.Issuer: %w", err)
	}
	if len(c.Resources) == 0 {
		bad("Config.Resources is empty: name at least one resource")
	}
	known := map[string]bool{}
	for i, r := range c.Resources {
		if mistakes, ok := checkServer(r, c.Users).(interface{ Unwrap() []error }); ok {
			for _, err := range mistakes.Unwrap() {
				bad("Config.Resources[%d].%w", i, err)
			}
		}
		if same, ok := findResource(c.Resources[:i], r.Identifier); ok {
			bad("Config.Resources[%d].Identifier %q is listed twice, the other is %q (a trailing slash makes no difference)", i, r.Identifier, same.Identifier)
		}
		for _, s := range r.Scopes {
			known[s.Name] = true
		}
	}
	if len(c.Users) == 0 {
		bad("Config.Users is empty but not nil: nobody could sign in")
	}
	seen := map[string]bool{}
	for i, u := range c.Users {
		if u.Name == "" || seen[u.Name] {
			bad("Config.Users[%d].Name %q must be there and differ from the others", i, u.Name)
		}
		seen[u.Name] = true
	}
	for role, scopes := range c.RoleScopes {
		for _, s := range scopes {
			if !known[s] {
				bad("Config.RoleScopes[%q]: scope %q belongs to no resource", role, s)
			}
		}
	}
	seen = map[string]bool{}
	for i, cl := range c.Clients {
		if cl.ID == "" || seen[cl.ID] {
			bad("Config.Clients[%d].ID %q must be there and differ from the others", i, cl.ID)
		}
		seen[cl.ID] = true
		for _, uri := range cl.RedirectURIs {
			if err := checkRedirectURI(uri); err != nil {
				bad("Config.Clients[%d].RedirectURIs: %w", i, err)
			}
		}
		for _, s := range cl.Scopes {
			if !known[s] {
				bad("Config.Clients[%d].Scopes: %q belongs to no resource", i, s)
			}
		}
		if cl.Secret != "" && cl.JWKS != "" {
			bad("Config.Clients[%d] has a Secret and a JWKS: choose one way of authentication", i)
		}
		if cl.JWKS != "" {
			if _, err := parsePublicKeys([]byte(cl.JWKS)); err != nil {
				bad("Config.Clients[%d].JWKS: %w", i, err)
			}
		}
		if cl.Agent && cl.Secret == "" && cl.JWKS == "" {
			bad("Config.Clients[%d].Agent needs a Secret or a JWKS: client_credentials is for confidential clients (RFC 6749, Section 4.4)", i)
		}
		if cl.Assertions && cl.Secret == "" && cl.JWKS == "" {
			bad("Config.Clients[%d].Assertions needs a Secret or a JWKS: identity assertions are for confidential clients", i)
		}
		if cl.Assertions && len(c.IdentityProviders) == 0 {
			bad("Config.Clients[%d].Assertions is set, but Config.IdentityProviders is empty: none would be accepted", i)
		}
		if !cl.Agent && cl.Roles != nil {
			bad("Config.Clients[%d].Roles is for agents: set Agent, or leave it out", i)
		}
		if cl.MayIntrospect && cl.Secret == "" {
			bad("Config.Clients[%d].MayIntrospect needs a Secret: introspection is for authenticated clients (RFC 7662, Section 2.1)", i)
		}
		if cl.SecretMethod != "" && cl.Secret == "" {
			bad("Config.Clients[%d].SecretMethod needs a Secret", i)
		}
		if !slices.Contains([]string{"", secretBasic, secretPost}, cl.SecretMethod) {
			bad("Config.Clients[%d].SecretMethod %q must be %s, %s or empty", i, cl.SecretMethod, secretBasic, secretPost)
		}
		if cl.Agent && slices.ContainsFunc(c.Users, func(u User) bool { return u.Name == cl.ID }) {
			bad("Config.Clients[%d].ID %q is the name of a user as well: tokens that the agent gets for itself would say that they are the user's (RFC 9068, Section 5)", i, cl.ID)
		}
	}
	c.checkProviders(bad)
	if c.TokenLifetime < time.Second || c.TokenLifetime > maxTokenLifetime {
		bad("Config.TokenLifetime %v must be between 1 s and %v", c.TokenLifetime, maxTokenLifetime)
	}
	return errors.Join(errs...)
}

func checkIssuer(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is not an http or https URL; write something like http://127.0.0.1:9000", raw)
	}
	if u.Scheme+"://"+u.Host != raw {
		return fmt.Errorf("%q must be scheme, host and port only, without a trailing slash", raw)
	}
	if !isLoopbackHost(u.Hostname()) {
		return fmt.Errorf("host %q is not a loopback address; this server is for development on one machine", u.Hostname())
	}
	return nil
}

func checkResource(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is not an absolute http or https URL", raw)
	}
	if u.User != nil || strings.Contains(raw, "#") {
		return fmt.Errorf("%q must have neither user information nor a fragment (RFC 8707, Section 2)", raw)
	}
	return nil
}

// validScopeName applies the grammar of RFC 6749, Section 3.3: 1*( %x21 / %x23-5B / %x5D-7E ).
func validScopeName(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' })
}

// isLoopbackHost reports whether a host without port names this machine only.
func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
