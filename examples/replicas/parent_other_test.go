//go:build unix && !linux

package replicas_test

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
