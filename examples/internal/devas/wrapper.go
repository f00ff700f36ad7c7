package devas

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// Paths of the endpoints. All but the sign-in pages and the metadata are the library's.
const (
	pathAuthorize  = "/authorize"
	pathToken      = "/token"
	pathJWKS       = "/jwks"
	pathRegister   = "/register"
	pathIntrospect = "/introspect"
	pathRevoke     = "/revoke"
	pathSignIn     = "/signin"
	pathSignOut    = "/signout"
	pathMetadata   = "/.well-known/oauth-authorization-server"
	pathOIDC       = "/.well-known/openid-configuration"
)

const (
	maxBody  = 64 << 10
	maxQuery = 16 << 10
)

// routes lists everything that is served. Other endpoints of the library (userinfo, management of registrations) are not reachable.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(pathMetadata, cors("GET HEAD", http.HandlerFunc(s.serveMetadata)))
	mux.Handle(pathOIDC, cors("GET HEAD", http.HandlerFunc(s.serveMetadata)))
	mux.Handle(pathJWKS, cors("GET HEAD", &s.library))
	mux.Handle(pathToken, cors("POST", http.HandlerFunc(s.serveToken)))
	mux.Handle(pathRevoke, cors("POST", http.HandlerFunc(s.serveRevoke)))
	mux.Handle(pathIntrospect, only("POST", http.HandlerFunc(s.serveIntrospect)))
	if !s.cfg.NoRegistration {
		mux.Handle(pathRegister, cors("POST", http.HandlerFunc(s.serveRegister)))
	}
	// No CORS here (AS-17): these are for navigation only.
	mux.Handle(pathAuthorize, page(only("GET", http.HandlerFunc(s.serveAuthorize))))
	mux.Handle(pathAuthorize+"/{request}", page(only("GET POST", http.HandlerFunc(s.serveRequest))))
	mux.Handle(pathSignIn, page(only("GET POST", http.HandlerFunc(s.serveSignIn))))
	mux.Handle(pathSignOut, page(only("POST", http.HandlerFunc(s.serveSignOut))))
	s.routePages(mux)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A foreign name for a loopback address is DNS rebinding: a web site reaching into this machine.
		u := url.URL{Host: r.Host}
		if !isLoopbackHost(u.Hostname()) {
			http.Error(w, "this server answers to loopback names only", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		defer func() {
			for _, e := range s.store.takeEnded() {
				s.log(e)
			}
			s.save()
		}()
		mux.ServeHTTP(w, r)
	})
}

// only answers 405 to methods that are not listed.
func only(methods string, next http.Handler) http.Handler {
	list := strings.Fields(methods)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(list, r.Method) {
			w.Header().Set("Allow", strings.Join(list, ", "))
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cors opens an endpoint to scripts of every origin, which is safe because none of these endpoints looks at cookies. The library's routes would answer
// a preflight with 405.
func cors(methods string, next http.Handler) http.Handler {
	next = only(methods, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", strings.Join(strings.Fields(methods), ", "))
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP, MCP-Protocol-Version")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// page sets the headers of pages on redirects too.
func page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pageHeaders(w.Header())
		next.ServeHTTP(w, r)
	})
}

// serveAuthorize checks and mends an authorization request, then hands it to the library.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	unusable := func(text string) {
		s.problem(w, r, problemPage{Status: http.StatusBadRequest, Title: "The application sent a request that cannot be used.", Text: text})
	}
	if len(r.URL.RawQuery) > maxQuery {
		unusable("It is too long. Go back to the application.")
		return
	}
	// url.Query drops what it cannot parse; half a request is not one.
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		unusable("It is malformed. Go back to the application.")
		return
	}
	f := facts{endpoint: pathAuthorize}
	for name, values := range query {
		if len(values) < 2 || name == "resource" {
			continue // resource may repeat (RFC 8707, Section 2); policy.begin judges it
		}
		// RFC 6749, Section 3.1. With these two in doubt there is nobody to redirect to.
		if name == "client_id" || name == "redirect_uri" {
			unusable("A parameter is repeated. Go back to the application.")
			return
		}
		f.setProblem(goidc.ErrorCodeInvalidRequest, "a parameter is repeated")
		query[name] = values[:1]
		if name == "state" {
			delete(query, name)
		}
	}
	if mode := query.Get("response_mode"); mode != "" && mode != "query" {
		// The library would answer in the requested mode.
		f.setProblem(goidc.ErrorCodeInvalidRequest, "response_mode must be query")
		query.Del("response_mode")
	}
	if typ := query.Get("response_type"); typ != "" && typ != "code" {
		// The library would answer in a fragment, and with another code than RFC 6749, Section 4.1.2.1 has for it.
		f.setProblem("unsupported_response_type", "response_type must be code")
		query.Set("response_type", "code")
	}
	// Wishes of OpenID clients that may be ignored, where the library would refuse a value that it does not know.
	for _, name := range []string{"acr_values", "display", "id_token_hint", "claims", "ui_locales"} {
		query.Del(name)
	}
	if query.Has("dpop_jkt") {
		// RFC 9449, Section 10. The code will be bound to this key; the library need not know.
		if f.jkt = query.Get("dpop_jkt"); !thumbprintForm(f.jkt) {
			f.setProblem(goidc.ErrorCodeInvalidRequest, "dpop_jkt is not a SHA-256 thumbprint in base64url")
		}
		query.Del("dpop_jkt")
	}
	s.rewriteResource(query)
	f.redirectURI = query.Get("redirect_uri")
	f = s.meet(r.Context(), f, query.Get("client_id"))
	r = r.WithContext(withFacts(r.Context(), f))
	u := *r.URL
	u.RawQuery = query.Encode()
	r.URL = &u
	s.library.ServeHTTP(w, r)
}

// serveRequest passes a pending request on to the library, which calls policy.interact. Decisions carry the state of the request in the store only, so
// nothing but the form's own fields is read here.
func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.problem(w, r, problemPage{Status: http.StatusBadRequest, Title: "This form cannot be read.", Text: "Nothing was decided."})
		return
	}
	w, r = s.completing(w, r)
	f := facts{endpoint: pathAuthorize}
	if as, err := s.store.Session(r.Context(), r.PathValue("request")); err == nil {
		f = s.meet(r.Context(), f, as.ClientID)
	}
	s.library.ServeHTTP(w, r.WithContext(withFacts(r.Context(), f)))
}

// rewriteResource gives resources the spelling of the configuration when they differ from it in a trailing slash: some clients send https://h/ for https://h.
func (s *Server) rewriteResource(values url.Values) {
	for i, v := range values["resource"] {
		if res, ok := s.resource(v); ok {
			values["resource"][i] = res.Identifier
		}
	}
}
