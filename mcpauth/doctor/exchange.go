package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

// Limits on the network.
const (
	maxRequests    = 120
	exchangeTime   = 10 * time.Second
	maxBody        = 1 << 20
	maxHeaderBytes = 64 << 10
	maxSecret      = 1 << 10 // a session or a nonce; a longer one is not used
)

// An answer is one exchange. Every request has one, even if nothing came.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	tls     *tls.ConnectionState
	at      time.Time // by our clock, when the header was there
	problem string    // why there is no answer, in our own words; empty if there is one
	kind    string    // one word for problem: the cause of a finding
}

func (a *answer) ok() bool       { return a.problem == "" && a.status >= 200 && a.status < 300 }
func (a *answer) redirect() bool { return a.problem == "" && a.status >= 300 && a.status < 400 }

// mediaType is that of Content-Type, in lower case and without parameters.
func (a *answer) mediaType() string {
	t, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return t
}

// newClient follows nothing and keeps nothing: a redirect is a finding, and must not take a token along.
func newClient(lent *http.Client) *http.Client {
	c := &http.Client{
		Timeout:       exchangeTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if lent != nil {
		c.Transport = lent.Transport
		if lent.Timeout > 0 {
			c.Timeout = min(c.Timeout, lent.Timeout)
		}
	}
	if t, ok := http.DefaultTransport.(*http.Transport); ok && (c.Transport == nil || c.Transport == http.DefaultTransport) {
		t = t.Clone()
		t.MaxResponseHeaderBytes = maxHeaderBytes
		c.Transport = t
	}
	return c
}

// A request is what is sent. Credentials are no part of it: only [visit.present] adds them.
type request struct {
	method string
	url    string
	header http.Header
	body   []byte
	until  func(message []byte) bool // for a stream of events: whether this was the one
}

// send makes one exchange without credentials, with a URL that may have come from the network.
func (v *visit) send(ctx context.Context, r request) *answer {
	if why := v.forbidden(r.url); why != "" {
		return &answer{header: http.Header{}, problem: "not asked: " + why, kind: "url"}
	}
	return v.exchange(ctx, r)
}

// forbidden says why a URL that a document names must not be asked. A server on the internet does not get to send us to
// services of this computer, nor to plain http.
func (v *visit) forbidden(raw string) string {
	switch err := fetch.CheckURL(raw); {
	case err != nil:
		return err.Error() // its texts do not repeat the URL
	case !v.loopback && thisComputer(raw):
		return "it points at this computer, and the server is elsewhere"
	}
	return ""
}

// thisComputer is wider than what may be asked over plain http: the unspecified addresses lead here as well, and so do other
// spellings of the address and names under localhost (RFC 6761, Section 6.3).
func thisComputer(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return true
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.Unmap().IsLoopback() || addr.Unmap().IsUnspecified())
}

// exchange sends what it is given, credentials included.
func (v *visit) exchange(ctx context.Context, r request) *answer {
	a := &answer{header: http.Header{}}
	if v.report.Requests >= maxRequests {
		a.problem, a.kind = "not asked: too many requests already", "budget"
		return a
	}
	v.report.Requests++
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		a.problem, a.kind = "not asked: not a URL", "url"
		return a
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "mcpauth-doctor")
	resp, err := v.client.Do(req)
	if err != nil {
		a.problem, a.kind = explainFailure(err)
		return a
	}
	defer resp.Body.Close()
	a.status, a.header, a.tls, a.at = resp.StatusCode, resp.Header, resp.TLS, v.opt.Now()
	for _, name := range []string{"Mcp-Session-Id", "Dpop-Nonce"} {
		if secret := a.header.Get(name); len(secret) <= maxSecret && !strings.Contains(secret, " ") { // a sentence is no secret, and would blank ours
			v.hide(secret)
		}
	}
	if a.mediaType() == "text/event-stream" {
		a.body = events(io.LimitReader(resp.Body, maxBody), r.until)
	} else {
		// What is longer is cut, and then fails to parse. An error in the middle is alike.
		a.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	}
	return a
}

// events returns the data of the event that was waited for, or of the last one. A stream may stay open for good, so it is left as soon
// as that has come.
func events(r io.Reader, until func([]byte) bool) []byte {
	lines := bufio.NewReader(r)
	var data, last []byte
	for {
		line, err := lines.ReadBytes('\n')
		line = bytes.TrimRight(line, "\r\n")
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if len(data) > 0 {
				data = append(data, '\n')
			}
			data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
		}
		if len(line) == 0 && len(data) > 0 || err != nil {
			if len(data) > 0 {
				last, data = data, nil
			}
			if err != nil || until == nil || until(last) {
				return last
			}
		}
	}
}

// explainFailure says in our own words why nothing came. The errors of net/http quote URLs and foreign bytes.
func explainFailure(err error) (problem, kind string) {
	var (
		dns       *net.DNSError
		host      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		cert      *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		timeout   net.Error
	)
	switch {
	case errors.As(err, &host):
		return "the certificate is for another host", "certificate-host"
	case errors.As(err, &authority):
		return "the certificate is signed by an authority that this computer does not know; often the intermediate certificate is not sent", "certificate-authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet", "certificate-expired"
	case errors.As(err, &cert) || errors.As(err, &invalid):
		return "the certificate is not valid", "certificate"
	case errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS on this port", "no-tls"
	case errors.As(err, &alert):
		return "the server ended the TLS handshake; it may want a client certificate or an older version", "tls"
	case errors.As(err, &dns):
		return "the name of the host is not known to DNS", "dns"
	case errors.Is(err, context.Canceled):
		return "the examination was cancelled", "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time", "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: connection refused", "refused"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET):
		return "the connection was closed before an answer came", "closed"
	}
	return "no valid HTTP answer", "http"
}

// sameOrigin compares scheme, host and port.
func sameOrigin(a, b string) bool {
	x, err := url.Parse(a)
	y, err2 := url.Parse(b)
	return err == nil && err2 == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Hostname(), y.Hostname()) && port(x) == port(y)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// location is where an answer redirects to, absolute, or empty.
func (a *answer) location(from string) string {
	base, err := url.Parse(from)
	if err != nil {
		return ""
	}
	to, err := base.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		return ""
	}
	return to.String()
}
