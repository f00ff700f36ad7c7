package devas

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/stretchr/testify/require"
)

// The bounds of the store that one caller must not use up for others. They are too large to reach them through the endpoints in every run.

func grantFor(t *testing.T, s *store, id string, change func(*goidc.Grant)) {
	t.Helper()
	g := &goidc.Grant{ID: id, ClientID: "agent"}
	if change != nil {
		change(g)
	}
	require.NoError(t, s.SaveGrant(context.Background(), g))
}

func TestAS05_AgentsDoNotPushOutTheGrantsOfPeople(t *testing.T) {
	now := time.Now()
	s := newStore(func() time.Time { return now }, "a")
	person := func(name string) func(*goidc.Grant) {
		return func(g *goidc.Grant) { g.ClientID, g.RefreshToken = "app", "refresh-"+name }
	}
	kept := func(id string) bool { _, err := s.Grant(context.Background(), id); return err == nil }

	grantFor(t, s, "first", person("first"))
	grantFor(t, s, "dead", func(g *goidc.Grant) {
		g.ClientID, g.AuthCode, g.AuthCodeExpiresAt = "app", "code", int(now.Add(-time.Second).Unix())
	})
	for i := range maxGrants - 2 {
		grantFor(t, s, fmt.Sprint("agent-", i), nil)
	}
	require.Len(t, s.grants, maxGrants)
	grantFor(t, s, "one more", nil)
	require.False(t, kept("dead"), "the dead go first")
	require.True(t, kept("agent-0"), "then nobody else has to")
	for i := range 5 {
		grantFor(t, s, fmt.Sprint("more-", i), nil)
	}
	require.Len(t, s.grants, maxGrants)
	require.True(t, kept("first"), "a person approved it")
	require.False(t, kept("agent-0"))
	require.True(t, kept("more-4"))

	t.Run("where all are of people the oldest goes", func(t *testing.T) {
		s = newStore(time.Now, "a")
		for i := range maxGrants + 1 {
			grantFor(t, s, fmt.Sprint("person-", i), person(fmt.Sprint(i)))
		}
		require.Len(t, s.grants, maxGrants)
		require.False(t, kept("person-0"))
		require.True(t, kept("person-1"))
	})
}

func TestAS35_StrangersDoNotUseUpTheIdentifiersOfAssertions(t *testing.T) {
	s := newStore(time.Now, "a")
	s.pinClient(&clientRecord{client: &goidc.Client{ID: "agent"}, bound: &configuredBound{all: true}})
	from := func(client string) context.Context {
		return withFacts(context.Background(), facts{endpoint: pathToken, clientID: client})
	}
	stranger, agent := from("https://evil.example/client"), from("agent")
	require.NoError(t, s.consumeJTI(from("https://app.example.com/client"), "0"))
	for i := range maxJTIs - 1 {
		require.NoError(t, s.consumeJTI(stranger, fmt.Sprint(i)), "identifiers are each client's own")
	}
	require.ErrorIs(t, s.consumeJTI(stranger, "another"), errReplayed, "forgetting one would allow a replay")
	require.NoError(t, s.consumeJTI(agent, "7"), "a stranger cannot guess what others will send, and use it first")
	require.ErrorIs(t, s.consumeJTI(agent, "7"), errReplayed)
	require.NoError(t, s.consumeJTI(agent, "another"))
}
