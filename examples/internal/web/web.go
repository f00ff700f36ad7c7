// Package web serves HTTP as the examples do, and as a server in earnest should: clients that dawdle are cut off, and a stop waits for
// the requests that are under way.
package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Grace is how long requests under way may take once the server is told to stop. Give yours what its slowest tool needs.
const Grace = 2 * time.Second

// Listen listens on an address such as localhost:8080. base is the URL of what is served there: the host as it was written, since to
// clients localhost and 127.0.0.1 are two, and the port that the system chose where it was 0.
func Listen(address string) (l net.Listener, base string, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", err
	}
	if l, err = net.Listen("tcp", address); err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		l.Close()
		return nil, "", err
	}
	return l, "http://" + net.JoinHostPort(host, port), nil
}

// Serve answers requests at a listener until ctx ends. It returns nil when those that were under way have ended too, or their time is up.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// No ReadTimeout or WriteTimeout: they would cut off streams of events, which stay open for as long as their clients like.
	}
	stopped := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), Grace)
		defer cancel()
		if server.Shutdown(ending) != nil {
			server.Close() // streams that are still open
		}
	})
	defer forget()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped // Serve ends as soon as Shutdown begins
	return nil
}
