package mcpauth_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a request may allocate. The budgets leave little room on purpose: a request without credentials
// is what anyone can send in any number, and whoever adds to the way of all others should see it here.
// They hold under -race, which adds up to four where a body is read or a refusal written, and are else what
// is needed today. Targets: 3 over the bare handler for a bearer token that was seen before, 25 with DPoP.
func TestAllocationBudgets(t *testing.T) {
	bn := newBench(t)
	forgetful := newBenchOf(t, bn.keys, -1)
	tokens := bn.tokens(t, "EdDSA", 1) // its signature check allocates once, under -race too
	token := bearers(tokens)
	k := newHolder(t, "ES256") // as most clients have
	bound := bn.mint(t, "ES256", 1, k.Thumbprint())
	for _, test := range []struct {
		name         string
		bench        *bench
		method, body string
		tokens       []string // nil: none; with a proof for each request if they are bound
		status       int
		budget       float64
	}{
		{"no token, no body", bn, http.MethodGet, "", nil, http.StatusUnauthorized, 0},
		{"no token, a call", bn, http.MethodPost, call("write_note"), nil, http.StatusUnauthorized, 15},
		{"a new token, no body", forgetful, http.MethodDelete, "", token, http.StatusOK, 115},
		{"a new token, a call", forgetful, http.MethodPost, call("write_note"), token, http.StatusOK, 125},
		{"a new token, a call without its scope", forgetful, http.MethodPost, call("drop_notes"), token, http.StatusForbidden, 165},
		{"a token seen before, no body", bn, http.MethodDelete, "", token, http.StatusOK, 6},
		{"a token seen before, a call", bn, http.MethodPost, call("write_note"), token, http.StatusOK, 13},
		{"a bound token seen before, no body", bn, http.MethodDelete, "", bound, http.StatusOK, 22},
		{"a new bound token, no body", forgetful, http.MethodDelete, "", bound, http.StatusOK, 188},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDriver(test.bench.auth.Wrap(bare), test.method, test.body, test.tokens, test.status)
			if slices.Equal(test.tokens, bound) {
				d.tokens = []string{"DPoP " + bound[0]}
				d.proofs = &proofs{holder: k, tokens: bound}
				d.proofs.mint(502) // one for each request
			}
			got := testing.AllocsPerRun(500, d.send)
			t.Logf("%v allocations", got)
			require.LessOrEqual(t, got, test.budget)
		})
	}
}

// Reading and judging a body takes the same number of allocations whatever its length, up to what is allocated
// before a byte of it has come. The target is a share of time; see BenchmarkBody.
func TestAllocationBudgets_Body(t *testing.T) {
	bn := newBench(t)
	h, token := bn.auth.Wrap(bare), bearers(bn.tokens(t, "EdDSA", 1))
	count := func(method, body string) float64 {
		return testing.AllocsPerRun(500, newDriver(h, method, body, token, http.StatusOK).send)
	}
	without := count(http.MethodDelete, "")
	for _, size := range []int{1 << 10, 100 << 10} {
		got := count(http.MethodPost, noteCall(size)) - without
		t.Logf("%v allocations for %d bytes", got, size)
		require.LessOrEqual(t, got, 10.0)
	}
}

// Whatever a list holds (shown, hidden, or shown because a step-up may bring it), filtering it takes the
// new slice and nothing per item.
func TestAllocationBudgets_ListFilter(t *testing.T) {
	l := newLister(t, newBench(t), 100)
	filled := testing.AllocsPerRun(100, func() { l.list(l.tools) })
	empty := testing.AllocsPerRun(100, func() { l.list(nil) })
	require.LessOrEqual(t, filled-empty, 1.0)
}
