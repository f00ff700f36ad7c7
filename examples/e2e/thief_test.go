//go:build e2e && unix

package e2e

import (
	"bytes"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// A thief has read everything on the wire, and has a key of its own.
type thief struct {
	wire *wire
	key  *mcpauthtest.DPoPKey
	loot passage // the last request with a token that went through
}

// newThief steals a request with one of these answers.
func newThief(t *testing.T, w *wire, status int) *thief {
	t.Helper()
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	th := &thief{wire: w, key: key}
	for _, p := range w.passages() {
		if p.method == http.MethodPost && p.status == status && p.sent.Get("Authorization") != "" {
			th.loot = p
		}
	}
	require.NotZero(t, th.loot.status, "nothing worth stealing")
	return th
}

// send repeats the stolen request with the stolen token under a scheme and with a proof, or with none. It does not go through the wire.
func (th *thief) send(t *testing.T, scheme, proof string) passage {
	t.Helper()
	resource, err := url.Parse(th.wire.resource)
	require.NoError(t, err)
	address := th.wire.server.Load().JoinPath(pathMCP).String()
	req, err := http.NewRequestWithContext(within(t), th.loot.method, address, bytes.NewReader(th.loot.body))
	require.NoError(t, err)
	_, token := th.loot.credentials()
	req.Host, req.Header = resource.Host, th.loot.sent.Clone()
	req.Header.Set("Authorization", scheme+" "+token)
	req.Header.Del("Dpop")
	if proof != "" {
		req.Header.Set("Dpop", proof)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return passage{req.Method, req.Header, th.loot.body, res.StatusCode, res.Header}
}

// forge makes a proof that is right in all but its key.
func (th *thief) forge(nonce string) string {
	_, token := th.loot.credentials()
	return th.key.Proof(th.loot.method, th.wire.resource, token, nonce)
}

// requireThievesGetNothing tries what somebody can do with a request that another sent, and returns the reasons that the log must give.
func requireThievesGetNothing(t *testing.T, w *wire, mode string) (reasons []string) {
	t.Helper()
	th := newThief(t, w, http.StatusOK)
	sent, nonce := th.loot.sent.Get("Dpop"), th.loot.proof(t).Nonce
	downgrade := map[string]string{"optional": "dpop_downgrade", "required": "dpop_required"}[mode]
	both, bound := []string{"Bearer", "DPoP"}, []string{"DPoP"}
	for _, attempt := range []struct {
		name, scheme, proof string
		code, reason        string
		blamed              []string // lines with the error, of those that the mode offers
	}{
		{"DPOP-13 the whole request once more", "DPoP", sent, "invalid_dpop_proof", "proof_replayed", bound},
		{"DPOP-10 the token as a bearer token", "Bearer", "", "invalid_token", downgrade, both},
		{"DPOP-10 the token as a bearer token, beside its proof", "Bearer", sent, "invalid_token", downgrade, both},
		{"DPOP-01 the token without a proof", "DPoP", "", "invalid_dpop_proof", "proof_count", bound},
		{"DPOP-08 the token with a proof by another key", "DPoP", th.forge(nonce), "invalid_token", "proof_key_binding", bound},
		{"DPOP-20 the same without a nonce", "DPoP", th.forge(""), "invalid_token", "proof_key_binding", bound},
	} {
		p := th.send(t, attempt.scheme, attempt.proof)
		require.Equal(t, http.StatusUnauthorized, p.status, attempt.name)
		requireChallenges(t, w, mode, p, attempt.code, attempt.blamed...)
		reasons = append(reasons, attempt.reason)
	}
	return reasons
}
