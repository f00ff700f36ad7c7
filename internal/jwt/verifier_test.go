package jwt_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jwt"
)

func TestSEC05_NewReportsEveryMistake(t *testing.T) {
	_, err := jwt.New(nil, nil)
	require.ErrorContains(t, err, "no Issuers")

	good := strictIssuer()
	tests := []struct {
		name   string
		change func(*jwt.Issuer)
		want   string
	}{
		{"no URL", func(i *jwt.Issuer) { i.URL = "" }, "Issuers[0].URL"},
		{"no keys", func(i *jwt.Issuer) { i.Keys = nil }, "Issuers[0].Keys"},
		{"no audience", func(i *jwt.Issuer) { i.Audiences = nil }, "Issuers[0].Audiences: is empty"},
		{"empty audience", func(i *jwt.Issuer) { i.Audiences = []string{resource, ""} }, "Issuers[0].Audiences: holds"},
		{"sole and any audience", func(i *jwt.Issuer) { i.SoleAudience, i.AnyAudience = true, true }, "SoleAudience"},
		{"no client", func(i *jwt.Issuer) { i.ClientIDs = []string{} }, "ClientIDs"},
		{"empty client", func(i *jwt.Issuer) { i.ClientIDs = []string{""} }, "ClientIDs"},
		{"no algorithm", func(i *jwt.Issuer) { i.Algorithms = []string{} }, "Algorithms"},
		{"none", func(i *jwt.Issuer) { i.Algorithms = []string{"ES256", "none"} }, `"none" cannot`},
		{"None", func(i *jwt.Issuer) { i.Algorithms = []string{"None"} }, `"None" cannot`},
		{"HS256", func(i *jwt.Issuer) { i.Algorithms = []string{"HS256"} }, `"HS256" cannot`},
		{"HS384", func(i *jwt.Issuer) { i.Algorithms = []string{"HS384"} }, `"HS384" cannot`},
		{"HS512", func(i *jwt.Issuer) { i.Algorithms = []string{"HS512"} }, `"HS512" cannot`},
		{"another case", func(i *jwt.Issuer) { i.Algorithms = []string{"es256"} }, `"es256" cannot`},
		{"empty algorithm", func(i *jwt.Issuer) { i.Algorithms = []string{""} }, `"" cannot`},
		{"no type", func(i *jwt.Issuer) { i.Types = []string{} }, "TokenTypes"},
		{"TOK-03 proofs", func(i *jwt.Issuer) { i.Types = []string{"dpop+jwt"} }, "another kind"},
		{"TOK-03 logout tokens", func(i *jwt.Issuer) { i.Types = []string{"application/Logout+JWT"} }, "another kind"},
		{"TOK-03 grants", func(i *jwt.Issuer) { i.Types = []string{"oauth-id-jag+jwt"} }, "another kind"},
		{"TOK-03 introspection", func(i *jwt.Issuer) { i.Types = []string{"token-introspection+jwt"} }, "another kind"},
		{"TOK-03 security events", func(i *jwt.Issuer) { i.Types = []string{"secevent+jwt"} }, "another kind"},
		{"TOK-10 leeway", func(i *jwt.Issuer) { i.Leeway = 6 * time.Minute }, "Leeway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issuer := good
			tt.change(&issuer)
			v, err := jwt.New([]jwt.Issuer{issuer}, nil)
			require.Nil(t, v)
			require.ErrorContains(t, err, tt.want)
		})
	}

	_, err = jwt.New([]jwt.Issuer{good, {URL: "x", Leeway: time.Hour, Algorithms: []string{"none"}}, good}, nil)
	for _, want := range []string{"Issuers[1].Keys", "Issuers[1].Audiences", "Issuers[1].Algorithms", "Issuers[1].Leeway", "Issuers[2].URL"} {
		require.ErrorContains(t, err, want)
	}
}

func TestEveryAlgorithmCanBeConfigured(t *testing.T) {
	require.Subset(t, jwt.Algorithms(), []string{"RS256", "PS256", "ES256", "EdDSA"}) // JWKS-08
	for _, alg := range jwt.Algorithms() {
		issuer := strictIssuer()
		issuer.Algorithms = []string{alg}
		v := newVerifier(t, issuer)
		token := sign(t, alg, defaultKeys[alg], strings.Replace(goodHeader, "ES256", alg, 1), goodClaims)
		got, err := v.Verify(context.Background(), token)
		require.NoError(t, err, alg)
		require.Equal(t, signingKeys()[defaultKeys[alg]].Public(), got.Key.Public, alg)
		_, err = v.Verify(context.Background(), token[:len(token)-3])
		require.Error(t, err)
	}
}

func TestZeroVerifierRefuses(t *testing.T) {
	var v jwt.Verifier
	_, err := v.Verify(context.Background(), sign(t, "ES256", "p256", goodHeader, goodClaims))
	requireReason(t, err, jwt.ReasonUnknownIssuer)
}

func TestTokenTellsWhatWasVerified(t *testing.T) {
	a, b := strictIssuer(), strictIssuer()
	b.URL, b.Keys = issuerB, keysOf("foreign", "issuer-b")
	claims := strings.Replace(goodClaims, issuerA, issuerB, 1)
	claims = strings.Replace(claims, `"jti"`, `"nbf":1767225600.25,"big":12345678901234567890,"cnf":{"jkt":"t"},"jti"`, 1)
	token := sign(t, "ES256", "issuer-b", goodHeader, claims)
	got, err := newVerifier(t, a, b).Verify(context.Background(), token)
	require.NoError(t, err)
	require.Equal(t, 1, got.Issuer)
	require.Equal(t, "at+jwt", got.Type)
	require.Same(t, b.Keys.(laxSource)[1], got.Key)
	require.Equal(t, "j1", got.ID)
	require.Equal(t, "ada", got.Subject)
	require.Equal(t, "app", got.ClientID)
	require.True(t, got.Expiry.Equal(epoch.Add(time.Hour)))
	require.True(t, got.NotBefore.Equal(epoch.Add(250*time.Millisecond)))
	require.True(t, got.IssuedAt.Equal(epoch))
	require.True(t, got.Bound)
	require.Equal(t, map[string]any{"jkt": "t"}, got.Confirmation)
	require.Equal(t, "12345678901234567890", got.Claims["big"].(interface{ String() string }).String())
}

func TestThreat74_BrokenConfirmationIsBoundAndUnsatisfiable(t *testing.T) {
	v := newVerifier(t, strictIssuer())
	for _, cnf := range []string{"null", `"x"`, "[]", "0", "false"} {
		token := sign(t, "ES256", "p256", goodHeader, strings.Replace(goodClaims, `"jti"`, `"cnf":`+cnf+`,"jti"`, 1))
		got, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		require.True(t, got.Bound, cnf)
		require.Nil(t, got.Confirmation, cnf)
	}
}

func TestCH22_AnOutageOfKeysIsNotABadToken(t *testing.T) {
	token := sign(t, "ES256", "p256", goodHeader, goodClaims)
	cause := errors.New("connection refused")
	for name, err := range map[string]error{
		"outage": &jwks.UnavailableError{RetryAfter: 7 * time.Second, Err: cause}, "canceled": context.Canceled, "other": cause,
	} {
		t.Run(name, func(t *testing.T) {
			issuer := strictIssuer()
			issuer.Keys = failingSource{err}
			_, got := newVerifier(t, issuer).Verify(context.Background(), token)
			refusal := requireReason(t, got, jwt.ReasonKeysUnavailable)
			require.True(t, refusal.Unavailable)
			require.ErrorIs(t, got, err)
			if name == "outage" {
				require.Equal(t, 7*time.Second, refusal.RetryAfter)
			}
		})
	}
	t.Run("an unknown key is a bad token", func(t *testing.T) {
		issuer := strictIssuer()
		issuer.Keys = failingSource{jwks.ErrUnknownKey}
		_, err := newVerifier(t, issuer).Verify(context.Background(), token)
		require.False(t, requireReason(t, err, jwt.ReasonUnknownKey).Unavailable)
	})
	t.Run("no key and no error is an unknown key", func(t *testing.T) {
		issuer := strictIssuer()
		issuer.Keys = laxSource{}
		_, err := newVerifier(t, issuer).Verify(context.Background(), token)
		requireReason(t, err, jwt.ReasonUnknownKey)
	})
}

// countingSource counts lookups.
type countingSource struct {
	laxSource
	mu      sync.Mutex
	lookups int
}

func (s *countingSource) Lookup(ctx context.Context, kid, alg string) ([]*jwks.Key, error) {
	s.mu.Lock()
	s.lookups++
	s.mu.Unlock()
	return s.laxSource.Lookup(ctx, kid, alg)
}

func TestTOK06_NothingIsLookedUpBeforeIssuerAndHeaderAreAccepted(t *testing.T) {
	source := &countingSource{laxSource: keysOf("p256")}
	issuer := strictIssuer()
	issuer.Keys, issuer.Algorithms = source, []string{"ES256"}
	v := newVerifier(t, issuer)
	for _, token := range []string{
		sign(t, "ES256", "p256", goodHeader, strings.Replace(goodClaims, issuerA, "https://evil.example", 1)),
		sign(t, "ES256", "p256", strings.Replace(goodHeader, "at+jwt", "JWT", 1), goodClaims),
		sign(t, "ES384", "p384", strings.Replace(goodHeader, "ES256", "ES384", 1), goodClaims),
		sign(t, "ES256", "p256", strings.Replace(goodHeader, `{`, `{"crit":["x"],`, 1), goodClaims),
		sign(t, "ES256", "p256", goodHeader, goodClaims+"x"),
	} {
		_, err := v.Verify(context.Background(), token)
		require.Error(t, err)
	}
	require.Zero(t, source.lookups)
	_, err := v.Verify(context.Background(), sign(t, "ES256", "p256", goodHeader, goodClaims))
	require.NoError(t, err)
	require.Equal(t, 1, source.lookups)
}

func TestJWKS03_CandidatesAreBounded(t *testing.T) {
	token := sign(t, "ES256", "p256", goodHeader, goodClaims)
	right, wrong := keysOf("p256")[0], keysOf("foreign")[0]
	source := slices.Repeat(laxSource{wrong}, 8)
	issuer := strictIssuer()
	issuer.Keys = append(slices.Clone(source[:7]), right)
	_, err := newVerifier(t, issuer).Verify(context.Background(), token)
	require.NoError(t, err, "the eighth is tried")
	issuer.Keys = append(source, right)
	_, err = newVerifier(t, issuer).Verify(context.Background(), token)
	requireReason(t, err, jwt.ReasonSignature)
}

func TestThreat22_TheKeysOwnAlgorithmBinds(t *testing.T) {
	for _, tt := range []struct {
		alg, keyAlg string
		good        bool
	}{
		{"ES256", "ES256", true}, {"ES256", "ES384", false}, {"RS256", "RS256", true}, {"RS256", "PS256", false},
		{"PS256", "RS256", false}, {"RS256", "RSA-OAEP", false}, {"EdDSA", "Ed25519", true}, {"Ed25519", "EdDSA", true}, {"EdDSA", "ES256", false},
	} {
		key := &jwks.Key{ID: "k1", Algorithm: tt.keyAlg, Public: signingKeys()[defaultKeys[tt.alg]].Public()}
		issuer := strictIssuer()
		issuer.Keys = laxSource{nil, {}, key} // a source with a mistake must not make the verifier panic
		token := sign(t, tt.alg, defaultKeys[tt.alg], strings.Replace(goodHeader, "ES256", tt.alg, 1), goodClaims)
		_, err := newVerifier(t, issuer).Verify(context.Background(), token)
		require.Equal(t, tt.good, err == nil, "%s with a key for %s: %v", tt.alg, tt.keyAlg, err)
	}
}

func TestINTRO09_LooksLikeJWT(t *testing.T) {
	good := sign(t, "ES256", "p256", goodHeader, goodClaims)
	header, rest, _ := strings.Cut(good, ".")
	tests := []struct {
		name, token string
		want        bool
	}{
		{"a good token", good, true},
		{"a header alone with a dot", header + ".", true},
		{"without signature", header + "." + strings.Split(rest, ".")[0], true},
		{"padded", b64.EncodeToString([]byte(`{"a":1}`)) + "==" + "." + rest, true},
		{"five parts", header + ".a.b.c.d", true},
		{"a duplicate in the header", b64.EncodeToString([]byte(`{"alg":"a","alg":"b"}`)) + ".x.y", true},
		{"data after the header", b64.EncodeToString([]byte(`{"alg":"a"}x`)) + ".x.y", true},
		{"white space before the header", b64.EncodeToString([]byte(" {\"alg\":\"a\"}")) + ".x.y", true},
		{"standard base64", "eyJhIjoifn9+fyJ9.x.y", true},
		{"a huge header", strings.Repeat(header, 1000) + ".x.y", true},
		{"no dot", header, false},
		{"empty", "", false},
		{"dots", "..", false},
		{"opaque", "ory_at_abc.def", false},
		{"a JSON array", b64.EncodeToString([]byte(`[]`)) + ".x.y", false},
		{"null", b64.EncodeToString([]byte(`null`)) + ".x.y", false},
		{"half an object", b64.EncodeToString([]byte(`{"alg":`)) + ".x.y", false},
		{"huge and opaque", strings.Repeat("a", 100_000) + ".x.y", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, jwt.LooksLikeJWT(tt.token)) })
	}
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	v := newVerifier(t, strictIssuer())
	good := sign(t, "ES256", "p256", goodHeader, goodClaims)
	bad := sign(t, "ES256", "foreign", goodHeader, goodClaims)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				_, err := v.Verify(context.Background(), good)
				_, bad := v.Verify(context.Background(), bad)
				if err != nil || bad == nil {
					t.Error(err, bad)
				}
			}
		})
	}
	wg.Wait()
}

// rotating gives old keys first and new ones when asked again.
type rotating struct {
	old, new []*jwks.Key
	asked    int
	err      error
}

func (r *rotating) Lookup(context.Context, string, string) ([]*jwks.Key, error) { return r.old, nil }

func (r *rotating) LookupAgain(_ context.Context, _, _ string, tried []*jwks.Key) ([]*jwks.Key, error) {
	r.asked++
	if r.err != nil {
		return nil, r.err
	}
	if len(tried) == 0 || len(r.new) == 0 {
		return nil, jwks.ErrUnknownKey
	}
	return r.new, nil
}

func TestJWKS05_ANewKeyUnderAnOldKid(t *testing.T) {
	token := sign(t, "ES256", "p256", goodHeader, goodClaims)
	source := &rotating{old: keysOf("foreign"), new: keysOf("p256")}
	issuer := strictIssuer()
	issuer.Keys = source
	_, err := newVerifier(t, issuer).Verify(context.Background(), token)
	require.NoError(t, err)
	require.Equal(t, 1, source.asked)

	source.new = nil
	_, err = newVerifier(t, issuer).Verify(context.Background(), token)
	requireReason(t, err, jwt.ReasonSignature)

	source.err = &jwks.UnavailableError{RetryAfter: time.Second, Err: jwks.ErrBusy}
	_, err = newVerifier(t, issuer).Verify(context.Background(), token)
	requireReason(t, err, jwt.ReasonKeysUnavailable)
	source.err = &jwks.UnavailableError{RetryAfter: time.Second, Err: errors.New("down")}
	_, err = newVerifier(t, issuer).Verify(context.Background(), token)
	requireReason(t, err, jwt.ReasonSignature)
	source.err = nil

	source.old = keysOf("p256")
	source.asked = 0
	_, err = newVerifier(t, issuer).Verify(context.Background(), token)
	require.NoError(t, err)
	require.Zero(t, source.asked, "good keys are not asked for twice")
}
