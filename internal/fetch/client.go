// Package fetch is the one HTTP client of the library: metadata, keys and
// introspection go through it.
//
// Every exchange has a limit of time, of size after decompression and of
// redirects, carries no cookies, and never leaves its origin
// (RFC 9728, Section 7.7, and the SSRF notes of MCP's security best practices).
// Which hosts are asked is decided by configuration and by the metadata of
// configured issuers, never by a request or a token.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout  = 10 * time.Second
	defaultMaxBytes = 1 << 20
	maxRedirects    = 3
	maxHeaderBytes  = 64 << 10
)

// Causes that callers may want to tell apart; every error of a [Client] is an
// *[Error], which wraps one of these or the cause from the network.
var (
	ErrURL       = errors.New("URL not allowed")
	ErrRedirect  = errors.New("redirect refused")
	ErrTooLarge  = errors.New("answer too large")
	ErrTimeout   = errors.New("no answer in time")
	ErrMalformed = errors.New("answer is not valid HTTP")
)

// Config configures a [Client]. Its zero value is good.
type Config struct {
	// HTTPClient lends its Transport, and its Timeout where that is shorter.
	// It is copied; its redirect policy and cookie jar are not used. Nil, or
	// one with a nil Transport, means a copy of http.DefaultTransport with a
	// limit on response headers.
	HTTPClient *http.Client
	// Timeout bounds a whole exchange, redirects and body included. Zero and
	// negative mean 10 s; there is no way to have none.
	Timeout time.Duration
	// MaxBytes bounds the body after decompression. Zero and negative mean 1 MiB.
	MaxBytes int64
}

// A Client fetches small documents from configured servers. It is safe for
// concurrent use. The nil Client refuses everything.
type Client struct {
	http     *http.Client
	timeout  time.Duration
	maxBytes int64
}

// New returns a Client. It does no I/O.
func New(cfg Config) *Client {
	c := &Client{http: &http.Client{}, timeout: cfg.Timeout, maxBytes: cfg.MaxBytes}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.maxBytes <= 0 {
		c.maxBytes = defaultMaxBytes
	}
	if cfg.HTTPClient != nil {
		c.http.Transport = cfg.HTTPClient.Transport
		if t := cfg.HTTPClient.Timeout; t > 0 {
			c.timeout = min(c.timeout, t)
		}
	}
	if c.http.Transport == nil || c.http.Transport == http.DefaultTransport {
		c.http.Transport = defaultTransport()
	}
	c.http.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if m := via[0].Method; m != http.MethodGet && m != http.MethodHead {
			// A redirected POST would take its credentials along.
			return fmt.Errorf("%w: the request was not a GET", ErrRedirect)
		}
		return checkRedirect(via[0].URL, req.URL, len(via))
	}
	return c
}

func defaultTransport() http.RoundTripper {
	// Someone may have replaced http.DefaultTransport by a type of their own.
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxResponseHeaderBytes = maxHeaderBytes
	return t
}

// Timeout returns the limit of one exchange.
func (c *Client) Timeout() time.Duration {
	if c == nil {
		return defaultTimeout
	}
	return c.timeout
}

// A Response is an answer that was read to its end and stayed within the
// limits. Body is nil unless Status is 2xx: error pages are not read.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// An Error says which host was asked and what happened. Its text never holds
// bytes of the answer, nor the path or query of the request.
type Error struct {
	Host string
	Err  error
}

func (e *Error) Error() string {
	if e.Host == "" {
		return "fetch: " + e.Err.Error()
	}
	return "fetch from " + e.Host + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Get fetches rawURL, which must pass [CheckURL]. Accept is the value of the
// Accept field. Any status is an answer, not an error.
func (c *Client) Get(ctx context.Context, rawURL, accept string) (*Response, error) {
	if _, err := parseURL(rawURL); err != nil {
		return nil, &Error{Err: fmt.Errorf("%w: %w", ErrURL, err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, &Error{Err: ErrURL}
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	return c.Do(ctx, req)
}

// Do sends req under ctx and the Client's limits. The context of req itself is
// not used. Requests other than GET and HEAD follow no redirect.
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	if c == nil {
		return nil, &Error{Err: errors.New("no client")}
	}
	u, err := parseURL(req.URL.String())
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("%w: %w", ErrURL, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, &Error{Host: u.Host, Err: cause(ctx, err)}
	}
	// Closing without draining drops the connection of an oversized answer.
	defer resp.Body.Close()
	out := &Response{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		out.Body, err = c.read(resp)
	}
	// A server that ends its answer as the transport hangs up can still win the
	// race, and half a document would pass for a whole one.
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, &Error{Host: u.Host, Err: cause(ctx, err)}
	}
	return out, nil
}

func (c *Client) read(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > c.maxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.maxBytes)
	}
	// The transport removes the field where it decompressed; anything left is
	// an encoding that nobody undid (RFC 9110, Section 8.4).
	if ce := resp.Header.Get("Content-Encoding"); ce != "" && !strings.EqualFold(ce, "identity") {
		return nil, fmt.Errorf("%w: unknown content encoding", ErrMalformed)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > c.maxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.maxBytes)
	}
	return body, nil
}

// cause reduces an error of net/http to one whose text is safe to log. The
// errors of net/http quote malformed answers, and *url.Error the whole URL, so
// only kinds that are known to speak about the connection pass.
func cause(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, known := range []error{ErrRedirect, ErrTooLarge, ErrMalformed} {
		if errors.Is(err, known) {
			return unwrapURL(err)
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("connection closed before the end of the answer")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		return certificateCause(cert)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return ErrTimeout
	}
	var record tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) {
		return errors.New("the server does not speak TLS")
	}
	return ErrMalformed
}

// certificateCause keeps the kind of the failure and drops the names that the
// certificate claims.
func certificateCause(cert *tls.CertificateVerificationError) error {
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(cert, &host):
		return errors.New("certificate is for another host")
	case errors.As(cert, &authority):
		return errors.New("certificate signed by unknown authority")
	case errors.As(cert, &invalid) && invalid.Reason == x509.Expired:
		return errors.New("certificate has expired or is not yet valid")
	}
	return errors.New("certificate is not valid")
}

// unwrapURL takes the *url.Error of net/http off one of our own errors.
func unwrapURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
