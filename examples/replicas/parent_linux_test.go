package replicas_test

import "syscall"

// dieWithParent has the system kill a server when the test process is killed and runs no cleanup.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
