package devas

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// assertionAlgorithms sign client assertions (private_key_jwt).
var assertionAlgorithms = []goidc.SignatureAlgorithm{goidc.SigAlgES256, goidc.SigAlgPS256, goidc.SigAlgRS256, "EdDSA"}

// The two ways to present a client secret (RFC 6749, Section 2.3.1).
const (
	secretBasic = string(goidc.AuthnMethodSecretBasic)
	secretPost  = string(goidc.AuthnMethodSecretPost)
)

var errSecret = errors.New("the client secret is wrong")

// verifySecret compares with the digest that the store keeps.
func verifySecret(_ context.Context, kept, presented string) error {
	if kept == "" || subtle.ConstantTimeCompare([]byte(kept), []byte(hide(presented))) != 1 {
		return errSecret
	}
	return nil
}

// configuredClient turns a client of Config into the library's form.
func configuredClient(c Client) (*clientRecord, error) {
	meta := goidc.ClientMeta{Name: c.Name, RedirectURIs: slices.Clone(c.RedirectURIs), TokenAuthnMethod: goidc.AuthnMethodNone}
	if meta.Name == "" {
		meta.Name = c.ID
	}
	switch {
	case c.JWKS != "":
		keys, err := parsePublicKeys([]byte(c.JWKS))
		if err != nil {
			return nil, err
		}
		meta.TokenAuthnMethod, meta.JWKS = goidc.AuthnMethodPrivateKeyJWT, keys
	case c.Secret != "":
		meta.TokenAuthnMethod = goidc.AuthnMethod(cmp.Or(c.SecretMethod, secretBasic))
	}
	if !c.Agent && !c.Assertions || len(c.RedirectURIs) > 0 {
		meta.GrantTypes = append(meta.GrantTypes, goidc.GrantAuthorizationCode, goidc.GrantRefreshToken)
		meta.ResponseTypes = []goidc.ResponseType{goidc.ResponseTypeCode}
	}
	if c.Agent {
		meta.GrantTypes = append(meta.GrantTypes, goidc.GrantClientCredentials)
	}
	if c.Assertions {
		meta.GrantTypes = append(meta.GrantTypes, goidc.GrantJWTBearer)
	}
	return &clientRecord{
		client:        &goidc.Client{ID: c.ID, Secret: c.Secret, ClientMeta: meta},
		bound:         &configuredBound{all: c.AllScopes, scopes: slices.Clone(c.Scopes)},
		anyMethod:     c.Secret != "" && c.SecretMethod == "",
		mayIntrospect: c.MayIntrospect,
		roles:         slices.Clone(c.Roles),
	}, nil
}

// parsePublicKeys reads a JSON Web Key Set for client authentication.
func parsePublicKeys(raw []byte) (*goidc.JSONWebKeySet, error) {
	var set goidc.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("this is not a JSON Web Key Set")
	}
	if len(set.Keys) == 0 || len(set.Keys) > 20 {
		return nil, errors.New("a JSON Web Key Set needs at least one key, and at most 20")
	}
	for i, k := range set.Keys {
		if !k.Valid() || !k.IsPublic() {
			return nil, fmt.Errorf("key %d is not a valid public key", i)
		}
		if k.Use != "" && k.Use != "sig" {
			return nil, fmt.Errorf("key %d is not for signatures", i)
		}
	}
	return &set, nil
}

// tokenOptions chooses the form of an access token by its resource.
func (s *Server) tokenOptions(_ context.Context, g *goidc.Grant, _ *goidc.Client) goidc.TokenOptions {
	life := int(s.cfg.TokenLifetime / time.Second)
	if len(g.Resources) == 1 {
		if r, ok := s.resource(g.Resources[0]); ok && r.OpaqueTokens {
			return goidc.NewOpaqueTokenOptions(life)
		}
	}
	return goidc.NewJWTTokenOptions(goidc.SigAlgES256, life)
}

// tokenClaims are the claims that the library does not know. They are part of the answers of introspection, too.
func (s *Server) tokenClaims(ctx context.Context, _ *goidc.Token, g *goidc.Grant) map[string]any {
	roles := rolesOf(g)
	if g.Subject != g.ClientID {
		// A grant in the file may be older than the user's present roles.
		user, _ := s.person(g.Subject)
		roles = slices.DeleteFunc(roles, func(role string) bool { return !slices.Contains(user.Roles, role) })
	}
	claims := map[string]any{"roles": roles}
	if f := factsFrom(ctx); f.endpoint == pathToken && f.jkt != "" {
		claims["cnf"] = map[string]string{"jkt": f.jkt} // RFC 9449, Section 6.1
	}
	return claims
}

// rolesOf returns the roles of a grant, which are []any after they were in the file.
func rolesOf(g *goidc.Grant) []string {
	roles := []string{}
	switch list := g.Store[storeRoles].(type) {
	case []string:
		roles = append(roles, list...)
	case []any:
		for _, r := range list {
			if name, ok := r.(string); ok {
				roles = append(roles, name)
			}
		}
	}
	return roles
}

// tokenIssued is called by the library when an access token is made.
func (s *Server) tokenIssued(ctx context.Context, t *goidc.Token, g *goidc.Grant) error {
	i := Issuance{At: s.cfg.Now(), Expires: time.Unix(int64(t.ExpiresAt), 0), Subject: t.Subject, Client: t.ClientID, Scope: t.Scopes, TokenType: "Bearer",
		Opaque: t.Format == goidc.TokenFormatOpaque, Grant: g.ID}
	if len(t.Resources) > 0 {
		i.Server = t.Resources[0]
	}
	if factsFrom(ctx).jkt != "" {
		i.TokenType = "DPoP"
	}
	s.issued(i)
	return nil
}

// decideGrant has the last word where no person has decided on a page.
func (s *Server) decideGrant(ctx context.Context, typ goidc.GrantType, g *goidc.Grant) error {
	switch typ {
	case goidc.GrantClientCredentials:
		return s.grantAgent(g)
	case goidc.GrantJWTBearer:
		return s.grantAsserted(ctx, g)
	}
	return nil
}

// grantAgent decides what an application gets for itself (client_credentials). The library has checked that the scopes and resources exist.
func (s *Server) grantAgent(g *goidc.Grant) error {
	resources := slices.Compact(slices.Sorted(slices.Values(g.Resources)))
	if all := s.list.Load().all; len(resources) == 0 && !s.cfg.Strict && len(all) == 1 {
		resources = goidc.Resources{all[0].Identifier}
		s.cfg.Logger.Warn("open mode: the request named no resource", "client_id", g.ClientID, "assumed", resources[0])
	}
	if len(resources) != 1 {
		return goidc.NewError(goidc.ErrorCodeInvalidTarget, "exactly one resource is needed")
	}
	r, ok := s.resource(resources[0])
	if !ok {
		return goidc.NewError(goidc.ErrorCodeInvalidTarget, "the resource is not known")
	}
	if !s.admitted(g.ClientID, r) {
		return goidc.NewError(goidc.ErrorCodeInvalidTarget, "the resource is not allowed to the client")
	}
	requested := g.Scopes
	if requested == "" {
		if s.cfg.Strict {
			return goidc.NewError(goidc.ErrorCodeInvalidScope, "the scope parameter is required")
		}
		requested = joinScopes(r.Scopes)
		s.cfg.Logger.Warn("open mode: the request named no scope", "client_id", g.ClientID, "assumed", requested)
	}
	granted := joinScopes(possible(r, s.allowedScopes(g.ClientID, r), requested))
	if granted == "" && len(r.Scopes) > 0 {
		return goidc.NewError(goidc.ErrorCodeInvalidScope, "none of the scopes belongs to the resource and is allowed to the client")
	}
	g.Resources, g.Scopes = resources, granted
	g.Store = map[string]any{storeRoles: s.store.agentRoles(g.ClientID)}
	return nil
}

func (s *store) agentRoles(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.clients[id]; rec != nil {
		return slices.Clone(rec.roles)
	}
	return nil
}
