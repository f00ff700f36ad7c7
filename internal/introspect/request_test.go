package introspect_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
)

// record answers like an authorization server and keeps what it saw of the last request.
type record struct {
	method, uri string
	header      http.Header
	form        url.Values
}

func (s *record) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.method, s.uri, s.header = r.Method, r.RequestURI, r.Header
	s.form, _ = url.ParseQuery(string(body))
	_, _ = io.WriteString(w, good)
}

func TestINTRO01TheTokenIsInTheFormAndNowhereElse(t *testing.T) {
	var s record
	c := serve(t, introspect.Config{}, s.ServeHTTP)
	const odd = "a+b/c==&token=x" // encoded, so that it stays one value
	claims, refusal := ask(t, c, t.Context(), odd)
	require.Nil(t, refusal)
	require.Equal(t, "ada", claims["sub"])
	require.Equal(t, http.MethodPost, s.method)
	require.Equal(t, "/introspect", s.uri)
	require.Equal(t, "application/x-www-form-urlencoded", s.header.Get("Content-Type"))
	require.Equal(t, "application/json", s.header.Get("Accept"))
	require.Equal(t, url.Values{"token": {odd}, "token_type_hint": {"access_token"}}, s.form)
	require.NotContains(t, fmt.Sprint(s.header), odd)
	require.Empty(t, s.header.Get("Cookie"))
}

func TestINTRO02Authentication(t *testing.T) {
	pair := &introspect.ClientSecret{ClientID: clientID, Secret: secret}
	for _, tt := range []struct {
		name string
		auth introspect.Auth
		form url.Values // besides the token
		head string
	}{
		{"basic, encoded before it is joined", introspect.Auth{Basic: pair}, nil,
			"Basic " + base64.StdEncoding.EncodeToString([]byte("rs%3A1:s%3Ae%25c%2Bret%2F%C3%BC"))},
		{"post", introspect.Auth{Post: pair}, url.Values{"client_id": {clientID}, "client_secret": {secret}}, ""},
		{"a certificate", introspect.Auth{MutualTLS: &introspect.MutualTLS{ClientID: clientID}}, url.Values{"client_id": {clientID}}, ""},
		{"a token", introspect.Auth{Bearer: func(context.Context) (string, error) { return "own-token", nil }}, nil, "Bearer own-token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s record
			c := serve(t, introspect.Config{Auth: tt.auth}, s.ServeHTTP)
			_, refusal := ask(t, c, t.Context(), token)
			require.Nil(t, refusal)
			require.Equal(t, tt.head, s.header.Get("Authorization"))
			want := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
			for name, values := range tt.form {
				want[name] = values
			}
			require.Equal(t, want, s.form)
		})
	}
}

func TestINTRO02PrivateKeyJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		require.NoError(t, err)
		return key
	}
	p256, p384, p521 := ec(elliptic.P256()), ec(elliptic.P384()), ec(elliptic.P521())
	for _, tt := range []struct {
		alg, want string
		key       crypto.Signer
	}{
		{"", "RS256", rsaKey}, {"RS384", "RS384", rsaKey}, {"RS512", "RS512", rsaKey}, {"PS256", "PS256", rsaKey},
		{"PS384", "PS384", rsaKey}, {"PS512", "PS512", rsaKey}, {"", "ES256", p256}, {"", "ES384", p384}, {"", "ES512", p521},
		{"", "EdDSA", edKey}, {"Ed25519", "Ed25519", edKey},
	} {
		t.Run(tt.want, func(t *testing.T) {
			var s record
			auth := introspect.Auth{PrivateKey: &introspect.PrivateKeyJWT{
				ClientID: clientID, Audience: "https://as.example.com", Signer: tt.key, KeyID: "k1", Algorithm: tt.alg,
			}}
			c := serve(t, introspect.Config{Auth: auth, MaxAge: -1, Now: func() time.Time { return testNow }}, s.ServeHTTP)
			seen := map[string]bool{}
			for range 3 {
				_, refusal := ask(t, c, t.Context(), token)
				require.Nil(t, refusal)
				require.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", s.form.Get("client_assertion_type"))
				require.Equal(t, clientID, s.form.Get("client_id"))
				require.Empty(t, s.header.Get("Authorization"))
				p := jws.Split(s.form.Get("client_assertion"))
				require.True(t, p.OK())
				signature, err := jws.Decode(p.Signature)
				require.NoError(t, err)
				require.True(t, jws.MethodOf(tt.want).Verify(&jwks.Key{Public: tt.key.Public()}, p.Header+"."+p.Payload, signature))
				header, err := jws.Decode(p.Header)
				require.NoError(t, err)
				require.JSONEq(t, `{"alg":"`+tt.want+`","typ":"JWT","kid":"k1"}`, string(header))
				payload, err := jws.Decode(p.Payload)
				require.NoError(t, err)
				var claims map[string]any
				require.NoError(t, json.Unmarshal(payload, &claims))
				id := claims["jti"].(string)
				require.False(t, seen[id] || len(id) < 20, "jti %q", id)
				seen[id] = true
				delete(claims, "jti")
				require.Equal(t, map[string]any{
					"iss": clientID, "sub": clientID, "aud": "https://as.example.com", "iat": 1767225700.0, "exp": 1767225760.0,
				}, claims)
			}
		})
	}
}

// brokenSigner has a good public key.
type brokenSigner struct {
	ecdsa.PublicKey
	sign func() ([]byte, error)
}

func (s *brokenSigner) Public() crypto.PublicKey { return &s.PublicKey }
func (s *brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.sign()
}

func TestHooksThatFailAreOutagesAndTellNothing(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer := func(sign func() ([]byte, error)) introspect.Auth {
		return introspect.Auth{PrivateKey: &introspect.PrivateKeyJWT{ClientID: clientID, Audience: "a", Signer: &brokenSigner{key.PublicKey, sign}}}
	}
	token68 := func(s string) introspect.Auth {
		return introspect.Auth{Bearer: func(context.Context) (string, error) { return s, nil }}
	}
	own := errors.New("SECRET")
	var log logBuffer
	for _, tt := range []struct {
		name string
		cfg  introspect.Config
	}{
		{"an endpoint that fails", introspect.Config{Endpoint: func(context.Context) (string, error) { return "", errors.New("down") }}},
		{"an endpoint that panics", introspect.Config{Endpoint: func(context.Context) (string, error) { panic("SECRET") }}},
		{"an endpoint in plain http", introspect.Config{Endpoint: fixed("http://as.example.com/SECRET")}},
		{"an endpoint that is no URL", introspect.Config{Endpoint: fixed("SECRET\x00")}},
		{"no endpoint", introspect.Config{Endpoint: fixed("")}},
		{"a bearer token that cannot be had", introspect.Config{Auth: introspect.Auth{Bearer: func(context.Context) (string, error) { return "", own }}}},
		{"a bearer token that panics", introspect.Config{Auth: introspect.Auth{Bearer: func(context.Context) (string, error) { panic(own) }}}},
		{"an empty bearer token", introspect.Config{Auth: token68("")}},
		{"a bearer token with a line break", introspect.Config{Auth: token68("a\r\nSECRET: b")}},
		{"a bearer token with a space", introspect.Config{Auth: token68("SECRET b")}},
		{"a signer that fails", introspect.Config{Auth: signer(func() ([]byte, error) { return nil, own })}},
		{"a signer that panics", introspect.Config{Auth: signer(func() ([]byte, error) { panic(own) })}},
		{"a signer that gives nonsense", introspect.Config{Auth: signer(func() ([]byte, error) { return []byte("SECRET"), nil })}},
		{"a signer that gives zeros", introspect.Config{Auth: signer(func() ([]byte, error) { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0}, nil })}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := quickRemote(says(200, good))
			tt.cfg.Fetch, tt.cfg.Logger = r.client(), log.logger()
			_, refusal := ask(t, newClient(t, tt.cfg), t.Context(), token)
			require.NotNil(t, refusal)
			require.Equal(t, introspect.ReasonUnavailable, refusal.Reason)
			require.True(t, refusal.Unavailable)
			require.Zero(t, r.asked())
		})
	}
	require.NotContains(t, log.String(), "SECRET")
}

func TestNewReportsEveryMistake(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	with := func(a introspect.Auth) introspect.Config { return introspect.Config{Auth: a} }
	jwt := func(p introspect.PrivateKeyJWT) introspect.Config { return with(introspect.Auth{PrivateKey: &p}) }
	for _, tt := range []struct {
		name string
		cfg  introspect.Config
		want []string
	}{
		{"nothing", introspect.Config{}, []string{"Endpoint:", "Fetch:", "Auth: is empty"}},
		{"two methods", with(introspect.Auth{Basic: &introspect.ClientSecret{ClientID: "a", Secret: "b"}, Post: &introspect.ClientSecret{}}),
			[]string{"Auth: has several", "Auth.Post.ClientID", "Auth.Post.Secret"}},
		{"an empty pair", with(introspect.Auth{Basic: &introspect.ClientSecret{}}), []string{"Auth.Basic.ClientID", "Auth.Basic.Secret"}},
		{"a certificate of nobody", with(introspect.Auth{MutualTLS: &introspect.MutualTLS{}}), []string{"Auth.MutualTLS.ClientID"}},
		{"no key", jwt(introspect.PrivateKeyJWT{}), []string{"PrivateKey.ClientID", "PrivateKey.Audience", "PrivateKey.Signer"}},
		{"a weak key", jwt(introspect.PrivateKeyJWT{Signer: weak}), []string{"PrivateKey.Signer: cannot"}},
		{"a curve without algorithm", jwt(introspect.PrivateKeyJWT{Signer: p224}), []string{"PrivateKey.Signer: cannot"}},
		{"an algorithm of another key", jwt(introspect.PrivateKeyJWT{Signer: p256, Algorithm: "ES384"}), []string{"PrivateKey.Algorithm"}},
		{"HMAC", jwt(introspect.PrivateKeyJWT{Signer: p256, Algorithm: "HS256"}), []string{"PrivateKey.Algorithm"}},
		{"inactive for long", introspect.Config{MaxNegativeAge: time.Hour}, []string{"MaxNegativeAge"}},
		{"signed by nobody", introspect.Config{Signed: &introspect.Signed{Leeway: time.Hour, Algorithms: []string{"none"}}},
			[]string{"Signed.Issuer", "Signed.Audiences", "Signed.Keys", "Signed.Leeway", "Signed.Algorithms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := introspect.New(tt.cfg)
			require.Nil(t, c)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestSEC02SecretsDoNotPrint(t *testing.T) {
	s := introspect.ClientSecret{ClientID: clientID, Secret: secret}
	encoded, err := json.Marshal(s)
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q %x %d", s, s, s.Secret, s.Secret, s.Secret, s.Secret), fmt.Sprint(&s), string(encoded),
	} {
		require.NotContains(t, text, "ret/")
		require.NotContains(t, text, fmt.Sprintf("%x", "ret"))
		require.True(t, strings.Contains(text, "(secret)"), text)
	}
}
