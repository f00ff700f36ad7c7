package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	auth0 "github.com/auth0/go-jwt-middleware/v3"

	"github.com/go-mcpauth/sdk/examples/bench/internal/peers"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// BenchmarkDPoP sends a new proof with every request, for tokens that mcpauth has seen before and for new
// ones. Tokens and proofs are signed with the same algorithm. auth0 remembers neither tokens nor proofs:
// it lets a proof be used again, and mcpauth's memory of used proofs has no counterpart in its figures.
// Targets for x-verify, which is one check of a signature by Go's crypto: 1.2 for ES256 and tokens seen
// before, 2.5 for new ones.
func BenchmarkDPoP(b *testing.B) {
	for _, tokens := range []struct {
		name          string
		count, cached int
	}{{"new", manyTokens, fewTokens}, {"seen", 1, 0}} {
		for _, alg := range algorithms {
			b.Run(tokens.name+"/"+alg, func(b *testing.B) {
				in, holder := newIssuer(b, alg), newClient(b, alg)
				s := newStock(holder, mint(b, in, holder.Thumbprint(), tokens.count))
				h, peer := newDriver(protect(b, in.Key(), tokens.cached)), newDriver(withAuth0(b, in.Key(), auth0.DPoPRequired))
				ours := contender{"mcpauth", func() { h.must(s.next()) }, s.need}
				theirs, used := contender{name: "auth0"}, 0
				theirs.send = func() {
					peer.must(s.at(used % len(s.proofs)))
					used++
				}
				b.ReportAllocs()
				for b.Loop() {
					if s.used == len(s.proofs) {
						b.StopTimer()
						s.need(256)
						b.StartTimer()
					}
					ours.send()
				}
				verify := contender{"verify", rawVerify(b, s.proofs[0], holder), nil}
				compare(b, ours, theirs, verify)
				b.ReportMetric(testing.AllocsPerRun(50, theirs.send), "auth0-allocs")
			})
		}
	}
}

func TestEveryHandlerVerifiesProofs(t *testing.T) {
	in, holder := newIssuer(t, "ES256"), newClient(t, "ES256")
	token := mint(t, in, holder.Thumbprint(), 1)[0]
	proof := func(key client, edit func(header, claims map[string]any)) string {
		p := key.NewProof(http.MethodDelete, resource, token, "")
		edit(p.Header, p.Claims)
		return key.Sign(p)
	}
	bad := map[string]string{
		"none":              "",
		"not a proof":       token,
		"damaged signature": damage(proof(holder, func(_, _ map[string]any) {})),
		"another key":       proof(newClient(t, "ES256"), func(_, _ map[string]any) {}),
		"the key of another": proof(newClient(t, "ES256"), func(header, _ map[string]any) {
			header["jwk"] = holder.PublicJWK()
		}),
		"another type":   proof(holder, func(header, _ map[string]any) { header["typ"] = "JWT" }),
		"another method": proof(holder, func(_, claims map[string]any) { claims["htm"] = http.MethodGet }),
		"another URL":    proof(holder, func(_, claims map[string]any) { claims["htu"] = "https://other.example.com/mcp" }),
		"another token":  proof(holder, func(_, claims map[string]any) { claims["ath"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) }),
		"too old":        proof(holder, func(_, claims map[string]any) { claims["iat"] = time.Now().Add(-time.Hour).Unix() }),
		"no jti":         proof(holder, func(_, claims map[string]any) { delete(claims, "jti") }),
	}
	for name, h := range map[string]http.Handler{"mcpauth": protect(t, in.Key(), 0), "auth0": withAuth0(t, in.Key(), auth0.DPoPRequired)} {
		t.Run(name, func(t *testing.T) {
			good := holder.Proof(http.MethodDelete, resource, token, "")
			if status := newDriver(h).do("DPoP "+token, good); status != http.StatusOK {
				t.Errorf("a good proof was answered %d", status)
			}
			for what, proof := range bad {
				if status := newDriver(h).do("DPoP "+token, proof); status != http.StatusUnauthorized && status != http.StatusBadRequest {
					t.Errorf("%s was answered %d", what, status)
				}
			}
			// The difference that the figures do not show.
			again, want := newDriver(h).do("DPoP "+token, good), http.StatusUnauthorized
			if name == "auth0" {
				want = http.StatusOK
			}
			if again != want {
				t.Errorf("a proof that was used before was answered %d instead of %d", again, want)
			}
		})
	}
}

// damage changes one byte in the middle of the signature.
func damage(proof string) string {
	at := strings.LastIndexByte(proof, '.') + 20
	other := "A"
	if proof[at] == 'A' {
		other = "B"
	}
	return proof[:at] + other + proof[at+1:]
}

// A client makes proofs.
type client struct {
	*mcpauthtest.DPoPKey
	public crypto.PublicKey
}

func newClient(tb testing.TB, alg string) client {
	private, err := peers.NewKey(alg)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := mcpauthtest.NewDPoPKeyFrom(alg, private)
	if err != nil {
		tb.Fatal(err)
	}
	return client{key, private.Public()}
}

// A stock of proofs, made beforehand in the order of the tokens: for mcpauth each is good once.
type stock struct {
	client
	tokens, fields []string
	proofs         []string
	used           int
}

func newStock(c client, tokens []string) *stock {
	s := &stock{client: c, tokens: tokens}
	for _, token := range tokens {
		s.fields = append(s.fields, "DPoP "+token)
	}
	s.need(1)
	return s
}

// need makes sure that there are n unused proofs.
func (s *stock) need(n int) {
	for len(s.proofs) < s.used+n {
		token := s.tokens[len(s.proofs)%len(s.tokens)]
		s.proofs = append(s.proofs, s.Proof(http.MethodDelete, resource, token, ""))
	}
}

func (s *stock) next() (authorization, proof string) {
	s.used++
	return s.at(s.used - 1)
}

func (s *stock) at(i int) (authorization, proof string) {
	return s.fields[i%len(s.fields)], s.proofs[i]
}

// rawVerify is the check of one proof's signature by Go's crypto, hash included: what no DPoP check can
// do without.
func rawVerify(tb testing.TB, proof string, holder client) func() {
	dot := strings.LastIndexByte(proof, '.')
	input := proof[:dot]
	sig, err := base64.RawURLEncoding.DecodeString(proof[dot+1:])
	if err != nil {
		tb.Fatal(err)
	}
	good := func() bool { return false }
	switch public := holder.public.(type) {
	case *ecdsa.PublicKey:
		if sig, err = asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])}); err != nil {
			tb.Fatal(err)
		}
		good = func() bool {
			digest := sha256.Sum256([]byte(input))
			return ecdsa.VerifyASN1(public, digest[:], sig)
		}
	case *rsa.PublicKey:
		good = func() bool {
			digest := sha256.Sum256([]byte(input))
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig) == nil
		}
	case ed25519.PublicKey:
		good = func() bool { return ed25519.Verify(public, []byte(input), sig) }
	}
	return func() {
		if !good() {
			panic(errors.New("a good signature was refused"))
		}
	}
}
