package devas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

const (
	maxRegistrationsPerMinute = 120
	maxRedirectURIs           = 20
	maxRegistration           = 8 << 10 // anybody may register: this times maxClients is what the memory and the file have to bear
)

// registrationMembers are the members of a registration that have a meaning here (RFC 7591, Section 2). Everything else is ignored, which the section
// allows. Scope is ignored on purpose: a client that registered the scope of its first challenge could never step up.
var registrationMembers = []string{"client_name", "client_uri", "software_id", "software_version", "redirect_uris", "grant_types", "response_types",
	"token_endpoint_auth_method", "application_type", "dpop_bound_access_tokens"}

// serveRegister is the dynamic client registration endpoint. There is no management of registrations (RFC 7592).
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) {
	if !s.registrations.allow(s.cfg.Now()) {
		w.Header().Set("Retry-After", "60")
		writeError(w, http.StatusTooManyRequests, "temporarily_unavailable", "too many registrations")
		return
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		writeError(w, http.StatusBadRequest, "invalid_client_metadata", "the body must be application/json")
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, "invalid_client_metadata", "the body is too large")
		return
	}
	body, code, err := readRegistration(raw)
	if err != nil {
		s.log(Event{Kind: EventClientRefused, Detail: "registration: " + err.Error()})
		writeError(w, http.StatusBadRequest, code, err.Error())
		return
	}
	dpopRequired := body["dpop_bound_access_tokens"] == true
	desktop, _ := body["desktop"].([]string)
	delete(body, "desktop")
	mended, err := json.Marshal(body)
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid_client_metadata", "the metadata cannot be read")
		return
	}
	// A fresh header: the library would look at an Authorization header for an initial access token.
	// The library drops dpop_bound_access_tokens, because it does not do DPoP here.
	inner := r.Clone(withFacts(r.Context(), facts{endpoint: pathRegister, dpopRequired: dpopRequired, desktop: desktop}))
	inner.Header = http.Header{"Content-Type": {"application/json"}}
	inner.Body = io.NopCloser(bytes.NewReader(mended))
	inner.ContentLength = int64(len(mended))
	buf := newBuffer()
	s.library.ServeHTTP(buf, inner)
	buf.replay(w, func(status int, _ http.Header, body map[string]any) int {
		delete(body, "registration_access_token")
		delete(body, "registration_client_uri")
		if body["error"] == "invalid_request" {
			body["error"] = "invalid_client_metadata" // RFC 7591, Section 3.2.2
		}
		if status == http.StatusCreated {
			body["client_id_issued_at"] = s.cfg.Now().Unix()
			if dpopRequired {
				body["dpop_bound_access_tokens"] = true
			}
			id, _ := body["client_id"].(string)
			s.log(Event{Kind: EventClientRegistered, OK: true, Client: id})
		}
		return status
	})
}

// readRegistration keeps the known members, fills the defaults of MCP clients and checks the redirect URIs. The members are picked by exact name, so the
// library cannot read one that differs in case. The code is for the error response.
func readRegistration(raw []byte) (body map[string]any, code string, err error) {
	const badMetadata, badURI = "invalid_client_metadata", "invalid_redirect_uri"
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, badMetadata, errors.New("the body is not a JSON object")
	}
	var in struct {
		redirectURIs              []string
		grantTypes, responseTypes []string
		method, application       string
		bound                     bool
	}
	for name, into := range map[string]any{"redirect_uris": &in.redirectURIs, "grant_types": &in.grantTypes, "response_types": &in.responseTypes,
		"token_endpoint_auth_method": &in.method, "application_type": &in.application, "dpop_bound_access_tokens": &in.bound} {
		if m, ok := members[name]; ok && json.Unmarshal(m, into) != nil {
			return nil, badMetadata, errors.New(name + " has the wrong type")
		}
	}
	if len(in.redirectURIs) == 0 || len(in.redirectURIs) > maxRedirectURIs {
		return nil, badURI, errors.New("redirect_uris must name at least one and not too many addresses")
	}
	var desktop []string
	in.redirectURIs = slices.DeleteFunc(in.redirectURIs, func(uri string) bool {
		known := slices.Contains(desktopRedirects, uri)
		if known && !slices.Contains(desktop, uri) {
			desktop = append(desktop, uri)
		}
		return known
	})
	if len(in.redirectURIs) == 0 {
		return nil, badURI, errors.New("redirect_uris needs an address that is https, http on loopback, or of a private-use scheme with a dot")
	}
	native := len(desktop) > 0
	for _, uri := range in.redirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return nil, badURI, errors.New("redirect_uris holds an address that cannot be registered: use https, http on loopback, or a private-use scheme with a dot")
		}
		native = native || !strings.HasPrefix(strings.ToLower(uri), "https:")
	}
	switch in.application {
	case "": // OpenID registration says web; most MCP clients leave it out and mean native
		in.application = "web"
		if native {
			in.application = "native"
		}
	case "web":
		if native {
			return nil, badURI, errors.New("a web application has https redirect URIs only")
		}
	case "native":
	default:
		return nil, badMetadata, errors.New("application_type must be web or native")
	}
	if len(in.grantTypes) == 0 {
		in.grantTypes = []string{"authorization_code", "refresh_token"}
	}
	if !slices.Contains(in.grantTypes, "authorization_code") ||
		slices.ContainsFunc(in.grantTypes, func(g string) bool { return g != "authorization_code" && g != "refresh_token" }) {
		return nil, badMetadata, errors.New("grant_types must be authorization_code, with or without refresh_token")
	}
	if len(in.responseTypes) == 0 {
		in.responseTypes = []string{"code"}
	}
	if slices.ContainsFunc(in.responseTypes, func(t string) bool { return t != "code" }) {
		return nil, badMetadata, errors.New("response_types must be code")
	}
	switch in.method {
	case "":
		in.method = "none"
	case "none", "client_secret_basic", "client_secret_post":
	default:
		return nil, badMetadata, errors.New("token_endpoint_auth_method is not supported")
	}

	body = map[string]any{}
	for _, name := range registrationMembers {
		if m, ok := members[name]; ok {
			body[name] = m
		}
	}
	body["dpop_bound_access_tokens"], body["desktop"] = in.bound, desktop
	body["redirect_uris"], body["application_type"] = in.redirectURIs, in.application
	body["grant_types"], body["response_types"], body["token_endpoint_auth_method"] = in.grantTypes, in.responseTypes, in.method
	return body, "", nil
}

// fitRegistration runs inside the library. A registered client may ask for every scope; the user's roles and consent are the bound.
func (s *Server) fitRegistration(ctx context.Context, _ string, meta *goidc.ClientMeta) error {
	meta.RedirectURIs = append(meta.RedirectURIs, factsFrom(ctx).desktop...)
	meta.ScopeIDs = strings.Join(scopeNames(s.list.Load().all), " ")
	meta.Name = clean(meta.Name, 200)
	return nil
}

// rate counts events in fixed windows of a minute.
type rate struct {
	limit int

	mu    sync.Mutex
	since time.Time
	count int
}

func (r *rate) allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.since); d >= time.Minute || d < 0 {
		r.since, r.count = now, 0
	}
	r.count++
	return r.count <= r.limit
}
