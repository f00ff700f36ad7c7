package mcpauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-mcpauth/sdk/scopes"
)

// BenchmarkFlood measures what a good token costs while tokens with unknown kids come in between, ten for
// each good one, against what it costs without them: the median must not move (target: at most 1.2).
func BenchmarkFlood(b *testing.B) {
	is := newIssuer(b)
	auth, clock := newAuth(b, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	unknown := make([]string, 1000)
	for i := range unknown {
		t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": is.URL, "aud": testResource, "sub": "eve", "client_id": "app", "exp": epoch.Unix() + 600,
		})
		t.Header["typ"], t.Header["alg"], t.Header["kid"] = "at+jwt", "ES256", "forged-"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))
		signed, err := t.SignedString(make([]byte, 64))
		if err != nil {
			b.Fatal(err)
		}
		unknown[i] = "Bearer " + signed
	}
	good := newDriver(h, "GET", "", bearers([]string{is.token(b)}), http.StatusOK)
	bad := newDriver(h, "GET", "", unknown, http.StatusUnauthorized)
	good.send()
	before := is.fetches.Load()
	var calm, flooded []float64
	timed := func() float64 {
		start := time.Now()
		good.send()
		return float64(time.Since(start).Nanoseconds())
	}
	b.ReportAllocs()
	for b.Loop() {
		calm = append(calm, timed())
		for range 10 {
			bad.send()
		}
		clock.advance(time.Millisecond) // a flood of 10,000 a second
		flooded = append(flooded, timed())
	}
	b.StopTimer()
	b.ReportMetric(median(flooded)/median(calm), "x-unflooded")
	seconds := clock.Now().Sub(epoch).Seconds()
	if fetches := float64(is.fetches.Load() - before); fetches > 1+seconds/10 {
		b.Fatalf("%v fetches in %v s", fetches, seconds)
	}
}
