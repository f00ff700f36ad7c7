package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// A driver sends requests without a body to a handler and allocates nothing for it, so that what is
// measured is the handler. It is also the ResponseWriter.
type driver struct {
	handler              http.Handler
	request              *http.Request
	authorization, proof []string
	header               http.Header
	status               int
}

func newDriver(h http.Handler) *driver {
	return &driver{
		handler: h, request: httptest.NewRequest(http.MethodDelete, resource, nil), authorization: []string{""}, proof: []string{""},
		header: make(http.Header),
	}
}

// do returns the status of the answer. An empty proof is none.
func (d *driver) do(authorization, proof string) int {
	d.authorization[0], d.proof[0] = authorization, proof
	d.request.Header["Authorization"] = d.authorization
	if proof != "" {
		d.request.Header["Dpop"] = d.proof
	}
	clear(d.header)
	d.status = http.StatusOK
	d.handler.ServeHTTP(d, d.request)
	return d.status
}

func (d *driver) must(authorization, proof string) {
	if status := d.do(authorization, proof); status != http.StatusOK {
		panic(fmt.Sprintf("answered %d", status))
	}
}

func (d *driver) Header() http.Header         { return d.header }
func (d *driver) WriteHeader(status int)      { d.status = status }
func (d *driver) Write(p []byte) (int, error) { return len(p), nil }

// A contender takes part in a comparison.
type contender struct {
	name    string
	send    func()
	prepare func(calls int) // unmeasured, before so many calls; nil: nothing to do
}

func (c contender) run(calls int) time.Duration {
	if c.prepare != nil {
		c.prepare(calls)
	}
	start := time.Now()
	for range calls {
		c.send()
	}
	return time.Since(start)
}

// compare lets all contenders take turns, and reports the median over the rounds of the ratio of the first
// to each of the others: whatever else the machine does, it does to all of them.
func compare(b *testing.B, first contender, others ...contender) {
	const rounds, length = 25, 10 * time.Millisecond
	all := append([]contender{first}, others...)
	calls := make([]int, len(all))
	for i, c := range all {
		for calls[i] = 8; c.run(calls[i]) < length; {
			calls[i] *= 2
		}
	}
	ratios := make([][]float64, len(all))
	for range rounds {
		var mine float64
		for i, c := range all {
			perCall := c.run(calls[i]).Seconds() / float64(calls[i])
			if i == 0 {
				mine = perCall
			}
			ratios[i] = append(ratios[i], mine/perCall)
		}
	}
	for i, c := range all[1:] {
		slices.Sort(ratios[i+1])
		b.ReportMetric(ratios[i+1][rounds/2], "x-"+c.name)
	}
}
