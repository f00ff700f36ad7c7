package redisstore_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// What is said is what happened, without where: an operator looks elsewhere for a server that is slow than for one that is gone.
func TestFailuresSayWhatHappened(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 6379}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	over := func(op string, err error) error {
		return &net.OpError{Op: op, Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 6379}, Err: err}
	}
	timeout := os.ErrDeadlineExceeded
	for _, tt := range []struct {
		name, want string
		err        error
		late       bool // the time is up
	}{
		{"refused", "redisstore: replay: the connection was refused", refused, false},
		{"refused until the time was up", "redisstore: replay: the connection was refused (tried for at most 50ms)", refused, true},
		{"no such name", "redisstore: replay: the name of the server could not be looked up", over("dial", &net.DNSError{Err: "no such host", Name: "redis.internal", Server: "10.9.8.7:53", IsNotFound: true}), false},
		{"no way", "redisstore: replay: dial: no route to host", over("dial", os.NewSyscallError("connect", syscall.EHOSTUNREACH)), false},
		{"cut off", "redisstore: replay: read: connection reset by peer", over("read", os.NewSyscallError("read", syscall.ECONNRESET)), false},
		{"closed", "redisstore: replay: EOF", io.EOF, false},
		{"an address that is none", "redisstore: replay: the connection failed (dial)", over("dial", &net.AddrError{Err: "missing port", Addr: "redis.internal"}), false},
		{"slow to connect", "redisstore: replay: no connection in time (tried for at most 50ms)", over("dial", timeout), false},
		{"slow to answer", "redisstore: replay: no answer in time (tried for at most 50ms)", over("read", timeout), false},
		{"nobody knows", "redisstore: replay: no answer in time (at most 50ms), be it that Redis is slow or cannot be reached: context deadline exceeded", context.DeadlineExceeded, true},
		{"another node", "redisstore: replay: MOVED (another node of a cluster has the key; use redis.NewClusterClient)", reply("MOVED 3999 10.9.8.7:6381"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, redistest.Start(t).Addr())
			s := newStore(t, c, briefly)
			c.AddHook(failing{tt.err, tt.late})
			_, err := s.Add(t.Context(), proof(), inAMinute())
			require.EqualError(t, err, tt.want)
			require.ErrorIs(t, err, tt.err, "who needs more has it")
			var slow net.Error
			require.Equal(t, tt.late || errors.As(tt.err, &slow) && slow.Timeout(), errors.Is(err, context.DeadlineExceeded))
		})
	}
}

// A server that is really gone is said to be, by go-redis as it is, as long as there is time to find out.
func TestRefusedIsNotSlow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s := newStore(t, newClient(t, l.Addr().String(), func(o *redis.Options) { o.DialerRetries = 1; o.MaxRetries = -1 }))
	for what, err := range everything(s) {
		require.ErrorContains(t, err, "the connection was refused", what)
		require.NotContains(t, err.Error(), "127.0.0.1", what)
		require.NotContains(t, err.Error(), "no answer in time", what)
	}
}

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// failing makes every command fail.
type failing struct {
	err  error
	late bool
}

func (failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f failing) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if f.late {
			<-ctx.Done()
		}
		cmd.SetErr(f.err)
		return f.err
	}
}

func (failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
