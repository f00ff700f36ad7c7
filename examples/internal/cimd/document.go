package cimd

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

const (
	maxDepth        = 8
	maxRedirectURIs = 20
	maxName         = 300
)

// A Document is the metadata of a client that was found good. It is shared: nobody changes it.
type Document struct {
	ClientID     string // the URL, byte for byte
	Host         string
	Name         string // as it was sent, at most 300 bytes: pages clean it
	RedirectURIs []string
	// GrantTypes holds authorization_code and perhaps refresh_token; others that the client can do elsewhere are left out.
	GrantTypes []string
	// AuthMethod is none or private_key_jwt; then JWKS is there.
	AuthMethod string
	JWKS       json.RawMessage
	// DPoPBound is dpop_bound_access_tokens (RFC 9449, Section 5.2).
	DPoPBound bool
}

// parse reads a document that was found at clientID. Errors are sentences about the document, without a byte of it. checkRedirectURI may be nil.
func parse(clientID string, body []byte, checkRedirectURI func(string) error, checkJWKS func([]byte) error) (*Document, error) {
	members, err := strictjson.Object(body, strictjson.Limits{MaxDepth: maxDepth})
	if err != nil {
		return nil, fmt.Errorf("it is not a JSON object that everybody reads alike: %w", jsonFault(err))
	}
	d := &Document{ClientID: clientID, Host: host(clientID), AuthMethod: "none"}
	for name := range members {
		// client_secret and client_secret_expires_at, and what a careless reader would take for them: the document is public (Section 4.1).
		if strings.HasPrefix(strings.ToLower(name), "client_secret") {
			return nil, errors.New("it holds a client secret, which everybody can read")
		}
	}
	id, err := text(members, "client_id", true)
	if err != nil {
		return nil, err
	}
	if id != clientID {
		return nil, errors.New("its client_id is not the URL that it was found at")
	}
	if d.Name, err = text(members, "client_name", true); err != nil {
		return nil, err
	}
	if len(d.Name) > maxName {
		return nil, fmt.Errorf("its client_name is longer than %d bytes", maxName)
	}
	if d.RedirectURIs, err = texts(members, "redirect_uris"); err != nil {
		return nil, err
	}
	if len(d.RedirectURIs) == 0 || len(d.RedirectURIs) > maxRedirectURIs {
		return nil, fmt.Errorf("it needs redirect_uris, between 1 and %d", maxRedirectURIs)
	}
	for _, uri := range d.RedirectURIs {
		if checkRedirectURI != nil && checkRedirectURI(uri) != nil {
			return nil, errors.New("one of its redirect_uris cannot be used: use https, http on loopback, or a private-use scheme with a dot")
		}
	}
	if err := d.readGrants(members); err != nil {
		return nil, err
	}
	if err := d.readAuthentication(members, checkJWKS); err != nil {
		return nil, err
	}
	switch bound := members["dpop_bound_access_tokens"].(type) {
	case nil:
	case bool:
		d.DPoPBound = bound
	default:
		return nil, errors.New("its dpop_bound_access_tokens is not true or false")
	}
	return d, nil
}

func (d *Document) readGrants(members map[string]any) error {
	grants, err := texts(members, "grant_types")
	if err != nil {
		return err
	}
	if members["grant_types"] == nil {
		grants = []string{"authorization_code", "refresh_token"}
	}
	if !slices.Contains(grants, "authorization_code") {
		return errors.New("its grant_types lack authorization_code")
	}
	d.GrantTypes = []string{"authorization_code"}
	if slices.Contains(grants, "refresh_token") {
		d.GrantTypes = append(d.GrantTypes, "refresh_token")
	}
	types, err := texts(members, "response_types")
	if err != nil {
		return err
	}
	if members["response_types"] != nil && !slices.Contains(types, "code") {
		return errors.New("its response_types lack code")
	}
	return nil
}

// readAuthentication: methods with a shared secret are impossible here, and a key set has to be in the document, because fetching another URL would
// double what a stranger can make this machine do.
func (d *Document) readAuthentication(members map[string]any, checkJWKS func([]byte) error) error {
	method, err := text(members, "token_endpoint_auth_method", false)
	if err != nil {
		return err
	}
	switch method {
	case "", "none":
		return nil
	case "private_key_jwt":
	default:
		return errors.New("its token_endpoint_auth_method is neither none nor private_key_jwt")
	}
	if members["jwks_uri"] != nil {
		return errors.New("it has a jwks_uri, which is not fetched: put the keys into jwks")
	}
	if _, ok := members["jwks"].(map[string]any); !ok {
		return errors.New("it lacks the jwks that private_key_jwt needs")
	}
	d.AuthMethod = method
	if d.JWKS, err = json.Marshal(members["jwks"]); err != nil {
		return errors.New("its jwks cannot be read")
	}
	if checkJWKS != nil && checkJWKS(d.JWKS) != nil {
		return errors.New("its jwks holds no usable public keys, or others")
	}
	return nil
}

func text(members map[string]any, name string, required bool) (string, error) {
	v, there := members[name]
	s, ok := v.(string)
	switch {
	case there && !ok:
		return "", fmt.Errorf("its %s is not a string", name)
	case required && strings.TrimSpace(s) == "":
		return "", fmt.Errorf("it lacks %s", name)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("its %s is not UTF-8", name)
	}
	return s, nil
}

func texts(members map[string]any, name string) ([]string, error) {
	v, there := members[name]
	if !there {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("its %s is not a list", name)
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, fmt.Errorf("its %s holds something that is no string", name)
		}
	}
	return out, nil
}

// jsonFault reduces an error of the reader to its kind.
func jsonFault(err error) error {
	for _, kind := range []error{strictjson.ErrDuplicate, strictjson.ErrDepth, strictjson.ErrUTF8} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return strictjson.ErrSyntax
}
