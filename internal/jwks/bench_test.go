package jwks_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/jwks"
)

// fixed answers every fetch with one document.
type fixed string

func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(f))), Request: r}, nil
}

func bigSet(b *testing.B, n int) (*jwks.Set, []string) {
	var keys, kids []string
	for i := range n {
		kids = append(kids, fmt.Sprintf("key-%05d-of-a-usual-length", i))
		keys = append(keys, jwkOf(newEd(), kids[i], nil))
	}
	s := jwks.New(jwks.Config{
		URI:   func(context.Context) (string, error) { return keysURL, nil },
		Fetch: fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: fixed(setOf(keys...))}}),
	})
	if err := s.Ready(context.Background()); err != nil {
		b.Fatal(err)
	}
	return s, kids
}

// verifyTime is the anchor: one raw P-256 verification in this run.
func verifyTime(b *testing.B) time.Duration {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("anchor"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	const rounds = 200
	began := time.Now()
	for range rounds {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			b.Fatal("anchor does not verify")
		}
	}
	return time.Since(began) / rounds
}

// Target 7: at most 50 ns and no allocation, flat to 1000 keys.
func BenchmarkLookup(b *testing.B) {
	anchor := verifyTime(b)
	for _, bb := range []struct {
		name      string
		keys, use int // how many there are, how many are asked for in turn
	}{
		{"keys=3", 3, 3},
		{"keys=1000", 1000, 3},
		{"keys=1000/all", 1000, 1000}, // the processor's caches miss as well
	} {
		b.Run(bb.name, func(b *testing.B) {
			s, kids := bigSet(b, bb.keys)
			kids = kids[:bb.use]
			ctx := context.Background()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				keys, err := s.Lookup(ctx, kids[i], "EdDSA")
				if err != nil || len(keys) != 1 {
					b.Fatal(err)
				}
				if i++; i == len(kids) {
					i = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(anchor.Nanoseconds()), "x-p256-verify")
		})
	}
}

func BenchmarkCurrent(b *testing.B) {
	anchor := verifyTime(b)
	s, kids := bigSet(b, 3)
	keys, err := s.Lookup(context.Background(), kids[0], "EdDSA")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !s.Current(keys[0]) {
			b.Fatal("not current")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(anchor.Nanoseconds()), "x-p256-verify")
}

// An unknown kid in the cooldown is what a flood costs.
func BenchmarkUnknownKid(b *testing.B) {
	s, _ := bigSet(b, 1000)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Lookup(ctx, "forged", "EdDSA"); err == nil {
			b.Fatal("found")
		}
	}
}

func BenchmarkParseDocument(b *testing.B) {
	doc := []byte(setOf(jwkOf(rsa2048(), "a", nil), jwkOf(ec256(), "b", nil), jwkOf(edKey(), "c", nil)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jwks.ParseDocument(doc, 10); err != nil {
			b.Fatal(err)
		}
	}
}
