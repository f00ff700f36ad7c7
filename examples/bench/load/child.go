//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"syscall"
	"time"
)

// A child is a process that answers every line of JSON on its standard input with one on its standard
// output, and ends when the input does: so it does not outlive this process, however that ends.
type child struct {
	name    string
	command *exec.Cmd
	input   io.Closer
	encoder *json.Encoder
	decoder *json.Decoder
}

// start starts a child, which is killed when ctx ends.
func start(ctx context.Context, name, role string, processors int, stderr io.Writer) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{name: name, command: exec.CommandContext(ctx, self, role)}
	c.command.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(processors))
	c.command.Stderr = stderr
	c.command.WaitDelay = 5 * time.Second
	in, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.input, c.encoder, c.decoder = in, json.NewEncoder(in), json.NewDecoder(out)
	return c, c.command.Start()
}

// A reply holds a value or says why there is none.
type reply[T any] struct {
	Value T
	Error string
}

// ask sends one line and waits for the answer.
func ask[T any](c *child, question any) (T, error) {
	var answer reply[T]
	if err := c.encoder.Encode(question); err != nil {
		return answer.Value, fmt.Errorf("%s: %w", c.name, err)
	}
	if err := c.decoder.Decode(&answer); err != nil {
		return answer.Value, fmt.Errorf("%s ended: %w", c.name, err)
	}
	if answer.Error != "" {
		return answer.Value, fmt.Errorf("%s: %s", c.name, answer.Error)
	}
	return answer.Value, nil
}

// answer is the child's side.
func answer[T any](out *json.Encoder, value T, err error) error {
	line := reply[T]{Value: value}
	if err != nil {
		line.Error = err.Error()
	}
	return out.Encode(line)
}

// stop ends the child's input and waits for the child to end.
func (c *child) stop() error {
	c.input.Close()
	timer := time.AfterFunc(10*time.Second, func() { c.command.Process.Kill() })
	defer timer.Stop()
	if err := c.command.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// A usage is what a process has used since it was started.
type usage struct {
	CPU            time.Duration
	Bytes, Objects uint64 // allocated
	Cycles         uint64 // of garbage collection
}

func (u usage) minus(v usage) usage {
	return usage{u.CPU - v.CPU, u.Bytes - v.Bytes, u.Objects - v.Objects, u.Cycles - v.Cycles}
}

func (u usage) plus(v usage) usage {
	return usage{u.CPU + v.CPU, u.Bytes + v.Bytes, u.Objects + v.Objects, u.Cycles + v.Cycles}
}

// processUsage is that of this process.
func processUsage() (usage, error) {
	cpu, err := processTime()
	if err != nil {
		return usage{}, err
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/allocs:objects"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return usage{cpu, samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}, nil
}

// processTime is CPU time in user and in system mode.
func processTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
