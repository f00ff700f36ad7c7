// Command growth measures how the cost of a request grows with what a server has: issuers, keys, rules, tools, bytes of a
// body, proofs that are remembered, callers. It prints a table, and writes a picture and the figures of each curve.
//
//	go -C examples/bench run ./growth
//	go -C examples/bench run ./growth -o ../../docs/performance
//
// Every figure is a ratio to one check of an ECDSA P-256 signature that took turns with it: absolute times move from
// machine to machine. Each line of a picture has an expectation with a bound, and -check fails beyond it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	rounds int
	length time.Duration // of one turn: one point, one round
	quick  bool          // without the largest points
}

// sizes leaves out what takes long to build.
func (s settings) sizes(most int, all ...int) []int {
	for i, n := range all {
		if s.quick && n > most {
			return all[:i]
		}
	}
	return all
}

var errBeyond = errors.New("a curve is beyond its bound")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	folder := flags.String("o", "", "write NAME.svg and NAME.json of each curve into this `folder`")
	only := flags.String("only", "", "measure these `curves` alone, separated by commas")
	check := flags.Bool("check", false, "end with exit status 1 where a curve is beyond its bound")
	flags.BoolVar(&s.quick, "quick", false, "few short rounds, and none of the points that take long to build")
	flags.IntVar(&s.rounds, "rounds", 0, "`rounds`, in each of which every point has its turn; 0: 25, or 5 with -quick")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag; see -h", flags.Arg(0))
	}
	if s.rounds < 0 || s.rounds > 1000 {
		return errors.New("write between 1 and 1000 -rounds")
	}
	s.length = 10 * time.Millisecond
	if s.quick {
		s.length = time.Millisecond
	}
	switch {
	case s.rounds == 0 && s.quick:
		s.rounds = 5
	case s.rounds == 0:
		s.rounds = 25
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	beyond := false
	for _, c := range chosen {
		p, err := c.plot(s)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		p.Name = c.name
		if err := p.measure(ctx, s); err != nil {
			return err
		}
		p.print(stdout)
		beyond = beyond || !p.holds()
		if *folder != "" {
			if err := p.write(*folder); err != nil {
				return err
			}
		}
	}
	if beyond && *check {
		return errBeyond
	}
	return nil
}

// A curve is measured by itself, and what it has built is dropped before the next.
type curve struct {
	name string
	plot func(settings) (*plot, error)
}

var curves = []curve{
	{"issuers", issuersPlot}, {"keys", keysPlot}, {"rules", rulesPlot}, {"tools", toolsPlot}, {"body", bodyPlot},
	{"proofs", proofsPlot}, {"callers", callersPlot},
}

func choose(names string) ([]curve, error) {
	if names == "" {
		return curves, nil
	}
	var out []curve
next:
	for name := range strings.SplitSeq(names, ",") {
		for _, c := range curves {
			if c.name == name {
				out = append(out, c)
				continue next
			}
		}
		return nil, fmt.Errorf("there is no curve %q", name)
	}
	return out, nil
}

// write makes the picture and the file with the figures.
func (p *plot) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := p.figures()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, p.Name+".json"), text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, p.Name+".svg"), p.svg(), 0o644)
}
