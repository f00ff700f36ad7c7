package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// TOK-21: a revocation counts with the next request, although the token is remembered.
func TestTOK21_Revocations(t *testing.T) {
	is := newIssuer(t)
	until := epoch.Add(time.Hour)
	for name, tt := range map[string]struct {
		revoke mcpauth.Revocation
		gone   []claims
		stay   []claims
	}{
		"one token": {
			mcpauth.Revocation{JWTID: "1"}, []claims{{}, {"sub": "uma"}}, []claims{{"jti": "2"}, {"jti": nil}, {"sub": "1", "jti": "2"}},
		},
		"a session": {
			mcpauth.Revocation{SessionID: "s"}, []claims{{"sid": "s"}, {"sid": "s", "sub": "uma"}}, []claims{{}, {"sid": "S"}, {"jti": "s"}},
		},
		"a user": {
			mcpauth.Revocation{Subject: "ada"}, []claims{{}, {"client_id": "other"}}, []claims{{"sub": "uma"}, {"sub": "uma", "client_id": "ada"}},
		},
		"an application": {
			mcpauth.Revocation{ClientID: "app"}, []claims{{}, {"sub": "uma"}}, []claims{{"client_id": "other"}, {"client_id": "other", "sub": "app2"}},
		},
		"everything before": {
			mcpauth.Revocation{IssuedBefore: epoch.Add(time.Minute)}, []claims{{}, {"iat": nil}, {"iat": epoch.Unix() + 59}}, []claims{{"iat": epoch.Unix() + 60}, {"iat": epoch.Unix() + 61}},
		},
		"a user before": {
			mcpauth.Revocation{Subject: "ada", IssuedBefore: epoch.Add(time.Minute)}, []claims{{}, {"iat": nil}}, []claims{{"sub": "uma"}, {"iat": epoch.Unix() + 60}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log audit
			clock := newClock()
			clock.advance(time.Minute + time.Second)
			list := mcpauth.NewRevocations(nil, clock.Now)
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Revoked, cfg.Now, cfg.OnDecision = list.Revoked, clock.Now, log.add
			})
			h := auth.Wrap(&spy{})
			status := func(c claims) int { return serve(h, post(rpc("ping", nil), is.token(t, c))).Code }
			for _, c := range append(tt.gone, tt.stay...) {
				require.Equal(t, http.StatusOK, status(c))
			}
			tt.revoke.Issuer, tt.revoke.Until = is.URL, until
			other := tt.revoke
			other.Issuer = "https://other.example"
			require.NoError(t, list.Revoke(t.Context(), other))
			for _, c := range tt.gone {
				require.Equal(t, http.StatusOK, status(c), "a revocation of another issuer")
			}
			require.NoError(t, list.Revoke(t.Context(), tt.revoke))
			log.take()
			for _, c := range tt.gone {
				require.Equal(t, http.StatusUnauthorized, status(c), c)
				require.Equal(t, mcpauth.ReasonRevoked, log.take()[0].Reason)
			}
			for _, c := range tt.stay {
				require.Equal(t, http.StatusOK, status(c), c)
			}
		})
	}
}

func TestRevocations_LaterOnesAddUp(t *testing.T) {
	clock := newClock()
	list := mcpauth.NewRevocations(nil, clock.Now)
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	p := principalOf(t, auth, is.token(t))
	revoked := func() bool {
		gone, err := list.Revoked(t.Context(), p)
		require.NoError(t, err)
		return gone
	}
	require.False(t, revoked())
	whole := mcpauth.Revocation{Issuer: is.URL, Subject: "ada", Until: epoch.Add(time.Hour)}
	require.NoError(t, list.Revoke(t.Context(), whole))
	weaker := whole
	weaker.IssuedBefore, weaker.Until = epoch.Add(-time.Hour), epoch.Add(time.Minute)
	require.NoError(t, list.Revoke(t.Context(), weaker))
	require.True(t, revoked(), "a weaker one takes nothing back")
	clock.advance(time.Hour - time.Second)
	require.True(t, revoked(), "nor sooner")
	clock.advance(time.Second)
	require.False(t, revoked(), "it is forgotten when its time is up")
}

// The longer of two counts; one that is over has no part in the next.
func TestRevocations_OneAfterAnother(t *testing.T) {
	clock := newClock()
	list := mcpauth.NewRevocations(nil, clock.Now)
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	p := principalOf(t, auth, is.token(t, claims{"iat": epoch.Unix()}))
	revoke := func(before time.Time, until time.Duration) {
		require.NoError(t, list.Revoke(t.Context(), mcpauth.Revocation{Issuer: is.URL, Subject: "ada", IssuedBefore: before, Until: epoch.Add(until)}))
	}
	revoked := func() bool {
		gone, err := list.Revoked(t.Context(), p)
		require.NoError(t, err)
		return gone
	}
	revoke(time.Time{}, time.Minute)
	revoke(time.Time{}, time.Hour)
	clock.advance(30 * time.Minute)
	require.True(t, revoked(), "the later end counts")
	clock.advance(30 * time.Minute)
	require.False(t, revoked())
	revoke(epoch, 2*time.Hour)
	require.False(t, revoked(), "issued at that time, and the one that spared nothing is over")
	revoke(epoch.Add(time.Second), 2*time.Hour)
	require.True(t, revoked())
}

// Issuer, kind and name cannot be taken for one another, however they are written.
func TestRevocations_OfOneIssuerOnly(t *testing.T) {
	revoked := func(r mcpauth.Revocation, i mcpauth.Identity) bool {
		list := mcpauth.NewRevocations(nil, newClock().Now)
		r.Until = epoch.Add(time.Hour)
		require.NoError(t, list.Revoke(t.Context(), r))
		gone, err := list.Revoked(t.Context(), mcpauth.NewPrincipal(i))
		require.NoError(t, err)
		return gone
	}
	require.True(t, revoked(mcpauth.Revocation{Issuer: "urn:a", Subject: "x"}, mcpauth.Identity{Issuer: "urn:a", Subject: "x"}))
	require.False(t, revoked(mcpauth.Revocation{Issuer: "urn:a", Subject: "x"}, mcpauth.Identity{Issuer: "urn:b", Subject: "x"}), "of the same length")
	for kind := range byte(8) {
		tail := string(kind) + "y"
		require.False(t, revoked(mcpauth.Revocation{Issuer: "urn:a", Subject: "x" + tail}, mcpauth.Identity{Issuer: "urn:a" + string(kind) + "x", Subject: "y"}), kind)
	}
	require.False(t, revoked(mcpauth.Revocation{Issuer: "urn:a", Subject: "x"}, mcpauth.Identity{Issuer: "urn:a", Subject: "y", ClientID: "x"}))
}

// What is forgotten makes room, and nothing else is forgotten.
func TestRevocations_Memory(t *testing.T) {
	clock := newClock()
	list := mcpauth.NewRevocations(nil, clock.Now)
	for i := range 5000 {
		until := epoch.Add(time.Minute)
		if i%5 == 0 {
			until = epoch.Add(time.Hour)
		}
		require.NoError(t, list.Revoke(t.Context(), mcpauth.Revocation{Issuer: "https://i", Subject: fmt.Sprint(i), Until: until}))
		if i == 2500 {
			clock.advance(30 * time.Second)
		}
	}
	clock.advance(time.Minute)
	require.NoError(t, list.Revoke(t.Context(), mcpauth.Revocation{Issuer: "https://i", Subject: "last", Until: epoch.Add(time.Hour)}))
	for i := range 5000 {
		gone, err := list.Revoked(t.Context(), mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://i", Subject: fmt.Sprint(i)}))
		require.NoError(t, err)
		require.Equal(t, i%5 == 0, gone, i)
	}
}

func TestRevocations_Mistakes(t *testing.T) {
	list := mcpauth.NewRevocations(nil, newClock().Now)
	good := mcpauth.Revocation{Issuer: "https://i", JWTID: "1", Until: epoch.Add(time.Second)}
	require.NoError(t, list.Revoke(t.Context(), good))
	for want, change := range map[string]func(*mcpauth.Revocation){
		"Issuer is empty":         func(r *mcpauth.Revocation) { r.Issuer = "" },
		"at most one":             func(r *mcpauth.Revocation) { r.Subject = "ada" },
		"it names no tokens":      func(r *mcpauth.Revocation) { r.JWTID = "" },
		"Until is empty or past":  func(r *mcpauth.Revocation) { r.Until = epoch },
		"IssuedBefore is no date": func(r *mcpauth.Revocation) { r.IssuedBefore = time.Unix(0, 0) },
		"Before is no date of a":  func(r *mcpauth.Revocation) { r.IssuedBefore = time.Unix(1<<62, 0) },
	} {
		r := good
		change(&r)
		require.ErrorContains(t, list.Revoke(t.Context(), r), want)
	}
	require.NoError(t, mcpauth.NewRevocations(nil, nil).Revoke(t.Context(), mcpauth.Revocation{Issuer: "https://i", JWTID: "1", Until: time.Now().Add(time.Hour)}))
	var none *mcpauth.Revocations
	for _, list := range []*mcpauth.Revocations{none, {}} {
		require.Error(t, list.Revoke(t.Context(), good))
		gone, err := list.Revoked(t.Context(), adas())
		require.ErrorIs(t, err, mcpauth.ErrUnavailable)
		require.False(t, gone, "nobody knows")
	}
}

// A storeOf answers as a test likes.
type storeOf struct {
	before []int64
	err    error
}

func (s storeOf) Put(context.Context, mcpauth.RevocationID, int64, time.Time) error { return s.err }
func (s storeOf) Find(ctx context.Context, _ []mcpauth.RevocationID) ([]int64, error) {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > 2*time.Second {
		panic("nobody waits longer than 2 s")
	}
	return s.before, s.err
}

// A store that cannot tell lets nobody in: 503, and the client keeps its token.
func TestRevocations_StoreInTrouble(t *testing.T) {
	is := newIssuer(t)
	for _, store := range []storeOf{
		{err: errors.New("out of reach")}, {before: []int64{0, 0, 0, 0}, err: errors.New("out of reach")}, {before: []int64{0}}, {before: make([]int64, 9)}, {},
	} {
		list := mcpauth.NewRevocations(store, newClock().Now)
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Revoked = list.Revoked })
		w := serve(auth.Wrap(&spy{}), post(rpc("ping", nil), is.token(t)))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		gone, err := list.Revoked(t.Context(), adas())
		require.ErrorIs(t, err, mcpauth.ErrUnavailable)
		require.False(t, gone)
	}
	list := mcpauth.NewRevocations(storeOf{err: errors.New("out of reach")}, newClock().Now)
	err := list.Revoke(t.Context(), mcpauth.Revocation{Issuer: "https://i", JWTID: "1", Until: epoch.Add(time.Second)})
	require.ErrorContains(t, err, "out of reach")
}
