package redisstore

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// A failure is a call that Redis did not answer, or answered with an error. What it unwraps to is the error
// of go-redis, whose text may hold keys; its own text never does.
type failure struct {
	what string
	text string
	err  error
}

func (f *failure) Error() string { return "redisstore: " + f.what + ": " + f.text }
func (f *failure) Unwrap() error { return f.err }

// failed makes an error of what go-redis returned and tells OnError. What the error says has happened counts before the
// time: it may be up only because go-redis tries again where nobody is there.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	f := &failure{what: what, text: s.readable(err), err: err}
	var slow net.Error // go-redis may notice that the time is up before the context does
	late := ctx.Err() != nil || errors.As(err, &slow) && slow.Timeout()
	if ctx.Err() == context.Canceled {
		f.text = "the caller gave up: " + f.text
	} else if late {
		if text, ok := network(err); ok {
			f.text = text + " (tried for at most " + s.timeout.String() + ")"
		} else {
			// Between attempts to connect go-redis says no more than that the time is up.
			f.text = "no answer in time (at most " + s.timeout.String() + "), be it that Redis is slow or cannot be reached: " + f.text
		}
		f.err = errors.Join(context.DeadlineExceeded, err)
	}
	if s.onError != nil {
		s.onError(f)
	}
	return f
}

// readable leaves out addresses, and what follows the code in an answer of Redis that repeats arguments: some do, as
// "ERR unknown command 'SET', with args beginning with: ...", or names another node.
func (s *Store) readable(err error) string {
	var reply redis.Error
	text := err.Error()
	if errors.As(err, &reply) {
		code, _, _ := strings.Cut(reply.Error(), " ")
		switch {
		case code == "MOVED" || code == "ASK":
			return code + " (another node of a cluster has the key; use redis.NewClusterClient)"
		case strings.Contains(text, s.prefix) || strings.Contains(text, "args"):
			return code + " (Redis repeats what it was asked; the rest is left out)"
		}
	}
	if text, ok := network(err); ok {
		return text
	}
	return text
}

// network says what happened to a connection, without the addresses and names that package net puts into its errors.
func network(err error) (text string, ok bool) {
	var lookup *net.DNSError
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused", true
	case errors.As(err, &lookup):
		return "the name of the server could not be looked up", true
	case !errors.As(err, &op):
		return "", false
	case op.Op == "dial" && op.Timeout():
		return "no connection in time", true
	case op.Timeout():
		return "no answer in time", true
	case errors.As(op.Err, &call):
		return op.Op + ": " + call.Err.Error(), true
	}
	return "the connection failed (" + op.Op + ")", true
}
