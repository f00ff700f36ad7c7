//go:build unix

// Command soak runs two replicas with one Redis for some minutes, sends them what users, attackers and broken programs
// send, breaks Redis and the issuer meanwhile, and ends with status 1 if anything was accepted that should not be,
// refused that no fault explains, or left behind:
//
//	go -C examples/replicas run ./soak -for 5m
//
// It listens on loopback alone, makes at most -rate requests per second, and needs redis-server in the path.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// settings are what a run is told.
type settings struct {
	length   time.Duration // without warm-up and what follows
	rate     int           // requests per second
	sabotage []string      // nil: none
}

const (
	minLength, maxLength = 3 * time.Second, 12 * time.Hour
	maxRate              = 1000
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&s.length, "for", 2*time.Minute, "how `long`; from 20s on Redis and the issuer break, from 42s on keys change without notice")
	flags.IntVar(&s.rate, "rate", 300, "`requests` per second, at both replicas together")
	flags.Func("sabotage", "break the replicas, so that the run must fail: some of `"+strings.Join(slices.Sorted(maps.Keys(sabotages)), ",")+"`", func(list string) error {
		for name := range strings.SplitSeq(list, ",") {
			if sabotages[name] == nil {
				return fmt.Errorf("there is no %q", name)
			}
			s.sabotage = append(s.sabotage, name)
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.length < minLength || s.length > maxLength:
		return fmt.Errorf("-for: write %v to %v", minLength, maxLength)
	case s.rate < 1 || s.rate > maxRate:
		return fmt.Errorf("-rate: write 1 to %d", maxRate)
	}
	redis.SetLogger(quiet{})
	h := new(host)
	defer h.close()
	var err error
	if failed := guard(func() { err = soak(ctx, h, s, stdout) }); failed != nil {
		return failed
	}
	return err
}

// quiet keeps go-redis from saying that nobody is there, which is what this is about.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
