package redisstore

import (
	"context"
	"errors"
	"net"
	"strings"

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

// failed makes an error of what go-redis returned and tells OnError.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	f := &failure{what: what, text: s.readable(err), err: err}
	var slow net.Error // go-redis may notice that the time is up before the context does
	switch {
	case ctx.Err() == context.Canceled:
		f.text = "the caller gave up: " + f.text
	case ctx.Err() != nil, errors.As(err, &slow) && slow.Timeout():
		f.text = "no answer in time (at most " + s.timeout.String() + "): " + f.text
		f.err = errors.Join(context.DeadlineExceeded, err)
	}
	if s.onError != nil {
		s.onError(f)
	}
	return f
}

// readable leaves out what follows the code in an answer of Redis that repeats arguments: some do, as
// "ERR unknown command 'SET', with args beginning with: ...".
func (s *Store) readable(err error) string {
	var reply redis.Error
	text := err.Error()
	if errors.As(err, &reply) && (strings.Contains(text, s.prefix) || strings.Contains(text, "args")) {
		code, _, _ := strings.Cut(reply.Error(), " ")
		return code + " (Redis repeats what it was asked; the rest is left out)"
	}
	return text
}
