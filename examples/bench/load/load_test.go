//go:build unix

package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The test binary is also the server and the loader that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serverRole || os.Args[1] == loaderRole) {
		os.Exit(dispatch(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// Everything works: the figures of so short a run mean nothing.
func TestSmallRun(t *testing.T) {
	var out, errors strings.Builder
	if err := run(t.Context(), []string{"-rounds", "2", "-duration", "20ms", "-connections", "2", "-warm-up", "10"}, &out, &errors); err != nil {
		t.Fatal(err, errors.String())
	}
	t.Log(out.String())
	for _, r := range rows {
		if !strings.Contains(out.String(), "\n"+r.name+" ") {
			t.Errorf("no row for %s", r.name)
		}
	}
	if errors.Len() > 0 {
		t.Error(errors.String())
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range []string{"-rounds=0", "-rounds=101", "-duration=0", "-duration=1m", "-connections=0", "-connections=1000", "-warm-up=-1", "-processors=0", "-nonsense", "more"} {
		if err := run(t.Context(), strings.Fields(args), new(strings.Builder), new(strings.Builder)); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	slow := turn{burst{Latencies: make([]time.Duration, 100), Elapsed: time.Second}, usage{CPU: 2 * time.Second}}
	fast := turn{burst{Latencies: make([]time.Duration, 400), Elapsed: time.Second}, usage{CPU: 2 * time.Second}}
	if e := paired([]turn{slow, fast}, []turn{slow, fast}, turn.throughput); e.Low != 1 || e.High != 1 {
		t.Errorf("two rows that are equal in each round differ by %v", e)
	}
	if e := paired([]turn{slow}, []turn{fast}, turn.perRequest); e.Median != 4 {
		t.Errorf("a quarter of the requests in the same CPU time is a ratio of %v, want 4", e.Median)
	}
}
