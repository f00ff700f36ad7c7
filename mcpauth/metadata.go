package mcpauth

import (
	"net/http"
	"net/url"
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
