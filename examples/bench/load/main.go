//go:build unix

// Command load compares servers under load on loopback: an unprotected one, and the same behind this
// library and behind others. Each server is a process of its own, and so is what loads them.
//
//	go -C examples/bench run ./load
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The first argument of the processes that this one starts from its own executable.
const (
	serverRole = "as-server"
	loaderRole = "as-loader"
)

func main() { os.Exit(dispatch(os.Args[1:])) }

func dispatch(args []string) int {
	var err error
	switch {
	case len(args) > 0 && args[0] == serverRole:
		err = serve(os.Stdin, os.Stdout)
	case len(args) > 0 && args[0] == loaderRole:
		err = load(os.Stdin, os.Stdout)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, args, os.Stdout, os.Stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1
	}
	return 0
}

// Bounds of what one run may take.
const (
	maxRounds      = 100
	maxDuration    = 5 * time.Second
	maxConnections = 256
)

// settings are the command line.
type settings struct {
	rounds      int
	duration    time.Duration // of one turn: one server, one round
	connections int
	warmUp      int
	processors  int    // GOMAXPROCS of each server; the loader has one
	profiles    string // folder for CPU profiles; empty: none
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.rounds, "rounds", 10, "paired `rounds`, in each of which every server has its turn")
	flags.DurationVar(&s.duration, "duration", 400*time.Millisecond, "how `long` each turn is")
	flags.IntVar(&s.connections, "connections", 8, "`connections` that are kept busy")
	flags.IntVar(&s.warmUp, "warm-up", 500, "`requests` to each server, in each round, before the first that counts")
	flags.IntVar(&s.processors, "processors", max(1, runtime.NumCPU()-1), "GOMAXPROCS of each server; the loader has one")
	flags.StringVar(&s.profiles, "cpuprofile", "", "write a CPU profile of each server and round into this `folder`")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.rounds < 1 || s.rounds > maxRounds:
		return fmt.Errorf("-rounds: write 1 to %d", maxRounds)
	case s.duration <= 0 || s.duration > maxDuration:
		return fmt.Errorf("-duration: write more than 0, and at most %v", maxDuration)
	case s.connections < 1 || s.connections > maxConnections:
		return fmt.Errorf("-connections: write 1 to %d", maxConnections)
	case s.warmUp < 0 || s.warmUp > maxProofs:
		return fmt.Errorf("-warm-up: write 0 to %d", maxProofs)
	case s.processors < 1:
		return errors.New("-processors: write 1 or more")
	}
	busy := machineLoad()
	results, err := measure(ctx, s, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d rounds of %v, %d connections, GOMAXPROCS %d for each server and 1 for the loader, %s, %d CPUs%s\n\n",
		s.rounds, s.duration, s.connections, s.processors, runtime.Version(), runtime.NumCPU(), busy)
	report(stdout, results)
	return nil
}

// machineLoad says what else the machine was doing before the start, where that can be known.
func machineLoad() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return ", load before the start " + first
}
