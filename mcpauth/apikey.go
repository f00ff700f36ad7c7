package mcpauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/scopes"
)

// An APIKey says whose a key is and what it may do. It does not hold the key itself, which only its holder has. The zero
// value is refused.
type APIKey struct {
	// Hash is that of the key, from [NewAPIKey] or [HashAPIKey]. Required.
	Hash string

	// Owner is whose key it is: Principal.Subject. Required.
	Owner string

	// Name tells the keys of one owner apart, in logs and audits: Principal.ClientID. Required.
	Name string

	// Scopes and Roles are what the key grants, under the names that rules use. Nil: none.
	Scopes, Roles []string

	Expiry time.Time // when the key ends; zero: never
}

// APIKeys configures [NewAPIKeys]. Keys or Find is required.
type APIKeys struct {
	// Issuer says who vouches for the owners: Principal.Issuer. It keeps an owner "ada" of a key apart from
	// a user "ada" of an authorization server, so it must be none of Config.Issuers. Zero: "urn:api-keys".
	Issuer string

	// Header is the field that holds the key. Zero: "X-Api-Key". With "Authorization", the key comes as a
	// bearer token, for clients that can send nothing else.
	Header string

	// Prefix is what every key begins with, such as "files_". What does not is not taken for a key.
	// Required if Header is "Authorization": it tells keys from access tokens.
	Prefix string

	// Keys are those that this process knows, each Hash once. Nil: all of them are elsewhere.
	Keys []APIKey

	// Find looks a key up elsewhere, by its hash, if it is not among Keys; nil, nil says that there is
	// none. An error is answered 503, and a key with a mistake in it 401. It is asked for every request, unknown
	// keys included, and its context is the request's. Nil: there are no others than Keys.
	Find func(ctx context.Context, hash string) (*APIKey, error)
}

const (
	defaultKeyIssuer = "urn:api-keys"
	defaultKeyHeader = "X-Api-Key"
	minKeyLength     = 20 // characters besides the prefix; 128 random bits in base64url are 22
	maxKeyLength     = 512
	hashPrefix       = "sha256:"
)

// NewAPIKeys returns an Authenticator for API keys. A caller with a key may do what the key grants and can
// never step up, so what it lacks is refused with a bare 403, and lists do not show it. An error names
// every mistake.
func NewAPIKeys(in APIKeys) (Authenticator, error) {
	a := &apiKeys{issuer: in.Issuer, header: textproto.CanonicalMIMEHeaderKey(in.Header), prefix: in.Prefix, find: in.Find,
		known: make(map[string]*Principal, len(in.Keys))}
	if a.issuer == "" {
		a.issuer = defaultKeyIssuer
	}
	if a.header == "" {
		a.header = defaultKeyHeader
	}
	var errs mistakes
	switch {
	case a.header == headerCookie:
		errs.add("Header", "cookies are no place for API keys, since browsers send them whoever asks; write X-Api-Key, or a name of your own")
	case a.header == headerAuthorization && a.prefix == "":
		errs.add("Prefix", "is empty, so nothing would tell keys from access tokens; write what every key begins with")
	}
	if !isKeyText(a.prefix) || len(a.prefix) > 64 {
		errs.add("Prefix", "write at most 64 letters, digits and - . _ ~")
	}
	if len(in.Keys) == 0 && in.Find == nil {
		errs.add("Keys", "is empty, and so is Find, so nobody could get in; set one of them")
	}
	for i := range in.Keys {
		key := &in.Keys[i]
		p, err := a.principal(key)
		switch {
		case err != nil:
			errs.add(fmt.Sprintf("Keys[%d]", i), "%w", err)
		case a.known[key.Hash] != nil:
			errs.add(fmt.Sprintf("Keys[%d]", i), "has the Hash of an earlier one; keep one of them")
		default:
			a.known[key.Hash] = p
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("mcpauth: APIKeys: %w", errors.Join(errs...))
	}
	return a, nil
}

// NewAPIKey makes a key of 256 random bits, and its hash. Give the key to its owner and keep the hash.
// Prefix may be empty; one that names your service lets scanners find leaked keys.
func NewAPIKey(prefix string) (key, hash string) {
	var raw [32]byte
	rand.Read(raw[:]) // never fails
	key = prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return key, HashAPIKey(key)
}

// HashAPIKey returns the hash of a key, prefix included: "sha256:" and SHA-256 in base64url. One fast hash
// is enough for keys that were made at random with 128 bits or more, and for nothing that a person chose.
func HashAPIKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

// apiKeys is the Authenticator for API keys.
type apiKeys struct {
	issuer, header, prefix string
	known                  map[string]*Principal
	find                   func(context.Context, string) (*APIKey, error)
}

// principal checks a key as somebody wrote it down, and makes the caller that it stands for.
func (a *apiKeys) principal(key *APIKey) (*Principal, error) {
	var errs mistakes
	if sum, ok := strings.CutPrefix(key.Hash, hashPrefix); !ok || !isThumbprint(sum) {
		errs.add("Hash", "is no hash of a key; write what NewAPIKey or HashAPIKey returns")
	}
	if key.Owner == "" {
		errs.add("Owner", "is empty; write whose key it is")
	}
	if key.Name == "" {
		errs.add("Name", "is empty; write what tells it from the other keys of its owner")
	}
	for _, s := range key.Scopes {
		if err := scopes.CheckScope(s); err != nil {
			errs.add("Scopes", "%w", err)
		}
	}
	for _, r := range key.Roles {
		if err := scopes.CheckRole(r); err != nil {
			errs.add("Roles", "%w", err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p := NewPrincipal(Identity{
		Issuer: a.issuer, Subject: key.Owner, ClientID: key.Name, Scheme: "ApiKey", Grant: scopes.NewGrant(key.Scopes, key.Roles), Expiry: key.Expiry,
	})
	p.fixed = true
	return p, nil
}

func (a *apiKeys) Headers() []string { return []string{a.header} }

func (a *apiKeys) Challenge() string {
	if a.header == headerAuthorization {
		return `Bearer realm="API key"`
	}
	return `ApiKey header="` + a.header + `"`
}

// claims reports whether a text is a key, whatever field it came in. It must not be sent to the issuer whose tokens
// begin with tokenPrefix.
func (a *apiKeys) claims(text, tokenPrefix string) bool {
	if a.prefix == "" {
		return a.known[HashAPIKey(text)] != nil
	}
	longer := len(tokenPrefix) > len(a.prefix) && strings.HasPrefix(tokenPrefix, a.prefix)
	return strings.HasPrefix(text, a.prefix) && !longer
}

var errUnknownKey = errors.New("the API key is not known")

func (a *apiKeys) Authenticate(r *http.Request) (*Principal, error) {
	key := ""
	if a.header == headerAuthorization {
		if creds, err := authheader.Parse(r.Header, nil); err == nil && creds.IsBearer() {
			key = creds.Token
		}
	} else if fields := r.Header[a.header]; len(fields) == 1 {
		key = fields[0]
	}
	rest, ok := strings.CutPrefix(key, a.prefix)
	if key == "" || !ok {
		return nil, ErrNoCredentials
	}
	if len(rest) < minKeyLength || len(key) > maxKeyLength || !isKeyText(rest) {
		return nil, errUnknownKey
	}
	hash := HashAPIKey(key)
	if p := a.known[hash]; p != nil {
		return p, nil
	}
	if a.find == nil {
		return nil, errUnknownKey
	}
	found, err := a.find(r.Context(), hash)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: APIKeys.Find: %w", ErrUnavailable, err)
	case found == nil:
		return nil, errUnknownKey
	case subtle.ConstantTimeCompare([]byte(found.Hash), []byte(hash)) != 1:
		return nil, errors.New("APIKeys.Find returned a key of another hash") // a prefix search, perhaps
	}
	p, err := a.principal(found)
	if err != nil {
		return nil, fmt.Errorf("APIKeys.Find returned a key with a mistake: %w", err)
	}
	return p, nil
}

// isKeyText reports whether s is made of the unreserved characters of RFC 3986, which survive every header.
func isKeyText(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~') {
			return false
		}
	}
	return true
}
