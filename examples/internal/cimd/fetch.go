package cimd

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits.
const (
	maxBody      = 5 << 10 // draft-ietf-oauth-client-id-metadata-document, Section 6.6
	maxHeader    = 16 << 10
	maxTimeout   = 5 * time.Second
	maxParallel  = 8
	perMinute    = 60 // fetches altogether
	hostMinute   = 12 // fetches from one host
	maxDocuments = 256
)

// Policy says which documents are trusted. The zero Policy trusts none.
type Policy int

// The policies.
const (
	Deny   Policy = iota
	Listed        // hosts in Config.Hosts
	Any           // every host with a public address
)

// Config describes a Fetcher. Its zero value refuses every document.
type Config struct {
	Policy Policy
	// Hosts for Listed, with the port where it is not 443, in lower case.
	Hosts []string

	// CheckRedirectURI and CheckJWKS refuse what the caller could not use; nil accepts everything.
	CheckRedirectURI func(string) error
	CheckJWKS        func([]byte) error

	// DefaultAge is how long a document is kept whose answer does not say; zero means 5 minutes. MaxAge bounds what answers say; zero means 1 hour.
	DefaultAge, MaxAge time.Duration

	// DangerouslyAllowLoopback, when not nil, connects to loopback addresses too and trusts these roots for them. It is for tests.
	DangerouslyAllowLoopback *x509.CertPool

	// Timeout bounds one fetch altogether; zero means 5 s, which is also the most.
	Timeout time.Duration

	// Resolver for names; nil means net.DefaultResolver.
	Resolver *net.Resolver

	Now func() time.Time // nil means time.Now
}

// A Fetcher fetches and caches documents. It is safe for concurrent use; nil refuses every document.
type Fetcher struct {
	cfg    Config
	client *http.Client

	mu      sync.Mutex
	cache   map[string]entry
	running map[string]*call
	slots   int
	window  time.Time
	total   int
	hosts   map[string]int
}

type entry struct {
	doc     *Document
	expires time.Time
}

// call is one fetch that several wait for.
type call struct {
	done chan struct{}
	doc  *Document
	err  error
}

// New makes a Fetcher. It does no I/O.
func New(cfg Config) (*Fetcher, error) {
	switch {
	case cfg.Policy < Deny || cfg.Policy > Any:
		return nil, fmt.Errorf("cimd: Config.Policy %d is none of Deny, Listed and Any", cfg.Policy)
	case cfg.Policy != Listed && len(cfg.Hosts) > 0:
		return nil, errors.New("cimd: Config.Hosts is for the policy Listed")
	}
	for _, h := range cfg.Hosts {
		if u, err := url.Parse("https://" + h); err != nil || u.Host != h || strings.ToLower(h) != h || h == "" {
			return nil, fmt.Errorf("cimd: Config.Hosts: %q is not a host in lower case, with a port perhaps", h)
		}
	}
	if cfg.DefaultAge <= 0 {
		cfg.DefaultAge = 5 * time.Minute
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = time.Hour
	}
	if cfg.Timeout <= 0 || cfg.Timeout > maxTimeout {
		cfg.Timeout = maxTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Fetcher{cfg: cfg, cache: map[string]entry{}, running: map[string]*call{}, hosts: map[string]int{}}
	dialer := &net.Dialer{Timeout: cfg.Timeout, Resolver: cfg.Resolver, KeepAlive: -1, ControlContext: f.control}
	f.client = &http.Client{
		Timeout: cfg.Timeout,
		// A redirect would be another URL than the one that identifies the client (Section 4).
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.DangerouslyAllowLoopback},
			TLSHandshakeTimeout:    cfg.Timeout,
			ResponseHeaderTimeout:  cfg.Timeout,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
			DisableCompression:     true, // the limit is on what is read
			ForceAttemptHTTP2:      true,
		},
	}
	return f, nil
}

var errAddress = errors.New("the address is not public")

// control sees the address that is about to be connected to, whatever the name resolved to before.
func (f *Fetcher) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return errAddress
	}
	if Public(ap.Addr()) && !attached(ap.Addr()) || f.cfg.DangerouslyAllowLoopback != nil && ap.Addr().IsLoopback() && !ap.Addr().Is4In6() {
		return nil
	}
	return errAddress
}

// Get returns the document that a client ID names. Every error is an *Error. When ctx ends Get returns, but a fetch that others wait for goes on.
func (f *Fetcher) Get(ctx context.Context, clientID string) (*Document, error) {
	refuse := func(temporary bool, reason string) (*Document, error) {
		return nil, &Error{Host: host(clientID), Reason: reason, Temporary: temporary}
	}
	if err := CheckURL(clientID); err != nil {
		return refuse(false, err.Error())
	}
	h := host(clientID)
	if f == nil || f.cfg.Policy == Deny || f.cfg.Policy == Listed && !slices.Contains(f.cfg.Hosts, h) {
		return refuse(false, "this server does not accept documents from there")
	}

	f.mu.Lock()
	now := f.cfg.Now()
	e, known := f.cache[clientID]
	if known && now.Before(e.expires) {
		f.mu.Unlock()
		return e.doc, nil
	}
	c := f.running[clientID]
	if c == nil {
		if reason := f.admit(h, known, now); reason != "" {
			f.mu.Unlock()
			return refuse(true, reason)
		}
		c = &call{done: make(chan struct{})}
		f.running[clientID] = c
		f.slots++
		go f.run(context.WithoutCancel(ctx), clientID, c)
	}
	f.mu.Unlock()

	select {
	case <-c.done:
		return c.doc, c.err
	case <-ctx.Done():
		return nil, &Error{Host: h, Reason: "the request ended before the document came", Temporary: true, Err: ctx.Err()}
	}
}

// admit counts a fetch, or says why there is none. The caller holds mu.
func (f *Fetcher) admit(h string, known bool, now time.Time) string {
	if f.slots >= maxParallel {
		return "too many documents are being fetched; try again"
	}
	if known {
		return "" // a document that was good before: strangers cannot keep its application out by asking for others at its host
	}
	if d := now.Sub(f.window); d >= time.Minute || d < 0 {
		f.window, f.total = now, 0
		clear(f.hosts)
	}
	if f.total >= perMinute || f.hosts[h] >= hostMinute {
		return "too many documents were fetched in the last minute; try again later"
	}
	f.total++
	f.hosts[h]++
	return ""
}

func (f *Fetcher) run(ctx context.Context, clientID string, c *call) {
	var keep time.Duration
	c.doc, keep, c.err = f.fetch(ctx, clientID)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Now()
	delete(f.cache, clientID)
	if c.err == nil && keep > 0 {
		f.makeRoom(now)
		f.cache[clientID] = entry{c.doc, now.Add(keep)}
	}
	delete(f.running, clientID)
	f.slots--
	close(c.done)
}

// makeRoom drops what has expired, and if need be what would expire first. The caller holds mu.
func (f *Fetcher) makeRoom(now time.Time) {
	if len(f.cache) < maxDocuments {
		return
	}
	first := ""
	for id, e := range f.cache {
		if !now.Before(e.expires) {
			delete(f.cache, id)
		} else if first == "" || e.expires.Before(f.cache[first].expires) {
			first = id
		}
	}
	if len(f.cache) >= maxDocuments {
		delete(f.cache, first)
	}
}

func (f *Fetcher) fetch(ctx context.Context, clientID string) (*Document, time.Duration, error) {
	h := host(clientID)
	refuse := func(temporary bool, reason string, cause error) (*Document, time.Duration, error) {
		return nil, 0, &Error{Host: h, Reason: reason, Temporary: temporary, Err: cause}
	}
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, clientID, nil)
	if err != nil {
		return refuse(false, "the URL cannot be used", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "client-id-metadata-document")
	resp, err := f.client.Do(req)
	switch {
	case errors.Is(err, errAddress):
		return refuse(false, "the address of this host is not public", err)
	case err != nil:
		return refuse(true, "the host could not be reached", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case ctx.Err() != nil: // a server that answers as the transport hangs up can still win the race
		return refuse(true, "the host could not be reached", ctx.Err())
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return refuse(false, "the answer is a redirect, which is not followed", nil)
	case resp.StatusCode != http.StatusOK:
		return refuse(resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, fmt.Sprintf("the answer has status %d", resp.StatusCode), nil)
	case resp.Header.Get("Content-Encoding") != "":
		return refuse(false, "the answer is encoded, which was not asked for", nil)
	case !isJSON(resp.Header.Get("Content-Type")):
		return refuse(false, "the answer is not JSON", nil)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case len(body) > maxBody:
		return refuse(false, "the document is larger than 5 KiB", nil)
	case err != nil || ctx.Err() != nil:
		return refuse(true, "the document did not arrive completely", cmp.Or(err, ctx.Err()))
	}
	doc, err := parse(clientID, body, f.cfg.CheckRedirectURI, f.cfg.CheckJWKS)
	if err != nil {
		return refuse(false, err.Error(), err)
	}
	return doc, f.freshness(resp.Header), nil
}

func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}
