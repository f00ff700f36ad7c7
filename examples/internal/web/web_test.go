package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/web"
)

// A pipe is a listener whose connections stay in the process, so that a bubble of synctest can hold them.
type pipe struct {
	connections chan net.Conn
	closed      chan struct{}
}

func newPipe() *pipe { return &pipe{make(chan net.Conn), make(chan struct{})} }

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	close(p.closed)
	return nil
}

func (*pipe) Addr() net.Addr { return &net.TCPAddr{} }

// get sends a request, and returns where its answer will come from.
func (p *pipe) get(t *testing.T) *bufio.Reader {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	p.connections <- far
	_, err := io.WriteString(near, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	return bufio.NewReader(near)
}

func TestAStopWaitsForRequestsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		release, ended, l := make(chan struct{}), make(chan error, 1), newPipe()
		go func() {
			ended <- web.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				<-release
				_, _ = io.WriteString(w, "paid")
			}))
		}()
		answer := l.get(t)
		synctest.Wait()
		stop()
		synctest.Wait()
		require.Empty(t, ended, "the request is under way")
		close(release)
		res, err := http.ReadResponse(answer, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "paid", string(body))
		require.NoError(t, <-ended)
	})
}

func TestAStopDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ended, l := make(chan error, 1), newPipe()
		go func() {
			ended <- web.Serve(ctx, l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		}()
		l.get(t)
		synctest.Wait()
		stop()
		began := time.Now()
		require.NoError(t, <-ended)
		require.Equal(t, web.Grace, time.Since(began))
	})
}

func TestListen_KeepsTheNameOfTheHost(t *testing.T) {
	l, base, err := web.Listen("localhost:0")
	require.NoError(t, err)
	defer l.Close()
	require.Regexp(t, `^http://localhost:[1-9]\d*$`, base)
	for _, bad := range []string{"localhost", "localhost:http:1", ""} {
		_, _, err := web.Listen(bad)
		require.Error(t, err, bad)
	}
}

func TestAListenerThatFails(t *testing.T) {
	broken := errors.New("broken")
	require.ErrorIs(t, web.Serve(t.Context(), failing{broken}, http.NotFoundHandler()), broken)
}

type failing struct{ err error }

func (f failing) Accept() (net.Conn, error) { return nil, f.err }
func (failing) Close() error                { return nil }
func (failing) Addr() net.Addr              { return &net.TCPAddr{} }
