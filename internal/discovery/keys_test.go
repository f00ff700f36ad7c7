package discovery_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/jwks"
)

// site is a whole issuer: metadata at the OpenID URL, keys where it says.
type site struct {
	mu      sync.Mutex
	keysAt  string
	down    error
	hanging bool
	key     string
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	keysAt, down, hanging, key := s.keysAt, s.down, s.hanging, s.key
	s.mu.Unlock()
	if hanging {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	select {
	case <-time.After(trip):
	case <-r.Context().Done(): // as every transport does
		return nil, r.Context().Err()
	}
	if down != nil {
		return nil, down
	}
	status, body := 200, ""
	switch r.URL.Path {
	case oidc:
		body = document(issuer, map[string]any{"jwks_uri": issuer + keysAt})
	case keysAt:
		body = `{"keys":[` + key + `]}`
	default:
		status = 404
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *site) change(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func newKey(kid string) string {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return `{"kty":"OKP","crv":"Ed25519","kid":"` + kid + `","x":"` + base64.RawURLEncoding.EncodeToString(pub) + `"}`
}

func newKeys(s *site) *jwks.Set {
	client := fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: s}})
	source := discovery.New(discovery.Config{Issuer: issuer, Fetch: client})
	return jwks.New(jwks.Config{
		URI: func(ctx context.Context) (string, error) {
			m, err := source.Metadata(ctx)
			if err != nil {
				return "", err
			}
			return m.JWKSURI, nil
		},
		Failing: source.Forget,
		Fetch:   client,
	})
}

// Target 9: whatever kept the issuer down at the start and for however long,
// good tokens pass within the cooldown, one round trip per document and 100 ms.
func TestDISC04KeysRecoverThroughDiscovery(t *testing.T) {
	for _, hanging := range []bool{false, true} {
		for down := 100 * time.Millisecond; down < time.Minute; down += 1700 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				s := &site{keysAt: "/keys", key: newKey("k"), hanging: hanging, down: errors.New("refused")}
				keys := newKeys(s)
				var client sync.WaitGroup
				stop := make(chan struct{})
				defer client.Wait()
				defer close(stop)
				ask := func() error {
					_, err := keys.Lookup(t.Context(), "k", "EdDSA")
					return err
				}
				client.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							_ = ask()
							time.Sleep(10 * time.Millisecond)
						}
					}
				})
				time.Sleep(down)
				s.change(func() { s.hanging, s.down = false, nil })
				back := time.Now()
				for ask() != nil {
					time.Sleep(10 * time.Millisecond)
				}
				require.LessOrEqual(t, time.Since(back), 10*time.Second+3*trip+100*time.Millisecond, "down for %v, hanging %v", down, hanging)
			})
		}
	}
}

func TestKeysThatMoveAreFoundThroughTheMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{keysAt: "/keys", key: newKey("old")}
		keys := newKeys(s)
		require.NoError(t, keys.Ready(t.Context()))
		s.change(func() { s.keysAt, s.key = "/moved", newKey("new") })
		moved := time.Now()
		for {
			if _, err := keys.Lookup(t.Context(), "new", "EdDSA"); err == nil {
				break
			}
			require.Less(t, time.Since(moved), 45*time.Second)
			time.Sleep(100 * time.Millisecond)
		}
		_, err := keys.Lookup(t.Context(), "old", "EdDSA")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
	})
}
