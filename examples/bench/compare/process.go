//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command is a process in a group of its own, which ends with ctx: the go command starts others.
func command(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = folder
	// Both sides are modules of their own, and have as many processors as this process.
	c.Env = append(os.Environ(), "GOWORK=off", "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error {
		if err := syscall.Kill(-c.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return os.ErrProcessDone
	}
	c.WaitDelay = 5 * time.Second
	return c
}

// output runs a command and returns what it prints. The error holds the end of what it complains of.
func output(c *exec.Cmd) (string, error) {
	var out, complaint strings.Builder
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		said := strings.TrimSpace(complaint.String() + "\n" + out.String())
		return out.String(), fmt.Errorf("%w: %s", err, said[max(0, len(said)-2000):])
	}
	return out.String(), nil
}
