package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-mcpauth/sdk/examples/internal/web"
)

// A Program is an example as the command line sees it.
type Program struct {
	Name string

	// Start starts its servers, which end with ctx.
	Start func(ctx context.Context, logger *slog.Logger) (*System, error)
}

// A System is the servers of an example, running.
type System struct {
	Demonstrate  func(ctx context.Context, out io.Writer) error
	Instructions func(out io.Writer) // for those who want to play the client themselves
	Wait         func()              // until the servers have ended
}

// Run plays the client and returns the exit status: 2 for a mistake on the command line, 1 for a failure. With -serve it prints
// the instructions instead and waits until ctx ends.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	serve := flags.Bool("serve", false, "wait for a client of yours instead of playing one")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", p.Name, flags.Arg(0))
		return 2
	}
	level := slog.LevelError
	if *serve {
		level = slog.LevelWarn // each refusal, and what cures it
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sys, err := p.Start(ctx, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})))
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	defer sys.Wait()
	defer cancel()
	if *serve {
		sys.Instructions(stdout)
		<-ctx.Done()
		return 0
	}
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := sys.Demonstrate(ctx, stdout); err != nil {
		fmt.Fprintf(stderr, "%s: the demonstration failed: %v\n", p.Name, err)
		return 1
	}
	return 0
}

// A Site is an address of a server and what answers there.
type Site struct {
	Listener net.Listener
	Handler  http.Handler
}

// Serve answers requests at every site until ctx ends. The function that it returns waits for that.
func Serve(ctx context.Context, logger *slog.Logger, sites ...Site) (wait func()) {
	done := make(chan struct{}, len(sites))
	for _, site := range sites {
		go func() {
			if err := web.Serve(ctx, site.Listener, site.Handler); err != nil {
				logger.Error("a server ended", "address", site.Listener.Addr(), "error", err)
			}
			done <- struct{}{}
		}()
	}
	return func() {
		for range sites {
			<-done
		}
	}
}

// Listen opens loopback listeners whose ports the system chooses.
func Listen(n int) ([]net.Listener, error) {
	var all []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			Close(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// Close closes listeners at which nobody has served yet.
func Close(all []net.Listener) {
	for _, l := range all {
		l.Close()
	}
}
