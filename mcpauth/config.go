package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/internal/cors"
	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/jwt"
	"github.com/go-mcpauth/sdk/internal/nonce"
	"github.com/go-mcpauth/sdk/internal/replay"
	"github.com/go-mcpauth/sdk/internal/tokencache"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

// Config configures a [Middleware]. Resource and at least one issuer or authenticator are required; every
// other zero value is the safe one.
type Config struct {
	// Resource is the URL under which clients reach the MCP endpoint, such as
	// "https://mcp.example.com/mcp" (RFC 9728, Section 1.2). Tokens must name it as their audience, and
	// every URL that clients are sent derives from it, never from a request. It is used byte for byte,
	// and its path is where Mount serves.
	// Plain http is accepted on loopback only. Required.
	Resource string

	// Issuers are the authorization servers whose tokens are accepted. The first one is named first in
	// the metadata; many clients use no other. Required, unless there are Authenticators; without any there
	// is no metadata document either, since it would have nothing to say.
	Issuers []Issuer

	// Authenticators accept other credentials, such as API keys: see [NewAPIKeys] and [NewAuthenticator].
	// They are asked first, in their order. Nil: none.
	Authenticators []Authenticator

	// StdioOnly is for servers that are reached over standard input and output alone: see
	// [Middleware.StdioContext]. Resource is required only with Issuers then, as the audience of tokens, and
	// neither Issuers nor Authenticators are. Wrap and Mount panic.
	StdioOnly bool

	// BaseScopes are needed by every request. The first 401 and scopes_supported name them, so that a
	// client's first login asks for them. Nil: a valid token is enough to connect.
	BaseScopes []string

	// Clients says, by client id, what each application may do at most, whatever the tokens of Issuers say that
	// were issued to it. "*" stands for all that have no entry; without it those are refused with a bare 403.
	// A token without a client id has none. Callers of Authenticators and NewPrincipal are not concerned,
	// unless their issuer is one of Issuers. Nil: no such list.
	Clients map[string]ClientLimit

	// Guests are methods that may be called without credentials: of ping, server/discover and the lists,
	// which then show what a login could open. Nil: none, which most clients count on, since the first
	// 401 is what starts their login. A request with bad credentials is refused all the same. It is for
	// stateless servers of the official SDK that were given to Protect: other handlers' lists are not
	// filtered, and a session needs a login. FromContext knows no guest; Policy and OnDecision see a
	// Principal without an issuer, and TokenInfo.UserID is "guest".
	Guests []string

	// Unlisted is the rule of tools, prompts and resources that have none. The zero Rule denies: they
	// are answered as if they did not exist.
	Unlisted scopes.Rule

	// DPoP configures tokens that are bound to a key of the client (RFC 9449). The zero value accepts them,
	// with their proof, beside plain bearer tokens.
	DPoP DPoP

	// MutualTLS configures tokens that are bound to a client certificate (RFC 8705). The zero value refuses
	// them.
	MutualTLS MutualTLS

	Policy Policy // asked after the rule; nil allows

	// ListPolicy is asked for each tool, prompt and resource that a list would show by the rules, with a Call
	// that has no Arguments; an error hides it. Lists should hide what Policy refuses whatever the
	// arguments, and nothing else. Nil hides nothing.
	ListPolicy Policy

	Listing Listing // what lists show; zero: ListObtainable
	StepUp  StepUp  // what a 403 names; zero: StepUpByRevision

	// Conceal answers every operation that the caller's token does not allow as if it did not exist.
	// Clients can then not step up. Lists show what is allowed, whatever Listing says. It does not go
	// with Unlisted, which lets the handler answer what does not exist. A pattern that a caller meets does the
	// same for the names under it, so what has to be hidden from that caller needs a name outside of it.
	Conceal bool

	// Origins are web origins, besides the resource's own, whose pages may call the endpoint, written
	// as browsers send them: "https://app.example.com". "*" alone allows every origin; tokens travel in
	// a header that a page must set itself. Nil: the resource's own, and loopback ones if the resource
	// is on loopback.
	Origins []string

	// RootMetadata also serves the metadata at /.well-known/oauth-protected-resource, for clients that
	// ask nowhere else. Use it only where the host has one resource: RFC 9728, Section 3.3 forbids
	// clients to accept the answer for another one.
	RootMetadata bool

	Realm        string // of challenges (RFC 6750, Section 3); empty: none
	MaxBodyBytes int64  // of a POST; zero: 4 MiB, as go-sdk; more is answered 413. Not above go-sdk's own limit

	// CachedTokens bounds how many verified tokens are remembered, so that the signature of each is checked
	// once. A remembered token is refused when it expires, when its key leaves the issuer's key set, and
	// when Revoked says so; proofs are checked with every request. Zero: 65,536, in at most 64 MiB;
	// negative: none are.
	CachedTokens int

	// KeepStreams lets standalone streams (GET, subscriptions/listen) outlive the token that opened
	// them. By default they end at its expiry plus leeway.
	KeepStreams bool

	// SessionPerUser lets any client of a user continue a session that another client of the same user
	// opened. By default a session belongs to issuer, subject and client together. The Go SDK's client
	// needs it on servers with sessions if it registers dynamically: it registers anew, and so becomes
	// another client, whenever it steps up. Rights are those of each request's own token all the same.
	SessionPerUser bool

	// Metadata holds optional members of the metadata document, such as ResourceName. Members that
	// follow from the rest of the Config must be zero. ScopesSupported adds to BaseScopes.
	Metadata *prm.Metadata

	// MetadataSigning signs the metadata document (RFC 9728, Section 2.2): anew in the middle of each signature's
	// lifetime, by the request that comes then. While the key fails, the last signature is served until
	// it expires, then the document without one; Logger is told. Nil: the document is not signed, which is
	// right unless there are clients that know whose signature to look for.
	MetadataSigning *prm.Signing

	// OnDecision gets one Decision per operation, allowed or refused, and one per request refused
	// before that. It runs on the request's goroutine, so it should be quick. Nil: none.
	OnDecision func(context.Context, Decision)

	// AuditArguments names, for a tool or a prompt, the arguments whose values stand in Decision.Arguments:
	// top-level members, compared with case. Nil: no value of an argument ever leaves the request.
	AuditArguments map[string][]string

	// Limits bound how often callers may ask. The zero value has no limits.
	Limits Limits

	// Revoked reports whether a valid token is to be refused all the same. It is asked for every
	// request: see [Revocations]. An error is answered 503. Nil: no token is.
	Revoked func(context.Context, *Principal) (bool, error)

	// HTTPClient lends its Transport to requests for metadata, keys and introspection. It is copied; redirects,
	// timeouts and sizes are always limited by this package. Where this server reaches an issuer at another
	// address than clients do, as in containers, the Transport's DialContext can lead there. Nil: a copy of
	// http.DefaultTransport.
	HTTPClient *http.Client

	// Logger gets one line per refusal, with a stable reason, what was expected, what came, and what
	// would cure it; and a summary at the first request. It is never given a token. Nil discards.
	Logger *slog.Logger

	// Now is the clock that judges tokens and spaces the fetches of keys. It must not stand still, or keys are
	// never fetched again. Nil: time.Now.
	Now func() time.Time
}

const (
	defaultMaxBody = 4 << 20
	maxMaxBody     = 64 << 20
	defaultLeeway  = 30 * time.Second

	offlineAccess = "offline_access"
)

// A Middleware protects one resource. It is made by [New], is safe for concurrent use, holds no
// goroutine and needs no closing.
type Middleware struct {
	mark         *mark
	resource     string
	metadataURL  string
	path         string
	rootMetadata bool
	base         []string
	prefixed     string // base scopes as clients are told, separated by spaces
	realm        string
	maxBody      int64
	keepStreams  bool
	perUser      bool // sessions
	stdioOnly    bool
	conceal      bool
	guests       []string
	listing      Listing
	stepUp       StepUp
	policy       Policy
	listPolicy   Policy
	audited      map[string][]string // arguments
	onDecision   func(context.Context, Decision)
	revoked      func(context.Context, *Principal) (bool, error)
	now          func() time.Time
	log          *slog.Logger

	schemes    schemes // accepted
	algs       string  // of proofs, as challenges list them; empty without DPoP
	proofs     *dpop.Verifier
	nonces     *nonce.Source // nil: not asked for
	replay     ReplayStore   // nil: proofsSeen
	proofsSeen *replay.Store
	mutualTLS  MutualTLS
	limits     *limiter                        // nil: none
	cache      *tokencache.Cache[*accessToken] // nil: nothing is remembered

	authenticators  []*authentication
	apiKeys         []*apiKeys // those among them
	otherChallenges []string   // theirs
	countable       []string   // fields of which a request may have one, once
	stripped        []string   // fields that the handler must not see

	origins       *cors.Policy
	metadata      http.Handler
	issuers       []*issuer
	tokens        *jwt.Verifier // nil without issuers
	introspecting []*issuer

	names *scopes.Mapping // what clients are told to ask for, where no issuer is known
	rules table

	plain     []string    // the WWW-Authenticate lines of a 401 without credentials
	anonymous *refusal    // of a request without credentials, made once: scanners send many
	published atomic.Bool // somebody has the metadata handler

	startOnce     sync.Once
	startReported atomic.Bool // so that later requests do not wait for startOnce

	verified atomic.Int64
	offers   atomic.Pointer[[targets][]string] // what a server had at its first request
	sessions sessions
	warnings []string
}

// New validates the whole Config and reports every mistake in it, joined, each with the field and
// what to write instead. It does no I/O: metadata and keys are fetched when the first token comes, or
// by [Middleware.Ready].
func New(cfg Config) (*Middleware, error) {
	var errs mistakes
	m := newMiddleware(cfg)
	m.checkChoices(cfg, &errs)
	cfg.Resource = m.checkResource(cfg, &errs)
	m.checkBase(cfg, &errs)
	m.stripped = []string{"Authorization", "Proxy-Authorization", "Dpop"}
	if len(cfg.Issuers) > 0 {
		m.addIssuers(cfg, &errs)
		m.addDPoP(cfg, &errs)
	} else {
		m.withoutIssuers(cfg, &errs)
	}
	m.addMutualTLS(cfg, &errs) // its header reaches no handler, whoever issues tokens
	m.checkClients(cfg.Clients, &errs)
	m.addLimits(cfg.Limits, &errs)
	m.rules.clients = cloneClients(cfg.Clients)
	m.rules.rights = newRights(nil, m.rules.clients)
	headers := m.addAuthenticators(cfg, &errs)
	var err error
	if m.origins, err = cors.New(cors.Config{Resource: cfg.Resource, Origins: cfg.Origins, Headers: headers}); err != nil {
		errs.add("Origins", "%w", err)
	}
	if m.schemes == 0 && len(m.otherChallenges) == 0 && len(cfg.Authenticators) > 0 && !cfg.StdioOnly {
		errs.add("Authenticators", "without Issuers, one of them needs a Challenge: a 401 must say how to get in (RFC 9110, Section 15.5.2)")
	}
	if cfg.CachedTokens >= 0 {
		m.cache = tokencache.New[*accessToken](tokencache.Config{MaxEntries: cfg.CachedTokens, Now: m.now})
	}
	checkMetadata(cfg, &errs)
	if len(errs) == 0 {
		m.publish(cfg, &errs)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("mcpauth: %w", errors.Join(errs...))
	}
	m.plain = m.challenges(m.schemes, m.schemes, "", "", m.base, m.names)
	m.anonymous = &refusal{m.unauthorized(), explainCredentials(authheader.ErrNone)}
	if len(m.authenticators) > 0 {
		m.anonymous.why.expected = "credentials in " + strings.Join(m.countable, " or ")
		m.anonymous.why.got = "none"
	}
	return m, nil
}

// newMiddleware takes over what needs no more than a copy and a default.
func newMiddleware(cfg Config) *Middleware {
	m := &Middleware{
		mark: new(mark), resource: cfg.Resource, realm: cfg.Realm, maxBody: cfg.MaxBodyBytes,
		base: dedupe(cfg.BaseScopes), guests: slices.Clone(cfg.Guests), audited: cloneNames(cfg.AuditArguments),
		rootMetadata: cfg.RootMetadata, keepStreams: cfg.KeepStreams, perUser: cfg.SessionPerUser, stdioOnly: cfg.StdioOnly,
		conceal: cfg.Conceal, listing: cfg.Listing, stepUp: cfg.StepUp,
		policy: cfg.Policy, listPolicy: cfg.ListPolicy, onDecision: cfg.OnDecision, revoked: cfg.Revoked,
		now: cfg.Now, log: cfg.Logger,
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.maxBody == 0 {
		m.maxBody = defaultMaxBody
	}
	if m.conceal {
		m.listing = ListAllowed
	}
	m.rules.base, m.rules.unlisted = m.base, cfg.Unlisted
	return m
}

// checkChoices checks the fields that are right or wrong by themselves.
func (m *Middleware) checkChoices(cfg Config, errs *mistakes) {
	if cfg.Listing > ListAll {
		errs.add("Listing", "%d is no Listing; write ListObtainable, ListAllowed or ListAll", cfg.Listing)
	}
	if cfg.StepUp > StepUpWithGranted {
		errs.add("StepUp", "%d is no StepUp; write StepUpByRevision, StepUpNeeded or StepUpWithGranted", cfg.StepUp)
	}
	if m.maxBody < 0 || m.maxBody > maxMaxBody {
		errs.add("MaxBodyBytes", "%d is not between 1 and %d; leave it 0 for 4 MiB", m.maxBody, maxMaxBody)
	}
	if authheader.Description(cfg.Realm) != cfg.Realm {
		errs.add("Realm", "write at most 200 printable ASCII characters without quotes, backslashes and equals signs")
	}
	for _, method := range cfg.Guests {
		if !slices.Contains(guestMethods, method) {
			errs.add("Guests", "%q is not for guests; write some of %s", method, strings.Join(guestMethods, ", "))
		}
	}
	if cfg.Conceal && !cfg.Unlisted.IsZero() {
		errs.add("Conceal", "goes with the zero Unlisted only: what is concealed must be answered like what does not exist")
	}
}

// checkBase checks Config.BaseScopes.
func (m *Middleware) checkBase(cfg Config, errs *mistakes) {
	for _, s := range cfg.BaseScopes {
		if err := scopes.CheckScope(s); err != nil {
			errs.add("BaseScopes", "%w", err)
		} else if s == offlineAccess {
			errs.add("BaseScopes", "%q is for clients to ask for, not for resources (MCP, Refresh Tokens); remove it", s)
		}
	}
	if len(m.base) == 0 && (cfg.Metadata == nil || len(cfg.Metadata.ScopesSupported) == 0) {
		m.warnings = append(m.warnings, "BaseScopes: it is empty, so clients ask for no scope, or for every one, at their first login")
	}
}

// checkResource checks Config.Resource, and returns it as it was or, where there is none that could be used, one with
// which the other fields can be checked all the same.
func (m *Middleware) checkResource(cfg Config, errs *mistakes) string {
	resource := cfg.Resource
	if cfg.StdioOnly && resource == "" {
		resource = "http://localhost/stdio" // nobody hears of it
		if len(cfg.Issuers) > 0 {
			errs.add("Resource", "is empty; tokens must name it as their audience")
		}
	}
	warnings, err := prm.ValidateResource(resource)
	if err != nil {
		errs.add("Resource", "%w", err)
		resource = "https://resource.invalid/"
	}
	m.metadataURL, _ = prm.WellKnownURL(resource)
	m.path, _ = resourcePath(resource)
	for _, w := range warnings {
		m.warnings = append(m.warnings, "Resource: "+w)
	}
	if m.path == "/" {
		m.warnings = append(m.warnings, "Resource: it has no path, so the endpoint is /; most servers use /mcp")
	}
	return resource
}

// mistakes collects what is wrong with a Config.
type mistakes []error

func (list *mistakes) add(field, format string, args ...any) {
	*list = append(*list, fmt.Errorf("%s: "+format, append([]any{field}, args...)...)) // a field may hold a percent sign
}

func dedupe(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
