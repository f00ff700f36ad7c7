//go:build unix

package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A run without sabotage finds nothing wrong; the faults are for longer ones.
func TestSoakPasses(t *testing.T) {
	var out, log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-for", "3s"}, &out, &log), "%s%s", out.String(), log.String())
	require.Contains(t, out.String(), "Nothing bad was accepted")
}

// A run can fail: each way to break the replicas is noticed, for what it is. Only what would hide others is tried by itself.
func TestSoakNotices(t *testing.T) {
	says := map[string]string{
		"replays":     "WRONG at [^\n]*(" + replayAtOnce + "|" + replayLater + "): answered 200",
		"expired":     "WRONG at [^\n]*" + expired + ": answered 200",
		"audience":    "WRONG at [^\n]*" + audience + ": answered 200",
		"revocations": "WRONG at [^\n]*" + revokedToken + ": answered 200",
		"limits":      "WRONG at [^\n]*the greedy caller got",
		"nonces":      "WRONG at [^\n]*" + goodDPoP + ": answered 401",
		"refusals":    "WRONG at [^\n]*" + goodBearer + ": answered 403",
		"goroutines":  "WRONG at [^\n]*goroutines were left behind",
		"memory":      "WRONG at [^\n]*the heap has grown",
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(sabotages)), slices.Collect(maps.Keys(says)))
	everything := slices.Sorted(maps.Keys(says))
	for _, names := range [][]string{{"nonces"}, slices.DeleteFunc(everything, func(name string) bool { return name == "nonces" })} {
		var out, log bytes.Buffer
		require.Error(t, run(t.Context(), []string{"-for", "4s", "-sabotage", strings.Join(names, ",")}, &out, &log))
		for _, name := range names {
			require.Regexp(t, says[name], out.String(), name)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range []string{"-for=1s", "-for=13h", "-rate=0", "-rate=1001", "-sabotage=nothing", "-nonsense", "more"} {
		var out, log bytes.Buffer
		require.Error(t, run(t.Context(), strings.Fields(args), &out, &log), args)
		require.Empty(t, out.String(), args)
	}
}
