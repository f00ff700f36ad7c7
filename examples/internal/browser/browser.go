// Package browser is a person with a web browser, reduced to what tests and demonstrations need: it opens an authorization URL, signs in, fills the
// consent form and stops at the redirect to the application. It goes through the same pages as a real browser; the authorization server knows no way
// around them.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxSteps = 12
	maxPage  = 1 << 20
)

// A Browser keeps cookies between authorizations, so a second one finds the user signed in. Use it from one goroutine at a time.
type Browser struct {
	client *http.Client
}

// New returns a browser without cookies.
func New() *Browser {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &Browser{client: &http.Client{
		Jar:           jar,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// A Decision is what the person does. The zero value approves everything, as whoever is signed in.
type Decision struct {
	// User is chosen at the sign-in page. If somebody else is signed in, the browser switches account. Empty takes the present sign-in, and fails
	// if there is none.
	User string
	// Deny presses Deny, or Return to application where the user has no access.
	Deny bool
	// Scopes, when not nil, are the only ones left ticked.
	Scopes []string
}

// A Result is the redirect to the application, which the browser does not follow.
type Result struct {
	URL *url.URL
	// Code, State and Issuer are the parameters code, state and iss; Error and ErrorDescription those of a refusal.
	Code, State, Issuer     string
	Error, ErrorDescription string
}

// A PageError is a page of the authorization server where the flow ended.
type PageError struct {
	Status int
	Title  string
	Body   string
}

// Error names status and title.
func (e *PageError) Error() string {
	return fmt.Sprintf("the authorization server ended with a page: %d %s", e.Status, e.Title)
}

// Authorize opens the authorization URL and acts on the pages until the server redirects to another origin. An error redirect is a Result, not an error;
// a page that the decision has no answer to is a [PageError].
func (b *Browser) Authorize(ctx context.Context, authorizationURL string, d Decision) (*Result, error) {
	start, err := url.Parse(authorizationURL)
	if err != nil {
		return nil, err
	}
	p, err := b.Get(ctx, authorizationURL)
	for range maxSteps {
		if err != nil {
			return nil, err
		}
		if p.Location != nil {
			if p.Location.Scheme != start.Scheme || p.Location.Host != start.Host {
				return newResult(p.Location), nil
			}
			p, err = b.Get(ctx, p.Location.String())
			continue
		}
		if p.Next != nil {
			p, err = b.Get(ctx, p.Next.String())
			continue
		}
		form, values, ok := d.act(p)
		if !ok {
			return nil, &PageError{Status: p.Status, Title: p.Title(), Body: p.Body}
		}
		p, err = b.Submit(ctx, p, form, values)
	}
	return nil, errors.New("the authorization server keeps redirecting")
}

// act chooses the form to submit and the values that a person adds to its hidden fields.
func (d Decision) act(p *Page) (Form, url.Values, bool) {
	for _, f := range p.Forms {
		if d.User != "" && f.Has("user", d.User) {
			return f, url.Values{"user": {d.User}}, true
		}
	}
	// The wrong person is signed in: the page shows the user's name in a code element.
	if d.User != "" && !strings.Contains(p.Body, "<code>"+d.User+"</code>") {
		for _, f := range p.Forms {
			if strings.HasSuffix(f.Action, "/signout") {
				return f, nil, true
			}
		}
		return Form{}, nil, false
	}
	decision := "approve"
	if d.Deny {
		decision = "deny"
	}
	for _, f := range p.Forms {
		if !f.Has("decision", decision) {
			continue
		}
		values := url.Values{"decision": {decision}}
		for _, in := range f.Fields {
			if in.Name == "scope" && in.Checked && (d.Scopes == nil || slices.Contains(d.Scopes, in.Value)) {
				values.Add("scope", in.Value)
			}
		}
		return f, values, true
	}
	return Form{}, nil, false
}

func newResult(u *url.URL) *Result {
	q := u.Query()
	return &Result{URL: u, Code: q.Get("code"), State: q.Get("state"), Issuer: q.Get("iss"), Error: q.Get("error"), ErrorDescription: q.Get("error_description")}
}

// A Page is one answer. Location is set, and absolute, when it is a redirect, which is never followed by itself. Next is where a page leads by itself
// after a while, absolute too.
type Page struct {
	URL      *url.URL
	Status   int
	Header   http.Header
	Location *url.URL
	Next     *url.URL
	Body     string
	Forms    []Form
}

// Get opens a URL without following redirects.
func (b *Browser) Get(ctx context.Context, target string) (*Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	return b.do(req)
}

// Submit posts a form of a page with its hidden fields and the given values.
func (b *Browser) Submit(ctx context.Context, p *Page, f Form, values url.Values) (*Page, error) {
	action, err := p.URL.Parse(f.Action)
	if err != nil {
		return nil, err
	}
	all := url.Values{}
	for _, in := range f.Fields {
		if in.Type == "hidden" {
			all.Add(in.Name, in.Value)
		}
	}
	for k, v := range values {
		all[k] = v
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(all.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *Browser) do(req *http.Request) (*Page, error) {
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, err
	}
	p := &Page{URL: req.URL, Status: resp.StatusCode, Header: resp.Header, Body: string(body), Forms: parseForms(string(body))}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		if p.Location, err = resp.Location(); err != nil {
			return nil, err
		}
	}
	if _, next, ok := strings.Cut(resp.Header.Get("Refresh"), "url="); ok {
		if p.Next, err = req.URL.Parse(next); err != nil {
			return nil, err
		}
	}
	return p, nil
}
