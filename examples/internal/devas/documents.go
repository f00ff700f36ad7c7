package devas

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

// newDocuments makes the fetcher of client ID metadata documents (AS-30 to AS-33).
func newDocuments(cfg Config) (*cimd.Fetcher, error) {
	if cfg.NoDocuments {
		return nil, nil
	}
	c := cimd.Config{Policy: cimd.Any, CheckRedirectURI: checkRedirectURI, Now: cfg.Now, DangerouslyAllowLoopback: cfg.DangerouslyFetchLoopback,
		CheckJWKS: func(raw []byte) error { _, err := parsePublicKeys(raw); return err }}
	if cfg.DocumentHosts != nil {
		c.Policy, c.Hosts = cimd.Listed, cfg.DocumentHosts
	}
	return cimd.New(c)
}

// isDocumentURL reports whether a client ID is the URL of a metadata document, good or bad.
func isDocumentURL(clientID string) bool { return cimd.IsURL(clientID) }

// meet adds the metadata document of a client to the facts of a request, if the client has one. It comes before any lock, because it may take seconds.
func (s *Server) meet(ctx context.Context, f facts, clientID string) facts {
	if !isDocumentURL(clientID) || s.configured[clientID] {
		return f
	}
	f.documentID = clientID
	if s.documents == nil {
		f.documentErr = &cimd.Error{Host: "its address", Reason: "this server does not accept client ID metadata documents"}
		return f
	}
	doc, err := s.documents.Get(ctx, clientID)
	if err != nil {
		f.documentErr = err
		detail := err.Error()
		var fault *cimd.Error
		if errors.As(err, &fault) && fault.Err != nil {
			s.cfg.Logger.Info("a client ID metadata document could not be used", "host", fault.Host, "err", fault.Err)
		}
		s.log(Event{Kind: EventClientRefused, Client: clientID, Detail: detail})
		return f
	}
	f.document = documentClient(doc)
	s.store.noteDocument(&clientRecord{client: f.document}, s.cfg.Now())
	return f
}

// documentClient turns a document into the library's form.
func documentClient(d *cimd.Document) *goidc.Client {
	c := &goidc.Client{ID: d.ClientID, ClientMeta: goidc.ClientMeta{
		Name:                     d.Name,
		RedirectURIs:             d.RedirectURIs,
		ResponseTypes:            []goidc.ResponseType{goidc.ResponseTypeCode},
		TokenAuthnMethod:         goidc.AuthnMethod(d.AuthMethod),
		DPoPTokenBindingRequired: d.DPoPBound,
	}}
	for _, g := range d.GrantTypes {
		c.GrantTypes = append(c.GrantTypes, goidc.GrantType(g))
	}
	if d.JWKS != nil {
		c.JWKS, _ = parsePublicKeys(d.JWKS) // was checked when the document came
	}
	return cloneClient(c)
}

// documentFault writes the answer of a direct endpoint when the client's document cannot be used. A document that could not be fetched just now says
// nothing about the client, which shall keep its tokens: 503 and not 401.
func documentFault(w http.ResponseWriter, f facts) bool {
	var fault *cimd.Error
	if !errors.As(f.documentErr, &fault) || !fault.Temporary {
		return false // the store says that there is no such client
	}
	w.Header().Set("Retry-After", "30")
	writeError(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the client ID metadata document cannot be fetched at the moment")
	return true
}

// assertionIssuer reads iss of a client assertion without verifying anything, which is only to know whose keys to look at.
func assertionIssuer(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || len(assertion) > 8<<10 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return ""
	}
	return claims.Issuer
}
