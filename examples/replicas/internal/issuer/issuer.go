// Package issuer is an authorization server as resource servers see it, keys and tokens alone: one that can change its
// keys and break down, for the tests and the soak.
package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An Issuer publishes its metadata and keys at URL until Close. It is safe for concurrent use.
type Issuer struct {
	URL    string
	server *http.Server

	mu        sync.Mutex
	published []*key
	signs     *key
	down      bool
}

type key struct {
	id      string
	private *ecdsa.PrivateKey
}

func newKey() *key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // rand.Reader never fails
	}
	return &key{rand.Text(), private}
}

// Start starts an issuer on loopback, with one key.
func Start() (*Issuer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	is := &Issuer{URL: "http://" + l.Addr().String()}
	is.Sign(is.Publish())
	mux := http.NewServeMux()
	publish := func(path string, document func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			is.mu.Lock()
			defer is.mu.Unlock()
			if is.down {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(document())
		})
	}
	publish("/.well-known/oauth-authorization-server", func() any { return map[string]any{"issuer": is.URL, "jwks_uri": is.URL + "/jwks"} })
	publish("/jwks", func() any {
		keys := []any{}
		for _, k := range is.published {
			point, err := k.private.PublicKey.Bytes()
			if err != nil {
				panic(err) // it is a good key
			}
			encode := base64.RawURLEncoding.EncodeToString
			keys = append(keys, map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": k.id, "x": encode(point[1:33]), "y": encode(point[33:])})
		}
		return map[string]any{"keys": keys}
	})
	is.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go is.server.Serve(l) // ends with Close
	return is, nil
}

// Close ends the issuer.
func (is *Issuer) Close() { is.server.Close() }

// Publish adds a new key to the published ones and returns its id. Nothing is signed with it yet.
func (is *Issuer) Publish() (id string) {
	k := newKey()
	is.mu.Lock()
	defer is.mu.Unlock()
	is.published = append(is.published, k)
	return k.id
}

// Sign signs with a published key from now on.
func (is *Issuer) Sign(id string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	for _, k := range is.published {
		if k.id == id {
			is.signs = k
			return
		}
	}
	panic("issuer: no key has this id")
}

// Signing is the id of the key in use.
func (is *Issuer) Signing() (id string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.signs.id
}

// Withdraw removes a key from the published ones.
func (is *Issuer) Withdraw(id string) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.published = slices.DeleteFunc(is.published, func(k *key) bool { return k.id == id })
}

// SetDown makes the issuer answer 500 to everything, or ends that.
func (is *Issuer) SetDown(down bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.down = down
}

// A Token is an access token (RFC 9068) to be signed. The zero value of each member but the first two is the good one.
type Token struct {
	Resource, Subject string
	ID                string        // jti; empty: one of its own
	Scope             string        // empty: none
	Thumbprint        string        // of the key that it is bound to; empty: none
	Left              time.Duration // until it expires, negative for one that has; zero: an hour
	Forged            bool          // signed by a key of somebody else, under the id of the one in use
	UnknownKey        bool          // likewise, under an id that nobody has published
}

// Token signs a token, and says with which key.
func (is *Issuer) Token(t Token) (signed, kid string) {
	is.mu.Lock()
	k := is.signs
	is.mu.Unlock()
	if t.Left == 0 {
		t.Left = time.Hour
	}
	if t.ID == "" {
		t.ID = rand.Text()
	}
	now := time.Now()
	claims := jwt.MapClaims{"iss": is.URL, "aud": t.Resource, "sub": t.Subject, "client_id": "test", "jti": t.ID,
		"iat": min(now.Unix(), now.Add(t.Left).Unix()), "exp": now.Add(t.Left).Unix()}
	if t.Scope != "" {
		claims["scope"] = t.Scope
	}
	if t.Thumbprint != "" {
		claims["cnf"] = map[string]any{"jkt": t.Thumbprint}
	}
	if t.Forged || t.UnknownKey {
		other := newKey()
		if t.Forged {
			other.id = k.id
		}
		k = other
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["typ"], token.Header["kid"] = "at+jwt", k.id
	signed, err := token.SignedString(k.private)
	if err != nil {
		panic(err) // it is a good key
	}
	return signed, k.id
}
