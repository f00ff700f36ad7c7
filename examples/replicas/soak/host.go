//go:build unix

package main

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// A host stands in for a test, so that package redistest starts its Redis for a program, too.
type host struct {
	testing.TB // nil: what is not below is not used
	mu         sync.Mutex
	cleanups   []func()
}

func (h *host) Helper() {}

func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (h *host) Cleanup(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cleanups = append(h.cleanups, f)
}

// A fatal is what Fatal panics with.
type fatal string

func (h *host) Fatal(args ...any)                 { panic(fatal(fmt.Sprint(args...))) }
func (h *host) Fatalf(format string, args ...any) { panic(fatal(fmt.Sprintf(format, args...))) }

// guard returns what f failed with.
func guard(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case fatal:
			err = fmt.Errorf("%s", string(v))
		default:
			panic(v)
		}
	}()
	f()
	return nil
}

// close runs what was left for the end, the last first.
func (h *host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
	h.cleanups = nil
}
