package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
)

const (
	clientID    = "demonstration"
	redirectURL = "http://127.0.0.1:33418/callback" // nothing listens there: the browser stops before it
)

// NewAuthorizationServer makes a development authorization server for one notebook, with a client for Login.
func NewAuthorizationServer(issuer, resource string, logger *slog.Logger, change func(*devas.Config)) (*devas.Server, error) {
	cfg := devas.Config{
		Issuer: issuer, Logger: logger,
		Resources: []devas.Resource{{Identifier: resource, Name: "Example notebook", Scopes: []devas.Scope{
			{Name: notes.ScopeRead, Text: "Read your notes"}, {Name: notes.ScopeWrite, Text: "Write notes for you"},
		}}},
		Clients: []devas.Client{{ID: clientID, Name: "Demonstration", RedirectURIs: []string{redirectURL}, AllScopes: true}},
	}
	if change != nil {
		change(&cfg)
	}
	logger.Warn(devas.Warning, "issuer", issuer)
	return devas.New(cfg)
}

// Login signs a user in through the pages of a development authorization server and returns an access token for the resource.
// How clients find the endpoints is what the quickstart shows.
func Login(ctx context.Context, issuer, resource, user string, scopes ...string) (string, error) {
	client := oauth2.Config{
		ClientID: clientID, RedirectURL: redirectURL, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/authorize", TokenURL: issuer + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	state, verifier, forResource := rand.Text(), oauth2.GenerateVerifier(), oauth2.SetAuthURLParam("resource", resource)
	back, err := browser.New().Authorize(ctx, client.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), forResource), browser.Decision{User: user})
	switch {
	case err != nil:
		return "", err
	case back.Error != "":
		return "", fmt.Errorf("the authorization server answered %s %s", back.Error, back.ErrorDescription)
	case back.State != state || back.Issuer != issuer: // RFC 9207
		return "", errors.New("the redirect is the answer to another request")
	}
	token, err := client.Exchange(ctx, back.Code, oauth2.VerifierOption(verifier), forResource)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// Revoke gives a token of Login back (RFC 7009).
func Revoke(ctx context.Context, issuer, token string) error {
	form := url.Values{"token": {token}, "client_id": {clientID}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the authorization server answered %s", res.Status)
	}
	return nil
}
