package mcpauthtest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A fakeT is a test that is watched while it fails.
type fakeT struct {
	testing.TB // what is not below, of the real test
	said       []string
	helped     bool
}

func (f *fakeT) Helper() { f.helped = true }

func (f *fakeT) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// watched runs a check with a test of its own, and returns what that said, in one text.
func watched(t testing.TB, check func(testing.TB)) string {
	t.Helper()
	f := &fakeT{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(f)
	}()
	<-done
	require.LessOrEqual(t, len(f.said), 1, "one failure at a time: %q", f.said)
	require.True(t, f.helped, "the failure is reported at the line of the test")
	return strings.Join(f.said, "\n")
}

// exampleT stands for the *testing.T of a test in examples, which have none.
type exampleT struct{ testing.TB }

var t exampleT

func (exampleT) Helper()                   {}
func (exampleT) Cleanup(func())            {}
func (exampleT) Context() context.Context  { return context.Background() }
func (exampleT) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (exampleT) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
