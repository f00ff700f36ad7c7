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

// requireConsistent checks that both orders hold exactly what is known.
func (s *sessions) requireConsistent(t testing.TB, owners int) {
	t.Helper()
	require.Len(t, s.known, s.used.Len())
	require.Len(t, s.owned, owners)
	total := 0
	for owner, own := range s.owned {
		require.NotZero(t, own.Len(), "nothing is kept for those who have no session")
		require.LessOrEqual(t, own.Len(), maxOwned)
		total += own.Len()
		for e := own.Front(); e != nil; e = e.Next() {
			x := e.Value.(*session)
			require.True(t, x.user == owner && s.known[x.key] == x && x.inOwned == e && x.inUsed.Value == x)
		}
	}
	require.Equal(t, s.used.Len(), total)
}

func TestSessions_AreBoundedInNumber(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	eve := caller("eve", "app")
	refusesEve := func(id string) bool {
		_, another := s.holder(id, eve.sessionOwner(false), now)
		return another
	}
	const owners = 2 * maxSessions / maxOwned
	all := make([]*Principal, owners)
	for i := range all {
		all[i] = caller(fmt.Sprint("user-", i), "app")
	}
	for i := range maxSessions {
		s.bind(fmt.Sprint(i), all[i%owners], false, now)
	}
	require.True(t, refusesEve("0"))
	require.True(t, refusesEve("1"))
	_, another := s.holder("0", all[0].sessionOwner(false), now) // so it is no longer the oldest
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
	s.requireConsistent(t, owners+1)
}

// HTTP-13: who opens more sessions than anybody needs pushes out their own, the one that was used least
// recently first, and those of others stay theirs.
func TestHTTP13_NobodyPushesOutTheSessionsOfOthers(t *testing.T) {
	var s sessions
	now := time.Unix(1e9, 0)
	ada, eve := caller("ada", "app"), caller("eve", "app")
	holds := func(id string, p *Principal) bool { // as seen by somebody else, so that it is no use
		user, _ := s.holder(id, "somebody else", now)
		return user == p.sessionOwner(true)
	}
	s.bind("ada's", ada, false, now)
	for i := range maxOwned {
		s.bind(fmt.Sprint(i), eve, false, now)
	}
	_, another := s.holder("0", eve.sessionOwner(false), now)
	require.False(t, another)
	s.ending("7")
	for i := range 2 {
		s.bind(fmt.Sprint("more-", i), eve, false, now)
	}
	for id, kept := range map[string]bool{"0": true, "1": false, "2": true, "7": false, "8": true, "more-0": true, "more-1": true} {
		require.Equal(t, kept, holds(id, eve), id)
	}
	require.Equal(t, maxOwned+1, s.used.Len())
	for i := range maxSessions + 1 {
		s.bind(fmt.Sprint("flood-", i), eve, false, now)
	}
	require.True(t, holds("ada's", ada))
	require.False(t, holds("more-1", eve))
	require.Equal(t, maxOwned+1, s.used.Len())
	s.requireConsistent(t, 2)

	now = now.Add(sessionIdle + 1)
	s.bind("later", ada, false, now)
	require.False(t, holds("ada's", ada))
	s.requireConsistent(t, 1)
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
		p := ada
		if i >= maxOwned {
			p = caller(fmt.Sprint("user-", i%1000), "app")
		}
		s.bind(fmt.Sprint(i), p, false, now)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, another := s.holder("7", ada.id, now); another {
			b.Fatal("refused")
		}
	}
	require.Equal(b, ada.id, s.known[keyOf("7")].owner, "it was known all the time")
}

// What a caller with the most sessions pays for one more does not depend on how many there are.
func BenchmarkSessions_OneMore(b *testing.B) {
	var s sessions
	now := time.Unix(1e9, 0)
	for i := range maxSessions {
		s.bind(fmt.Sprint(i), caller(fmt.Sprint("user-", i%1000), "app"), false, now)
	}
	eve := caller("eve", "app")
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		s.bind(fmt.Sprint("more-", n), eve, false, now)
	}
}
