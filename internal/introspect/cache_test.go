package introspect_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/introspect"
)

// until is an active answer that ends so long after now.
func until(d time.Duration) string {
	return fmt.Sprintf(`{"active":true,"sub":"ada","exp":%d}`, time.Now().Add(d).Unix())
}

func TestINTRO07RevocationIsNoticedWithinMaxAge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		maxAge time.Duration
		body   func() string
		last   time.Duration // how long the answer is used
	}{
		{"a minute unless told otherwise", 0, func() string { return good }, time.Minute},
		{"as long as told", 10 * time.Second, func() string { return good }, 10 * time.Second},
		{"never past exp", time.Hour, func() string { return until(20 * time.Second) }, 20 * time.Second},
		{"never past an exp with a fraction", time.Hour, func() string { return strings.Replace(until(20*time.Second), "}", ".9}", 1) }, 20 * time.Second},
		{"without exp", 0, func() string { return `{"active":true}` }, time.Minute},
		{"exp beyond every date", 0, func() string { return `{"active":true,"exp":1e400}` }, time.Minute},
		{"not at all when switched off", -1, func() string { return good }, 0},
		{"not at all when expired", 0, func() string { return until(-time.Second) }, 0},
		{"not at all when exp is a string", 0, func() string { return `{"active":true,"exp":"4102444800"}` }, 0},
		{"not at all when exp is before every date", 0, func() string { return `{"active":true,"exp":-1e400}` }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now() // a whole second
				r := newRemote(says(200, tt.body()))
				c := newClient(t, introspect.Config{Fetch: r.client(), MaxAge: tt.maxAge})
				a, err := c.Ask(t.Context(), token, hashOf(token))
				require.NoError(t, err)
				require.False(t, a.Until.After(began.Add(tt.last)), "Until %v", a.Until)
				r.set(says(200, bad))
				if tt.last == 0 {
					_, refusal := ask(t, c, t.Context(), token)
					require.Equal(t, introspect.ReasonInactive, refusal.Reason)
					require.Equal(t, 2, r.asked())
					return
				}
				time.Sleep(time.Until(began.Add(tt.last - time.Millisecond)))
				_, refusal := ask(t, c, t.Context(), token)
				require.Nil(t, refusal)
				require.Equal(t, 1, r.asked())
				time.Sleep(time.Millisecond)
				_, refusal = ask(t, c, t.Context(), token)
				require.Equal(t, introspect.ReasonInactive, refusal.Reason, "used for too long")
				require.Equal(t, 2, r.asked())
			})
		})
	}
}

func TestINTRO07AnswersOfTwoTokensAndClientsAreKeptApart(t *testing.T) {
	r := quickRemote(func(form string) (*http.Response, error) {
		if strings.Contains(form, "token=one") {
			return says(200, `{"active":true,"sub":"one"}`)("")
		}
		return says(200, bad)("")
	})
	c, d := newClient(t, introspect.Config{Fetch: r.client()}), newClient(t, introspect.Config{Fetch: r.client()})
	for range 2 {
		claims, _ := ask(t, c, t.Context(), "one")
		require.Equal(t, "one", claims["sub"])
		_, refusal := ask(t, c, t.Context(), "two")
		require.Equal(t, introspect.ReasonInactive, refusal.Reason)
	}
	require.Equal(t, 2, r.asked())
	_, _ = ask(t, d, t.Context(), "one")
	require.Equal(t, 3, r.asked(), "a client of another resource asks itself")
}

func TestINTRO08OnlyInactiveIsRememberedOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(says(200, bad))
		c := newClient(t, introspect.Config{Fetch: r.client()})
		for range 5 {
			_, refusal := ask(t, c, t.Context(), token)
			require.Equal(t, introspect.ReasonInactive, refusal.Reason)
		}
		require.Equal(t, 1, r.asked())
		time.Sleep(5 * time.Second)
		r.set(says(200, good))
		_, refusal := ask(t, c, t.Context(), token)
		require.Nil(t, refusal)
		require.Equal(t, 2, r.asked())

		for i, body := range []func(string) (*http.Response, error){says(200, `{}`), says(500, ""), says(401, ""), says(429, "")} {
			r.set(body)
			other := fmt.Sprint("other", i)
			_, refusal = ask(t, c, t.Context(), other)
			require.True(t, refusal.Unavailable)
			r.set(says(200, good))
			_, refusal = ask(t, c, t.Context(), other)
			require.Nil(t, refusal, "an outage was remembered")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(says(200, bad))
		c := newClient(t, introspect.Config{Fetch: r.client(), MaxNegativeAge: -1})
		_, _ = ask(t, c, t.Context(), token)
		_, _ = ask(t, c, t.Context(), token)
		require.Equal(t, 2, r.asked())
	})
}

func TestInventedTokensDoNotDisplaceGoodOnes(t *testing.T) {
	r := newRemote(func(form string) (*http.Response, error) {
		if strings.Contains(form, "token="+token+"&") {
			return says(200, good)("")
		}
		return says(200, bad)("")
	})
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, introspect.Config{Fetch: r.client(), MaxEntries: 16, MaxAge: 24 * time.Hour, MaxNegativeAge: time.Minute})
		_, refusal := ask(t, c, t.Context(), token)
		require.Nil(t, refusal)
		for i := range 5000 {
			_, _ = ask(t, c, t.Context(), fmt.Sprint("invented", i))
		}
		asked := r.asked()
		_, refusal = ask(t, c, t.Context(), token)
		require.Nil(t, refusal)
		require.Equal(t, asked, r.asked())
	})
}

func TestAClockThatIsSetBackMakesNothingLast(t *testing.T) {
	now := testNow
	r := quickRemote(says(200, `{"active":true}`))
	c := newClient(t, introspect.Config{Fetch: r.client(), Now: func() time.Time { return now }})
	_, refusal := ask(t, c, t.Context(), token)
	require.Nil(t, refusal)
	now = now.Add(-24 * time.Hour)
	r.set(says(200, bad))
	_, refusal = ask(t, c, t.Context(), token)
	require.Equal(t, introspect.ReasonInactive, refusal.Reason)
	now = now.Add(-24 * time.Hour)
	r.set(says(200, good))
	_, refusal = ask(t, c, t.Context(), token)
	require.Nil(t, refusal)
	require.Equal(t, 3, r.asked())
}
