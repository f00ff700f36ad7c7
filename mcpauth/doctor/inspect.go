package doctor

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// InspectOptions says what a token is compared with by [Inspect]. All of it is optional; what is empty is not compared.
type InspectOptions struct {
	// Resource is the resource identifier, byte for byte as the metadata has it: the URL of the MCP endpoint.
	Resource string
	// Issuers are those that the resource lists in authorization_servers.
	Issuers []string
	// Scopes are those that calls need.
	Scopes []string
	// Now is the clock for the lifetime. Nil means time.Now.
	Now func() time.Time
}

// Inspect decodes an access token and compares it, without any network. It does not verify the signature, so what it reads is what the token
// says, true or not. The error is for something that cannot be a token; neither it nor the report repeats any part of the token but the
// claims that are compared.
func Inspect(accessToken string, opt InspectOptions) (*Report, error) {
	accessToken = strings.TrimSpace(accessToken)
	if !plausibleToken(accessToken) {
		return nil, fmt.Errorf("doctor: this is no access token; give the token alone, without Bearer, quotes or line breaks, and at most %d bytes", maxToken)
	}
	if opt.Resource != "" && badURL(opt.Resource) != "" {
		return nil, errors.New("doctor: InspectOptions.Resource " + badURL(opt.Resource))
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	c := &censor{}
	c.hide(accessToken)
	r := &Report{URL: "token", Time: opt.Now()}
	for _, f := range decode(accessToken).compare(published{
		resource: opt.Resource, issuers: opt.Issuers, scopes: opt.Scopes, scopesFrom: "the command", now: opt.Now(),
	}, c) {
		r.add(f, c, nil)
	}
	return r, nil
}
