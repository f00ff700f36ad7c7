package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A sign is a word in the answer of an authorization endpoint that tells why it refused. Most of them are pages for people.
type sign struct {
	text  string
	cause string
}

var signs = []sign{
	{"AADSTS50011", "redirect"}, {"redirect_uri_mismatch", "redirect"}, {"redirect_mismatch", "redirect"}, {"Callback URL mismatch", "redirect"},
	{"Invalid parameter: redirect_uri", "redirect"}, {"invalid_redirect_uri", "redirect"}, {"AADSTS700016", "client"}, {"AADSTS9010010", "target"}, {"AADSTS901002", "target"},
	{"invalid_target", "target"}, {"invalid_client", "client"}, {"unauthorized_client", "client"}, {"unknown client", "client"},
	{"Client not found", "client"}, {"invalid_scope", "scope"}, {"AADSTS650053", "scope"}, {"redirect URI", "redirect"}, {"redirect_uri", "redirect"}, {"redirect URL", "redirect"},
}

// A verdict is what an authorization endpoint made of a request; cause is empty if it went on to a login or back to the client.
type verdict struct{ cause, got string }

// judgeRedirect asks the authorization endpoint, if a client to ask with was given; metadata does not say which redirects are allowed.
func (v *visit) judgeRedirect(ctx context.Context) {
	if v.opt.ClientID == "" || v.opt.RedirectURI == "" {
		got := "metadata does not say which redirect URIs a client has; give a client id and a redirect URI to have both tried"
		for _, s := range v.servers {
			if s.members != nil && s.text("registration_endpoint") == "" {
				got += "; there is no dynamic registration, so each redirect has to be entered by hand"
				break
			}
		}
		v.skip(got)
		return
	}
	known := v.known()
	if len(known) == 0 {
		return
	}
	s := known[0]
	first := v.authorize(ctx, s, v.opt.RedirectURI)
	f := Finding{Status: Fail, Cause: first.cause, Got: first.got, Clause: "RFC 6749, Section 4.1.2.1"}
	switch first.cause {
	case "":
		v.pass(first.got)
		v.movePort(ctx, s)
		return
	case "redirect":
		f.Symptom = RedirectMismatch
		f.Cure = "register this redirect URI for the client, byte for byte: scheme, host, port, path and slash; localhost and 127.0.0.1 are two"
	case "target":
		f.Symptom = InvalidTarget
		f.Cure = "register the resource " + v.quote(shownURL(v.resource())) + " at the authorization server in exactly this spelling, and let the client ask for it"
	case "client":
		f.Symptom = NoBrowser
		f.Cure = "the authorization server does not know the client id, or not for the authorization code grant; register it, or correct the id"
	case "scope":
		f.Symptom = NoBrowser
		f.Cure = "define the scopes of the challenge at the authorization server and allow them for the client"
	default:
		f.Status = Warn
		f.Cure = "open the application's login in a browser and read the page; most often the client id or the redirect URI is not known"
	}
	v.add(f)
}

// movePort tries another port of a loopback redirect: desktop applications take the one that is free (RFC 8252, Section 7.3).
func (v *visit) movePort(ctx context.Context, s *server) {
	u, err := url.Parse(v.opt.RedirectURI)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return
	}
	moved := "49517"
	if u.Port() == moved {
		moved = "49518"
	}
	u.Host = strings.TrimSuffix(u.Host, u.Port()) + moved
	if other := v.authorize(ctx, s, u.String()); other.cause != "" {
		v.add(Finding{
			Status: Warn, Cause: "fixed-port", Symptom: RedirectMismatch, Got: "with another loopback port: " + other.got, Clients: who(func(c client) bool { return c.movingPort }),
			Cure: "let the authorization server ignore the port of loopback redirects, or fix the port in the application and keep it free", Clause: "RFC 8252, Section 7.3",
		})
	}
}

// authorize begins a login and reads how the server takes it. Nobody is logged in: there is no cookie and nobody to answer the page, and
// if a code came for all that, it is neither shown nor used.
func (v *visit) authorize(ctx context.Context, s *server, redirect string) verdict {
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	target := s.text("authorization_endpoint")
	u, err := url.Parse(target)
	if err != nil {
		return verdict{"other", "the authorization endpoint is no URL"}
	}
	q := u.Query()
	for name, value := range map[string]string{
		"response_type": "code", "client_id": v.opt.ClientID, "redirect_uri": redirect, "state": rand.Text(), "resource": v.resource(),
		"code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256", "scope": v.challenge.param("scope"),
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	a := v.send(ctx, request{method: http.MethodGet, url: u.String(), header: http.Header{"Accept": {"text/html"}}})
	got := fmt.Sprintf("authorization endpoint: %d %s", a.status, http.StatusText(a.status))
	switch {
	case a.problem != "":
		return verdict{"other", "authorization endpoint: " + a.problem}
	case a.redirect():
		return v.readRedirect(a, u.String(), redirect, got)
	}
	for _, sign := range signs {
		// A login page may well name its redirect in a hidden field; only signs that are error codes count there.
		if bytes.Contains(a.body, []byte(sign.text)) && (!a.ok() || strings.HasPrefix(sign.text, "AADSTS")) {
			return verdict{sign.cause, got + ", with " + v.quote(sign.text)}
		}
	}
	if a.ok() {
		return verdict{"", got + ", a page that goes on with the login"}
	}
	return verdict{"other", got}
}

// readRedirect reads the error of a redirect and nothing else, whether it goes back to the client or to an error page.
func (v *visit) readRedirect(a *answer, from, redirect, got string) verdict {
	to, err := url.Parse(a.location(from))
	if err != nil {
		return verdict{"other", got + " to no URL"}
	}
	code := to.Query().Get("error")
	back := strings.HasPrefix(to.String(), redirect)
	switch code {
	case "", "login_required", "interaction_required", "consent_required":
		if back && code == "" {
			return verdict{"", got + " back to the client"}
		}
		return verdict{"", got + ", on with the login"}
	}
	got += ", error=" + v.quote(code)
	for _, sign := range signs {
		if code == sign.text || strings.Contains(to.Query().Get("error_description"), sign.text) {
			return verdict{sign.cause, got}
		}
	}
	return verdict{"other", got}
}
