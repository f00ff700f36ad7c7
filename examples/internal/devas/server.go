package devas

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

// Warning is what programs should print before they serve.
const Warning = "DEVELOPMENT authorization server: anybody who reaches it can sign in as anyone, without a password. Never expose it, never use it in production."

// A Server is a development authorization server. Make one with [New]; the zero value refuses every request.
type Server struct {
	cfg        Config
	issuer     *url.URL
	store      *store
	configured map[string]bool // IDs of Config.Clients
	formKey    []byte
	keys       goidc.JSONWebKeySet
	handler    http.Handler
	library    library
	proofs     *proofs
	documents  *cimd.Fetcher // nil: switched off
	providers  *providers
	journal    journal
	file       *stateFile

	list    atomic.Pointer[serverList]
	editing sync.Mutex // held by what administrators change

	// tokens serialises what changes grants: the library reads a grant, checks it and writes it back, and parallel redemptions of one code would
	// otherwise all succeed.
	tokens sync.Mutex

	registrations rate
	completions   completions
}

// New makes a server with a fresh signing key. It reads Config.File, if that is there, and starts nothing.
func New(cfg Config) (*Server, error) {
	cfg.fillDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:           cfg,
		issuer:        issuer,
		store:         newStore(cfg.Now, ""),
		file:          &stateFile{name: cfg.File},
		configured:    map[string]bool{},
		formKey:       make([]byte, 32),
		registrations: rate{limit: maxRegistrationsPerMinute},
	}
	_, _ = rand.Read(s.formKey)
	for _, c := range cfg.Clients {
		rec, err := configuredClient(c)
		if err != nil {
			return nil, fmt.Errorf("devas: Config.Clients: %w", err)
		}
		s.store.pinClient(rec)
		s.configured[c.ID] = true
	}
	if s.keys, err = newKeys(); err != nil {
		return nil, err
	}
	if s.proofs, err = newProofs(cfg); err != nil {
		return nil, fmt.Errorf("devas: %w", err)
	}
	if s.documents, err = newDocuments(cfg); err != nil {
		return nil, fmt.Errorf("devas: %w", err)
	}
	s.providers = newProviders(cfg)
	list := &serverList{all: slices.Clone(cfg.Resources), configured: len(cfg.Resources)}
	if list, err = s.load(list); err != nil {
		return nil, fmt.Errorf("devas: %w", err)
	}
	if err := s.use(list); err != nil {
		return nil, fmt.Errorf("devas: %w", err)
	}
	s.handler = s.routes()
	return s, nil
}

// newLibrary makes the protocol core for a list of servers. All its state is in the store.
func (s *Server) newLibrary(list *serverList) (http.Handler, error) {
	op, err := provider.New(provider.Config{
		Issuer:      s.cfg.Issuer,
		Manager:     s.store,
		JWKS:        func(context.Context) (goidc.JSONWebKeySet, error) { return s.keys, nil },
		IDTokenAlgs: []goidc.SignatureAlgorithm{goidc.SigAlgES256},
	}, s.options(list)...)
	if err != nil {
		return nil, err
	}
	return op.Handler(), nil
}

// library is the protocol core at present.
type library struct{ atomic.Pointer[http.Handler] }

func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*l.Load()).ServeHTTP(w, r) }

// newKeys makes the signing key of this run.
func newKeys() (goidc.JSONWebKeySet, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return goidc.JSONWebKeySet{}, err
	}
	pub, err := key.PublicKey.ECDH()
	if err != nil {
		return goidc.JSONWebKeySet{}, err
	}
	id := sha256.Sum256(pub.Bytes())
	// Without Use, introspection and revocation would take every token for inactive.
	return goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{{KeyID: fmt.Sprintf("%x", id[:8]), Key: key, Algorithm: string(goidc.SigAlgES256), Use: "sig"}}}, nil
}

func (s *Server) options(list *serverList) []provider.Option {
	var scopes []goidc.Scope
	for _, name := range scopeNames(list.all) {
		scopes = append(scopes, goidc.NewScope(name))
	}
	var resources []goidc.ResourceIndicator
	for _, r := range list.all {
		resources = append(resources, r.Identifier)
	}
	options := []provider.Option{
		provider.WithScopes(scopes...),
		provider.WithNoneAuthn(), provider.WithSecretBasicAuthn(), provider.WithSecretPostAuthn(),
		provider.WithPrivateKeyJWTAuthn(assertionAlgorithms...),
		provider.WithClientSecretVerifier(verifySecret),
		provider.WithDefaultAuthn(goidc.AuthnMethodNone),
		provider.WithAuthCodeGrant(provider.AuthCodeGrantConfig{Manager: s.store, ResponseTypes: []goidc.ResponseType{goidc.ResponseTypeCode}},
			provider.WithPKCE([]goidc.CodeChallengeMethod{goidc.CodeChallengeMethodSHA256}, provider.WithPKCERequired()),
			provider.WithIssuerResponseParameter(),
			provider.WithAuthCodeLifetime(int(codeLifetime/time.Second)),
			provider.WithAuthPolicies(s.policy())),
		provider.WithAuthSessionLifetime(int(requestLifetime / time.Second)),
		provider.WithRefreshTokenGrant(s.store, provider.WithRefreshTokenRotation(), provider.WithRefreshTokenLifetime(int(refreshLifetime/time.Second)),
			provider.WithRefreshTokenShouldIssue(s.refreshes)),
		// Needed even without registration: only then the library asks the store for clients.
		provider.WithDCR(s.store, provider.WithDCRClientHandler(s.fitRegistration)),
		provider.WithLocalhostRedirectURIs(),
		provider.WithResourceIndicators(resources),
		// DPoP is not the library's: see proofs.
		provider.WithGrantHandler(s.decideGrant),
		provider.WithJTIConsumer(s.store.consumeJTI),
		provider.WithTokenOptions(s.tokenOptions, provider.WithOpaqueTokens(s.store)),
		provider.WithTokenClaims(s.tokenClaims),
		provider.WithTokenHandler(s.tokenIssued),
		// Which clients may introspect is decided in store.Client, before authentication.
		provider.WithTokenIntrospection(func(_ context.Context, c *goidc.Client, _ goidc.TokenInfo) bool { return !c.IsPublic() }),
		provider.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }, provider.WithTokenRevocationRevokeGrantOnAccessToken()),
		provider.WithErrorRenderer(s.renderError),
		provider.WithErrorHandler(func(ctx context.Context, err error) {
			s.cfg.Logger.Info("request refused", "endpoint", factsFrom(ctx).endpoint, "err", err)
		}),
	}
	if s.hasAgents() {
		options = append(options, provider.WithClientCredentialsGrant())
	}
	if s.hasProviders() {
		options = append(options, provider.WithJWTBearerGrant(s.subjectOf, provider.WithJWTBearerClientAuthnRequired()))
	}
	return options
}

// hasAgents reports whether the client_credentials grant is on.
func (s *Server) hasAgents() bool {
	return slices.ContainsFunc(s.cfg.Clients, func(c Client) bool { return c.Agent })
}

// Issuer returns the issuer identifier.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// ServeHTTP answers for all endpoints and pages of the server. Requests whose Host is not a loopback name are refused.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.handler == nil {
		http.Error(w, "this server was not made with devas.New", http.StatusServiceUnavailable)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// Listen opens a TCP listener on a loopback address such as 127.0.0.1:0 and refuses every other.
func Listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("devas: listen address %q: %w", addr, err)
	}
	if !isLoopbackHost(host) {
		return nil, fmt.Errorf("devas: refusing to listen on %q: this server is for development, write 127.0.0.1:0", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	// localhost is whatever the resolver says.
	if err := checkListener(l); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func checkListener(l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return fmt.Errorf("devas: refusing to serve on %v: not a loopback address", l.Addr())
	}
	return nil
}

// IssuerURL returns the issuer identifier of a server on this listener.
func IssuerURL(l net.Listener) string { return "http://" + l.Addr().String() }

// Serve logs the warning and answers requests on a loopback listener until the context ends; then it closes the listener and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if err := checkListener(l); err != nil {
		return err
	}
	s.cfg.Logger.Warn(Warning, "issuer", s.cfg.Issuer)
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		// Requests are short; those under way may end.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(grace)
	})
	defer stop()
	err := srv.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped // Serve ends as soon as Shutdown begins, and what requests under way change is to be kept
	}
	s.store.touch()
	s.save()
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
