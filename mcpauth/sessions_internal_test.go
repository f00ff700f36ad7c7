package mcpauth

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func caller(subject, client string) *Principal {
	return &Principal{
		issuer: "https://as.example", subject: subject, clientID: client, hasSubject: true,
		id: principalID("https://as.example", subject, client),
	}
}

func TestSessions_AreBoundedInNumber(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	ada, eve := caller("ada", "app"), caller("eve", "app")
	refusesEve := func(id string) bool {
		_, another := s.holder(id, eve.sessionOwner(false), now)
		return another
	}
	for i := range maxSessions {
		s.bind(fmt.Sprint(i), ada, false, now)
	}
	require.True(t, refusesEve("0"))
	require.True(t, refusesEve("1"))
	_, another := s.holder("0", ada.sessionOwner(false), now) // so it is no longer the oldest
	require.False(t, another)
	require.True(t, refusesEve("1"), "what others try is no use of the session")

	s.bind("one more", eve, false, now)
	require.Equal(t, maxSessions, s.used.Len())
	require.Len(t, s.known, maxSessions)
	require.True(t, refusesEve("0"))
	require.False(t, refusesEve("1"), "the one that was not used for longest is forgotten")
	require.True(t, refusesEve("2"))
	require.False(t, refusesEve("one more"))

	s.ending("0")
	require.True(t, refusesEve("0"), "the server may have refused to end it")
	s.bind("another", eve, false, now)
	require.False(t, refusesEve("0"), "but it goes first")
	require.True(t, refusesEve("2"))
	require.Equal(t, maxSessions, s.used.Len())
}

func TestSessions_AreForgottenWhenIdle(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	ada, eve := caller("ada", "app"), caller("eve", "app")
	s.bind("a", ada, false, now)
	s.bind("b", ada, false, now)
	s.bind("c", ada, false, now)

	now = now.Add(sessionIdle)
	_, another := s.holder("a", eve.sessionOwner(false), now)
	require.True(t, another)
	_, another = s.holder("a", ada.sessionOwner(false), now)
	require.False(t, another)
	s.bind("b", ada, false, now) // named by the end of a long stream

	now = now.Add(1)
	for id, known := range map[string]bool{"a": true, "b": true, "c": false} {
		_, another = s.holder(id, eve.sessionOwner(false), now)
		require.Equal(t, known, another, id)
	}
	now = now.Add(sessionIdle)
	s.bind("d", ada, false, now)
	require.Equal(t, 1, s.used.Len(), "what is idle leaves when something comes")
	require.Len(t, s.known, 1)
}

func TestSessions_NeverChangeHands(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	ada, eve := caller("ada", "app"), caller("eve", "app")
	s.bind("a", ada, false, now)
	s.bind("a", eve, false, now)
	user, another := s.holder("a", eve.sessionOwner(false), now)
	require.True(t, another)
	require.Equal(t, ada.sessionOwner(true), user)
	require.NotEqual(t, caller("ada", "other").sessionOwner(false), ada.sessionOwner(false))
	user, _ = s.holder("a", caller("ada", "other").sessionOwner(false), now)
	require.Equal(t, caller("ada", "other").sessionOwner(true), user, "the same user through another client")
}

// SEC-09, threat 72: of many callers who are told of one session at once, one has it.
func TestSessions_Concurrently(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	for round := range 200 {
		id := fmt.Sprint(round)
		var owners atomic.Int32
		var begin, bound, done sync.WaitGroup
		begin.Add(1)
		bound.Add(8)
		for i := range 8 {
			p := caller(fmt.Sprint(i), "app")
			done.Go(func() {
				begin.Wait()
				s.bind(id, p, false, now)
				bound.Done()
				bound.Wait()
				if _, another := s.holder(id, p.sessionOwner(false), now); !another {
					owners.Add(1)
				}
				s.ending(id)
			})
		}
		begin.Done()
		done.Wait()
		require.EqualValues(t, 1, owners.Load())
	}
}

func BenchmarkSessions(b *testing.B) {
	var s sessions
	now := time.Unix(1e9, 0)
	ada := caller("ada", "app")
	for i := range maxSessions {
		s.bind(fmt.Sprint(i), ada, false, now)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, another := s.holder("7", ada.id, now); another {
			b.Fatal("refused")
		}
	}
}
