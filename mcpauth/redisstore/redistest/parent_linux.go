package redistest

import "syscall"

// dieWithParent has the system kill the server when the test process is killed and runs no cleanup.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
