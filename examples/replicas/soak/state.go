//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// A state is what a process holds.
type state struct {
	goroutines  int
	heap        uint64 // HeapAlloc after garbage collection
	resident    string // as the system says, where it does
	descriptors int    // open files and connections; zero where the system does not say
}

func (s state) String() string {
	text := fmt.Sprintf("%d goroutines, %.1f MiB of heap", s.goroutines, float64(s.heap)/(1<<20))
	if s.resident != "" {
		text += fmt.Sprintf(", %s resident, %d descriptors", s.resident, s.descriptors)
	}
	return text
}

const settling = 20 * time.Second // for connections to be noticed as closed

// settle waits until no more goroutines end, or there are no more than before, and measures.
func settle(ctx context.Context, before int) state {
	for until, quiet := time.Now().Add(settling), 0; time.Now().Before(until) && quiet < 10; {
		n := runtime.NumGoroutine()
		if n <= before || !pause(ctx, 200*time.Millisecond) {
			break
		}
		if quiet++; runtime.NumGoroutine() != n {
			quiet = 0
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held
	runtime.ReadMemStats(&m)
	s := state{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				s.resident = strings.TrimSpace(value)
			}
		}
	}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		s.descriptors = len(entries)
	}
	return s
}
