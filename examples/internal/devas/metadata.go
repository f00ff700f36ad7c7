package devas

import (
	"encoding/json"
	"net/http"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// metadata is the authorization server metadata (RFC 8414, Section 2) with the members that OpenID discovery requires. The library's own document says
// less and offers more, such as userinfo.
type metadata struct {
	Issuer                            string   `json:"issuer"`
	AuthorizationEndpoint             string   `json:"authorization_endpoint"`
	TokenEndpoint                     string   `json:"token_endpoint"`
	JWKSURI                           string   `json:"jwks_uri"`
	RegistrationEndpoint              string   `json:"registration_endpoint,omitempty"`
	IntrospectionEndpoint             string   `json:"introspection_endpoint"`
	RevocationEndpoint                string   `json:"revocation_endpoint"`
	ScopesSupported                   []string `json:"scopes_supported"`
	ResponseTypesSupported            []string `json:"response_types_supported"`
	ResponseModesSupported            []string `json:"response_modes_supported"`
	GrantTypesSupported               []string `json:"grant_types_supported"`
	GrantProfilesSupported            []string `json:"authorization_grant_profiles_supported,omitempty"`
	CodeChallengeMethodsSupported     []string `json:"code_challenge_methods_supported"`
	TokenAuthMethodsSupported         []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgsSupported            []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported"`
	DPoPAlgsSupported                 []string `json:"dpop_signing_alg_values_supported"`
	IssParameterSupported             bool     `json:"authorization_response_iss_parameter_supported"`
	ClientIDMetadataDocumentSupported bool     `json:"client_id_metadata_document_supported"`
	ProtectedResources                []string `json:"protected_resources"`
	SubjectTypesSupported             []string `json:"subject_types_supported"`
	IDTokenAlgsSupported              []string `json:"id_token_signing_alg_values_supported"`
}

// serveMetadata answers at the RFC 8414 URL and at the OpenID URL; for an issuer without a path the two OpenID forms are one.
func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	m := metadata{
		Issuer:                            s.cfg.Issuer,
		AuthorizationEndpoint:             s.cfg.Issuer + pathAuthorize,
		TokenEndpoint:                     s.cfg.Issuer + pathToken,
		JWKSURI:                           s.cfg.Issuer + pathJWKS,
		IntrospectionEndpoint:             s.cfg.Issuer + pathIntrospect,
		RevocationEndpoint:                s.cfg.Issuer + pathRevoke,
		ScopesSupported:                   append([]string{}, scopeNames(s.list.Load().all)...),
		ResponseTypesSupported:            []string{"code"},
		ResponseModesSupported:            []string{"query"},
		GrantTypesSupported:               []string{"authorization_code", "refresh_token"},
		CodeChallengeMethodsSupported:     []string{"S256"},
		TokenAuthMethodsSupported:         []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
		IntrospectionAuthMethodsSupported: []string{"client_secret_basic", "client_secret_post"},
		RevocationAuthMethodsSupported:    []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"},
		DPoPAlgsSupported:                 s.proofs.verifier.Algorithms(),
		IssParameterSupported:             true,
		ClientIDMetadataDocumentSupported: s.documents != nil,
		SubjectTypesSupported:             []string{"public"},
		IDTokenAlgsSupported:              []string{"ES256"},
	}
	if !s.cfg.NoRegistration {
		m.RegistrationEndpoint = s.cfg.Issuer + pathRegister
	}
	for _, alg := range assertionAlgorithms {
		m.TokenAuthAlgsSupported = append(m.TokenAuthAlgsSupported, string(alg))
	}
	if s.hasAgents() {
		m.GrantTypesSupported = append(m.GrantTypesSupported, string(goidc.GrantClientCredentials))
	}
	if s.hasProviders() {
		// Which providers these are is nobody's business (draft, "Metadata Disclosure").
		m.GrantTypesSupported = append(m.GrantTypesSupported, string(goidc.GrantJWTBearer))
		m.GrantProfilesSupported = []string{profileIDJAG}
	}
	for _, r := range s.list.Load().all {
		m.ProtectedResources = append(m.ProtectedResources, r.Identifier)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=60")
	_ = json.NewEncoder(w).Encode(m)
}
