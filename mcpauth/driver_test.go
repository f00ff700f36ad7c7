package mcpauth_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// A driver sends one request after another to a handler and allocates nothing for it, so that what is
// measured is the handler. It is also the ResponseWriter.
type driver struct {
	handler http.Handler
	request *http.Request
	tokens  []string
	proofs  *proofs // nil: none are sent
	body    string
	want    int

	next   int
	reader strings.Reader
	header http.Header
	status int
}

func newDriver(handler http.Handler, method, body string, tokens []string, want int) *driver {
	d := &driver{handler: handler, tokens: tokens, body: body, want: want, header: make(http.Header)}
	d.request = httptest.NewRequest(method, testResource, nil)
	// As from a connection: deadlines are set for its body.
	d.request = d.request.WithContext(context.WithValue(context.Background(), http.ServerContextKey, new(http.Server)))
	d.request.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"Go-http-client/1.1"},
		"Mcp-Protocol-Version": {"2025-11-25"},
	}
	if body != "" {
		d.request.Header.Set("Content-Type", "application/json")
		d.request.ContentLength = int64(len(body))
	}
	if tokens != nil {
		d.request.Header["Authorization"] = []string{""}
	}
	return d
}

func (d *driver) send() {
	if d.proofs != nil {
		d.request.Header["Dpop"] = d.proofs.next()
	}
	if d.tokens != nil {
		d.request.Header["Authorization"][0] = d.tokens[d.next%len(d.tokens)]
		d.next++
	}
	if d.body != "" {
		d.reader.Reset(d.body)
		d.request.Body = d
	}
	clear(d.header)
	d.status = http.StatusOK
	d.handler.ServeHTTP(d, d.request)
	if d.status != d.want {
		panic(fmt.Sprintf("status %d instead of %d", d.status, d.want))
	}
}

func (d *driver) Header() http.Header              { return d.header }
func (d *driver) WriteHeader(status int)           { d.status = status }
func (d *driver) Write(p []byte) (int, error)      { return len(p), nil }
func (d *driver) SetReadDeadline(time.Time) error  { return nil }
func (d *driver) Read(p []byte) (int, error)       { return d.reader.Read(p) }
func (d *driver) WriteTo(io.Writer) (int64, error) { panic("a body from the network has no WriteTo") }
func (d *driver) Close() error                     { return nil }
func (d *driver) Flush()                           {}

// proofs are made beforehand, in the order of the tokens: each is good once.
type proofs struct {
	holder
	tokens []string
	made   [][]string
	used   int
}

func (p *proofs) mint(n int) {
	for range n {
		token := p.tokens[len(p.made)%len(p.tokens)]
		p.made = append(p.made, []string{p.proof(http.MethodDelete, token)})
	}
}

func (p *proofs) next() []string {
	if p.used == len(p.made) {
		p.mint(1 << 10) // which shows in the figures
	}
	p.used++
	return p.made[p.used-1]
}

// bearers are the values of Authorization for tokens.
func bearers(tokens []string) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = "Bearer " + t
	}
	return out
}

// interleave runs the functions in turn and returns the nanoseconds that one call of each took, round
// by round: whatever else the machine does, it does to all of them. A round is long enough to contain
// the garbage collections that its calls cause. Where benchmarks are to be short, so is this, and the
// ratios mean nothing.
func interleave(functions ...func()) [][]float64 {
	rounds, length := 25, 12*time.Millisecond
	if hasty() {
		rounds, length = 1, time.Millisecond
	}
	calls, times := make([]int, len(functions)), make([][]float64, len(functions))
	for i, f := range functions {
		for began := time.Now(); calls[i] == 0 || time.Since(began) < length; calls[i]++ {
			f()
		}
	}
	for range rounds {
		for i, f := range functions {
			start := time.Now()
			for range calls[i] {
				f()
			}
			times[i] = append(times[i], float64(time.Since(start).Nanoseconds())/float64(calls[i]))
		}
	}
	return times
}

// hasty reports whether -benchtime is a number of runs or less than a tenth of a second.
func hasty() bool {
	length, err := time.ParseDuration(flag.Lookup("test.benchtime").Value.String())
	return err != nil || length < 100*time.Millisecond
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// ratio is the median over the rounds of a to b.
func ratio(a, b []float64) float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return median(out)
}
