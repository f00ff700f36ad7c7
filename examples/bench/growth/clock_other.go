//go:build !unix

package main

import "time"

// elapsed is the time of day, where a process cannot tell how long it was at work.
func elapsed() time.Duration { return time.Since(start) }
