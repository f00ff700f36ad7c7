package mcpauth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a request may allocate. The budgets leave little room on purpose: a request without credentials
// is what anyone can send in any number, and whoever adds to the way of all others should see it here.
// They hold under -race, which adds up to three.
func TestAllocationBudgets(t *testing.T) {
	bn := newBench(t)
	forgetful := newBenchOf(t, bn.keys, -1)
	token := bearers(bn.tokens(t, "EdDSA", 1)) // its signature check allocates once, under -race too
	for _, test := range []struct {
		name         string
		bench        *bench
		method, body string
		tokens       []string
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
	} {
		t.Run(test.name, func(t *testing.T) {
			send := newDriver(test.bench.auth.Wrap(bare), test.method, test.body, test.tokens, test.status).send
			got := testing.AllocsPerRun(500, send)
			t.Logf("%v allocations", got)
			require.LessOrEqual(t, got, test.budget)
		})
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
