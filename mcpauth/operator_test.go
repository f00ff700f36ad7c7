package mcpauth_test

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// What operators break, and whether the log names it: each of these lines was once read by somebody who did not know why.

func TestOperator_AnExpiredKeyIsNamed(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("files_")
	var log audit
	h, _, clock := keyServer(t, mcpauth.APIKeys{Prefix: "files_", Keys: []mcpauth.APIKey{
		{Hash: hash, Owner: "bob", Name: "backup", Scopes: []string{"mcp:read"}, Expiry: epoch.Add(time.Hour)},
	}}, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	clock.advance(2 * time.Hour)
	require.Equal(t, 401, serve(h, with(post(call("whoami"), ""), "X-Api-Key", key)).Code)
	d := log.take()[0]
	require.Equal(t, mcpauth.ReasonTokenExpired, d.Reason)
	require.Equal(t, "bob", d.Principal.Subject(), "whose key it is")
	require.Equal(t, "backup", d.Principal.ClientID(), "and which")
	require.Equal(t, "some that ended at "+epoch.Add(time.Hour).UTC().Format(time.RFC3339), d.Got)
	require.Equal(t, "give the caller new credentials, or these a later Expiry where they are kept", d.Cure)
}

func TestOperator_AKeyThatIsNoneIsNotNothing(t *testing.T) {
	_, hash := mcpauth.NewAPIKey("files_")
	var log audit
	h, _, _ := keyServer(t, mcpauth.APIKeys{Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "bob", Name: "backup"}}},
		func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })

	plain := serve(h, post(call("whoami"), ""))
	nothing := log.take()[0]
	require.Equal(t, "none", nothing.Got)
	require.Contains(t, nothing.Cure, "removes it", "a proxy that strips the header looks like this")

	other := serve(h, with(post(call("whoami"), ""), "X-Api-Key", "mails_0123456789"))
	require.Equal(t, plain.Header(), other.Header(), "the client is told the same")
	d := log.take()[0]
	require.Equal(t, mcpauth.ReasonNoCredentials, d.Reason)
	require.Equal(t, "something in such a header that nobody takes for his own", d.Got)
	require.Contains(t, d.Cure, "APIKeys.Prefix")
}

func TestOperator_WhoSendsBadCredentialsBehindAProxy(t *testing.T) {
	var log logBuffer
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Logger = log.logger()
		cfg.Limits = mcpauth.Limits{Failures: mcpauth.Rate{Events: 1, Per: time.Minute},
			Proxies: mcpauth.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}}
	})
	h := auth.Wrap(&spy{})
	for _, tt := range []struct{ name, peer, forwarded, want string }{
		{"the proxy says so", "10.0.0.1:1", "203.0.113.1, 198.51.100.7", "client_address=198.51.100.7"},
		{"nobody else is believed", "10.0.0.2:1", "198.51.100.7", ""},
		{"no proxy", "192.0.2.1:1", "", ""},
		{"it says nothing", "10.0.0.1:1", "", `client_address_unknown="no address: the peer is a trusted proxy and sent no X-Forwarded-For"`},
		{"it says no address", "10.0.0.1:1", "somebody", `client_address_unknown="what a trusted proxy wrote into X-Forwarded-For is not an address"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log.Reset()
			r := post(rpc("ping", nil), "x.y.z")
			if r.RemoteAddr = tt.peer; tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			serve(h, r)
			require.Contains(t, log.String(), "remote="+tt.peer)
			if tt.want == "" {
				require.NotContains(t, log.String(), "client_address")
				return
			}
			require.Contains(t, log.String(), tt.want)
			require.NotContains(t, log.String(), "203.0.113.1", "what the client wrote itself")
			require.NotContains(t, log.String(), "somebody")
		})
	}
}

func TestOperator_WhatCameInPlaceOfJSON(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	h := auth.Wrap(&spy{})
	for _, tt := range []struct {
		name, header string
		values       []string
		want         string
	}{
		{"nothing", "Content-Type", nil, "no Content-Type"},
		{"a form", "Content-Type", []string{"text/plain"}, "text/plain"},
		{"two", "Content-Type", []string{"application/json", "text/plain"}, "several Content-Type fields"},
		{"compressed", "Content-Encoding", []string{"gzip"}, "application/json with Content-Encoding gzip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, 415, serve(h, with(post(rpc("ping", nil), is.token(t)), tt.header, tt.values...)).Code)
			d := log.take()[0]
			require.Equal(t, mcpauth.ReasonContentType, d.Reason)
			require.Equal(t, tt.want, d.Got)
		})
	}
}

// Replicas with different files decide differently; the log says which file each has.
func TestOperator_WhichPolicyAReplicaHas(t *testing.T) {
	one, two := `{"version":1,"tools":{"whoami":"authenticated"}}`, `{"version":1,"tools":{"whoami":"never"}}`
	sum := func(s string) string { return fmt.Sprintf("policy_sha256=%x", sha256.Sum256([]byte(s))) }
	is := newIssuer(t)
	path := filepath.Join(t.TempDir(), "policy.json")
	require.NoError(t, os.WriteFile(path, []byte(one), 0o600))
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Logger = log.logger() })
		require.NoError(t, auth.LoadPolicyFile(path))
		serve(auth.Wrap(&spy{}), post(rpc("ping", nil), ""))
		require.Contains(t, log.String(), sum(one), "in the summary of the first request")

		go auth.WatchPolicyFile(t.Context(), path, time.Second)
		time.Sleep(1500 * time.Millisecond)
		require.NotContains(t, log.String(), sum(two))
		require.NoError(t, os.WriteFile(path, []byte(two), 0o600))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Contains(t, log.String(), sum(two), "and whenever it was loaded anew")
	})
}
