package peers

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"strings"
	"time"

	auth0 "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwx "github.com/lestrrat-go/jwx/v3/jwt"
	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const leeway = 30 * time.Second

// MCPAuth is this library. cached is Config.CachedTokens.
func (k Key) MCPAuth(resource string, mode mcpauth.DPoPMode, cached int) (*mcpauth.Middleware, error) {
	return mcpauth.New(mcpauth.Config{
		Resource: resource, HTTPClient: &http.Client{Transport: k}, CachedTokens: cached, DPoP: mcpauth.DPoP{Mode: mode},
		Issuers: []mcpauth.Issuer{{URL: issuer, JWKSURI: issuer + "jwks"}},
	})
}

// custom are the claims that neither library knows by itself.
type custom struct {
	ClientID    string   `json:"client_id"`
	Scope       string   `json:"scope"`
	AuthTime    int64    `json:"auth_time"`
	ACR         string   `json:"acr"`
	SessionID   string   `json:"sid"`
	Email       string   `json:"email"`
	Verified    bool     `json:"email_verified"`
	Name        string   `json:"name"`
	Roles       []string `json:"roles"`
	RealmAccess struct {
		Roles []string `json:"roles"`
	} `json:"realm_access"`
}

type auth0Claims struct{ custom }

func (*auth0Claims) Validate(context.Context) error { return nil }

// Auth0 is auth0/go-jwt-middleware, which derives the URL that a proof must name from the request.
func (k Key) Auth0(resource string, mode auth0.DPoPMode, next http.Handler) (http.Handler, error) {
	v, err := validator.New(
		validator.WithKeyFunc(func(context.Context) (any, error) { return k.Public, nil }),
		validator.WithAlgorithm(validator.SignatureAlgorithm(k.Algorithm)), validator.WithIssuer(issuer), validator.WithAudience(resource),
		validator.WithAllowedClockSkew(leeway), validator.WithCustomClaims(func() *auth0Claims { return new(auth0Claims) }),
	)
	if err != nil {
		return nil, err
	}
	m, err := auth0.New(auth0.WithValidator(v), auth0.WithDPoPMode(mode))
	if err != nil {
		return nil, err
	}
	return m.CheckJWT(next), nil
}

type typedClaims struct {
	jwt.RegisteredClaims
	custom
}

// verifier is a careful use of golang-jwt.
func (k Key) verifier(resource string) func(token string) (*typedClaims, error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{k.Algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience(resource),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	public := func(*jwt.Token) (any, error) { return k.Public, nil }
	return func(token string) (*typedClaims, error) {
		claims := new(typedClaims)
		_, err := parser.ParseWithClaims(token, claims, public)
		return claims, err
	}
}

type claimsKey struct{}

// byHand is a handler written by hand around a function that verifies a token.
func byHand[T any](verify func(ctx context.Context, token string) (T, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, err := verify(r.Context(), token)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

// GolangJWT is golang-jwt.
func (k Key) GolangJWT(resource string, next http.Handler) http.Handler {
	verify := k.verifier(resource)
	return byHand(func(_ context.Context, token string) (*typedClaims, error) { return verify(token) }, next)
}

// OIDC is coreos/go-oidc, whose ID token verifier many use for access tokens. It knows no leeway.
func (k Key) OIDC(resource string, next http.Handler) http.Handler {
	verifier := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{k.Public}},
		&oidc.Config{ClientID: resource, SupportedSigningAlgs: []string{k.Algorithm}})
	return byHand(func(ctx context.Context, token string) (*custom, error) {
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		claims := new(custom)
		return claims, verified.Claims(claims)
	}, next)
}

// JWX is lestrrat-go/jwx.
func (k Key) JWX(resource string, next http.Handler) (http.Handler, error) {
	algorithm, ok := jwa.LookupSignatureAlgorithm(k.Algorithm)
	if !ok {
		return nil, fmt.Errorf("jwx knows no algorithm %q", k.Algorithm)
	}
	options := []jwx.ParseOption{
		jwx.WithKey(algorithm, k.Public), jwx.WithIssuer(issuer), jwx.WithAudience(resource), jwx.WithRequiredClaim(jwx.ExpirationKey),
		jwx.WithAcceptableSkew(leeway),
	}
	return byHand(func(_ context.Context, token string) (jwx.Token, error) { return jwx.ParseString(token, options...) }, next), nil
}

// SDK is the Go SDK's own middleware, whose verifier is golang-jwt. It asks for Scope.
func (k Key) SDK(resource string, next http.Handler) http.Handler {
	verify := k.verifier(resource)
	return sdkauth.RequireBearerToken(func(_ context.Context, token string, _ *http.Request) (*sdkauth.TokenInfo, error) {
		claims, err := verify(token)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", sdkauth.ErrInvalidToken, err)
		}
		return &sdkauth.TokenInfo{
			Scopes: strings.Fields(claims.Scope), Expiration: claims.ExpiresAt.Time, UserID: claims.Subject,
			Extra: map[string]any{"claims": claims},
		}, nil
	}, &sdkauth.RequireBearerTokenOptions{Scopes: []string{Scope}, ClockSkew: leeway})(next)
}
