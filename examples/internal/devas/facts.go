package devas

import (
	"context"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// facts is what the wrapper tells the store and the policy about the current request, through its context.
type facts struct {
	endpoint    string // path of the endpoint, without the request ID
	redirectURI string // redirect_uri of an authorization request
	clientID    string // who a direct request says it comes from; the library means the same
	secretSent  bool   // a client secret or assertion came along

	secretInBody bool // it was a secret, in the body

	// The client's metadata document, if documentID, the client's identifier, is the URL of one.
	documentID  string
	document    *goidc.Client
	documentErr error

	asserted *assertedGrant // the identity assertion of a token request, good or bad

	dpopRequired bool     // of a registration
	desktop      []string // of a registration: redirect URIs that the library would refuse
	jkt          string   // thumbprint of the key of the request's DPoP proof, which was found good
	// problem is a fault of an authorization request that the library does not notice or would answer wrongly: a redirect with this error follows.
	problem *goidc.Error
}

type factsKey struct{}

func withFacts(ctx context.Context, f facts) context.Context {
	return context.WithValue(ctx, factsKey{}, f)
}

// setProblem keeps the first problem.
func (f *facts) setProblem(code goidc.ErrorCode, description string) {
	if f.problem == nil {
		e := goidc.NewError(code, description)
		f.problem = &e
	}
}

func factsFrom(ctx context.Context) facts {
	f, _ := ctx.Value(factsKey{}).(facts)
	return f
}
