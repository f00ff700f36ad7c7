//go:build unix

package main

import (
	"syscall"
	"time"
)

// elapsed is the processor time that this process has used so far, collections of garbage included. Unlike the time of
// day it does not go on while the machine does something else.
func elapsed() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no reason to
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
