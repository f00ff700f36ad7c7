package mcpauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/prm"
)

// Mount registers the protected handler at the path of the resource, and the metadata document at its
// well-known path. It registers no host and no other path: see [Middleware.MountHost]. It panics with a cure
// where another resource of the mux has these paths, as with Config.RootMetadata for more than one.
func (m *Middleware) Mount(mux *http.ServeMux, handler http.Handler) {
	m.mount(mux, []string{""}, handler)
}

// MountHost is Mount for a mux that serves resources of several hosts: it registers the same paths for the host of
// Resource alone, which a proxy in front must pass on in Host. Other hosts, loopback names included, are the
// mux's business, which answers 404 unless something else is mounted there.
func (m *Middleware) MountHost(mux *http.ServeMux, handler http.Handler) {
	m.mount(mux, hostPatterns(m.resource), handler)
}

// mount registers the protected handler and the metadata for these hosts; "" stands for all.
func (m *Middleware) mount(mux *http.ServeMux, hosts []string, handler http.Handler) {
	endpoint, metadata := m.Wrap(handler), m.Metadata()
	own := m.metadataPaths()
	for _, host := range hosts {
		m.register(mux, host+pattern(m.path), endpoint, "give each resource of a mux a path of its own, or use MountHost for resources of several hosts")
		for _, path := range own {
			cure := "two resources that differ in nothing but a slash at the end or a query cannot be told apart here; give each a path of its own, or use MountHost for resources of several hosts"
			if !strings.HasPrefix(path, strings.TrimSuffix(m.MetadataPath(), "/")) {
				cure = "Config.RootMetadata is for a host with one resource (RFC 9728, Section 3.3); unset it for all resources of this mux"
			} else if m.MetadataPath() == prm.WellKnownPrefix {
				cure = "this is the metadata of a resource without a path; unset Config.RootMetadata of the other resources of this mux"
			}
			m.register(mux, host+pattern(path), metadata, cure)
		}
	}
	m.log.Info("mcpauth: mounted", "path", m.path, "metadata", m.MetadataPath(), "resource", m.resource)
}

// register adds the cure to the mux's complaint about a pattern that is taken.
func (m *Middleware) register(mux *http.ServeMux, pattern string, h http.Handler, cure string) {
	defer func() {
		if v := recover(); v != nil {
			panic(fmt.Sprintf("mcpauth: Mount: %s cannot be registered for %s; %s: %v", pattern, m.resource, cure, v))
		}
	}()
	mux.Handle(pattern, h)
}

// hostPatterns are the hosts in patterns of http.ServeMux, which drops the port of a request before it compares, and the
// brackets of an IPv6 address with it. Most clients fold the case, and some do not.
func hostPatterns(resource string) []string {
	u, err := url.Parse(resource)
	if err != nil { // New has validated it
		return nil
	}
	hosts := []string{u.Hostname(), strings.ToLower(u.Hostname())}
	if strings.Contains(u.Hostname(), ":") {
		hosts = append(hosts, "["+u.Hostname()+"]")
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
