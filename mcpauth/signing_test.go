package mcpauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
)

// A fragile key fails when it is told to.
type fragile struct {
	*ecdsa.PrivateKey
	fails bool
}

func (f *fragile) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if f.fails {
		return nil, io.ErrUnexpectedEOF
	}
	return f.PrivateKey.Sign(r, digest, opts)
}

// PRM-14: what Mount and Metadata serve is signed, all of it, on the clock of the Config; and what is enforced does not change.
func TestPRM14_ConfigMetadataSigning(t *testing.T) {
	is := newIssuer(t)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key := &fragile{PrivateKey: own}
	var log bytes.Buffer
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.BaseScopes, cfg.RootMetadata, cfg.Logger = []string{"mcp:read"}, true, slog.New(slog.NewTextHandler(&log, nil))
		cfg.Metadata = &prm.Metadata{ResourceName: "Files", Languages: map[string]prm.Localized{"fr": {ResourceName: "Fichiers"}}}
		cfg.MetadataSigning = &prm.Signing{Key: key, KeyID: "prm-1", Issuer: "https://federation.example.com", Lifetime: time.Hour}
	})
	mux := http.NewServeMux()
	auth.Mount(mux, http.NotFoundHandler())
	verifier := &prm.Verifier{Resource: testResource, Issuer: "https://federation.example.com", Keys: []prm.VerificationKey{{ID: "prm-1", Public: own.Public()}}, Now: clock.Now}
	for _, h := range []http.Handler{mux, auth.Metadata()} {
		for _, url := range []string{testPRM, testPRM + "/", "https://mcp.example.com/.well-known/oauth-protected-resource"} {
			w := serve(h, httptest.NewRequest("GET", url, nil))
			signed, err := verifier.Verify(w.Body.Bytes())
			require.NoError(t, err)
			require.Equal(t, epoch.Add(time.Hour).Unix(), signed.Expiry.Unix())
			require.Equal(t, []string{is.URL}, signed.Metadata.AuthorizationServers)
			require.Equal(t, []string{"mcp:read"}, signed.Metadata.ScopesSupported)
			require.Equal(t, "Fichiers", signed.Metadata.Languages["fr"].ResourceName) // PRM-10
			require.NotEmpty(t, signed.Metadata.DPoPSigningAlgValuesSupported)
		}
	}
	key.fails = true
	clock.set(epoch.Add(2 * time.Hour))
	_, err = verifier.Verify(serve(mux, httptest.NewRequest("GET", testPRM, nil)).Body.Bytes())
	require.ErrorIs(t, err, prm.ErrUnsigned)
	require.Contains(t, log.String(), "prm: the metadata cannot be signed")
	key.fails = false
	clock.set(epoch.Add(2*time.Hour + time.Minute))
	_, err = verifier.Verify(serve(mux, httptest.NewRequest("GET", testPRM, nil)).Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, serve(mux, post(call("whoami"), "")).Code)
}
