package mcpauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/prm"
)

// Metadata returns the handler of the protected resource metadata document (RFC 9728), for routers
// other than http.ServeMux. It compares the whole path of the request, so it must be mounted at
// [Middleware.MetadataPath] without stripping anything; it also answers that path with a slash at the
// end, and the root form if Config.RootMetadata asks for it. It needs no token and must stay outside
// of Wrap.
func (m *Middleware) Metadata() http.Handler {
	m.published.Store(true)
	return m.metadata
}

// MetadataPath is the path of the metadata document, such as
// "/.well-known/oauth-protected-resource/mcp".
func (m *Middleware) MetadataPath() string {
	path, _ := prm.WellKnownPath(m.resource) // New has validated the resource
	return path
}

// metadataPaths are all paths at which the document is served.
func (m *Middleware) metadataPaths() []string {
	path := strings.TrimSuffix(m.MetadataPath(), "/")
	paths := []string{path, path + "/"}
	if m.rootMetadata && path != prm.WellKnownPrefix {
		paths = append(paths, prm.WellKnownPrefix, prm.WellKnownPrefix+"/")
	}
	return paths
}

func resourcePath(resource string) (string, error) {
	u, err := url.Parse(resource)
	if err != nil {
		return "", err
	}
	if u.Path == "" {
		return "/", nil
	}
	return u.EscapedPath(), nil
}

// pattern is an http.ServeMux pattern for exactly this path: a slash at the end would else stand for
// everything below.
func pattern(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

// checkMetadata checks what Config.Metadata holds by itself.
func checkMetadata(cfg Config, errs *mistakes) {
	if cfg.MetadataSigning != nil && len(cfg.Issuers) == 0 {
		errs.add("MetadataSigning", "leave it out: without Issuers there is no metadata document")
	}
	if cfg.MetadataSigning != nil {
		if err := cfg.MetadataSigning.Validate(); err != nil {
			errs.add("MetadataSigning", "%w", err)
		}
	}
	if cfg.Metadata == nil {
		return
	}
	if len(cfg.Issuers) == 0 {
		errs.add("Metadata", "leave it out: without Issuers there is no metadata document")
	}
	doc := *cfg.Metadata
	for _, managed := range []struct {
		name string
		set  bool
	}{
		{"Resource", doc.Resource != "" && doc.Resource != cfg.Resource},
		{"AuthorizationServers", len(doc.AuthorizationServers) > 0},
		{"BearerMethodsSupported", len(doc.BearerMethodsSupported) > 0},
		{"DPoPSigningAlgValuesSupported", len(doc.DPoPSigningAlgValuesSupported) > 0},
		{"DPoPBoundAccessTokensRequired", doc.DPoPBoundAccessTokensRequired != nil},
		{"TLSClientCertificateBoundAccessTokens", doc.TLSClientCertificateBoundAccessTokens},
	} {
		if managed.set {
			errs.add("Metadata."+managed.name, "leave it out; it follows from the rest of the Config, so that it always says what is enforced")
		}
	}
	doc.Resource, doc.AuthorizationServers = cfg.Resource, []string{"https://issuer.invalid"}
	doc.BearerMethodsSupported, doc.DPoPSigningAlgValuesSupported, doc.DPoPBoundAccessTokensRequired = nil, nil, nil
	doc.TLSClientCertificateBoundAccessTokens = false
	if err := doc.Validate(); err != nil {
		errs.add("Metadata", "%w", err)
	}
}

// publish makes the metadata document and its handler.
func (m *Middleware) publish(cfg Config, errs *mistakes) {
	if len(cfg.Issuers) == 0 {
		m.metadata = http.NotFoundHandler()
		m.published.Store(true)
		return
	}
	m.names = m.issuers[0].mapping
	doc := &prm.Metadata{}
	if cfg.Metadata != nil {
		*doc = *cfg.Metadata
	}
	doc.Resource = cfg.Resource
	doc.BearerMethodsSupported = nil
	if m.schemes&bearerScheme != 0 {
		doc.BearerMethodsSupported = []string{"header"} // an empty list would have to be left out
	}
	if m.schemes&dpopScheme != 0 {
		required := m.schemes&bearerScheme == 0
		doc.DPoPSigningAlgValuesSupported, doc.DPoPBoundAccessTokensRequired = m.proofs.Algorithms(), &required
	}
	doc.TLSClientCertificateBoundAccessTokens = m.mutualTLS.Enabled
	for _, in := range cfg.Issuers {
		server := in.AuthorizationServer
		if server == "" {
			server = in.URL
		}
		if !slices.Contains(doc.AuthorizationServers, server) {
			doc.AuthorizationServers = append(doc.AuthorizationServers, server)
		}
	}
	doc.ScopesSupported = dedupe(append(m.names.Challenge(m.base), doc.ScopesSupported...))
	handler, err := prm.NewHandler(prm.Config{
		Resources: []*prm.Metadata{doc}, RootMetadata: cfg.RootMetadata, Signing: cfg.MetadataSigning, Now: m.now, Logger: m.log,
	})
	if err != nil {
		errs.add("Metadata", "%w", err)
		return
	}
	m.metadata = handler
	m.prefixed = strings.Join(m.names.Challenge(m.base), " ")
	for i, in := range m.issuers {
		if names := in.mapping.Challenge(m.base); !slices.Equal(names, m.names.Challenge(m.base)) { // nobody knows yet whose token will come
			m.warnings = append(m.warnings, fmt.Sprintf("Issuers[%d].Grants.ChallengePrefix: who has no token yet is told to ask for %q, under the name of Issuers[0], which this issuer may refuse; "+
				"leave BaseScopes out, or give each issuer a Middleware and a Resource of its own", i, m.prefixed))
		}
	}
}
