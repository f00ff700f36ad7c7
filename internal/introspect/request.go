package introspect

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

const (
	minPause = time.Second
	maxPause = 30 * time.Second // a server's typing error must not shut everybody out for long
)

// An outcome is what one request gave: an answer, without claims where the token is inactive, or a refusal.
type outcome struct {
	answer  *Answer
	size    int // of the answer, for the cache
	refusal *Error
	pause   time.Duration // in which nothing else is to be asked
}

// ask makes one request and reads the answer.
func (c *Client) ask(ctx context.Context, token string) outcome {
	asked := c.cfg.Now()
	req, refusal := c.request(ctx, token)
	if refusal != nil {
		return outcome{refusal: refusal}
	}
	resp, err := c.cfg.Fetch.Do(ctx, req)
	if err != nil {
		cure := "check that this server can reach the introspection endpoint"
		if errors.Is(err, fetch.ErrRedirect) {
			cure = "write the URL to which the endpoint redirects; a redirect would take the token along"
		}
		return outcome{refusal: unavailable("an answer", "none", cure, err)}
	}
	if resp.Status != http.StatusOK { // RFC 7662, Section 2.2
		return c.refused(resp, asked)
	}
	a, refusal := c.read(ctx, resp.Body, asked)
	if refusal != nil {
		return outcome{refusal: refusal}
	}
	return outcome{answer: a, size: 1<<10 + 4*len(resp.Body)}
}

// request writes the form of RFC 7662, Section 2.1. The token is in its body and nowhere else.
func (c *Client) request(ctx context.Context, token string) (*http.Request, *Error) {
	endpoint, err := c.cfg.Endpoint(ctx)
	if err != nil {
		return nil, unavailable("the introspection endpoint", "none at the moment",
			"check that this server can reach the issuer's metadata, and that it names introspection_endpoint", err)
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	if c.signed != nil {
		header.Set("Accept", "application/"+answerType) // RFC 9701, Section 4
	}
	if err := c.auth.authenticate(ctx, form, header); err != nil {
		return nil, unavailable("credentials for the introspection endpoint", "none", "", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil { // its text would repeat the URL; what else may not be asked Fetch refuses
		return nil, unavailable("an introspection endpoint that is a URL", "something else", "write an https URL", fetch.ErrURL)
	}
	req.Header = header
	return req, nil
}

// refused explains an answer other than 200. None of them says anything about the token: RFC 7662, Section
// 2.2 has {"active":false} for that.
func (c *Client) refused(resp *fetch.Response, now time.Time) outcome {
	e := &Error{
		Reason: ReasonUnavailable, Expected: "status 200 from the introspection endpoint", Got: "status " + strconv.Itoa(resp.Status),
		Unavailable: true, RetryAfter: minPause,
	}
	switch resp.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		e.Reason = ReasonRefused
		e.Cure = "the authorization server refuses this resource server: check the client id, the secret or key and the method of " +
			"authentication, and that the client is allowed to introspect"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		e.Reason = ReasonRefused
		e.Cure = "check the introspection endpoint and whether the server signs its answers (RFC 9701)"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable: // RFC 6585, Section 4; RFC 9110, Section 10.2.3
		e.Cure = "the authorization server is overloaded, or limits this resource server"
		if wait, ok := retryAfter(resp.Header, now); ok {
			e.RetryAfter = wait
			return outcome{refusal: e, pause: wait}
		}
	}
	return outcome{refusal: e}
}

// retryAfter reads a Retry-After field (RFC 9110, Section 10.2.3), moved into the bounds.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(max(time.Duration(seconds)*time.Second, minPause), maxPause), true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), minPause), maxPause), true
}
