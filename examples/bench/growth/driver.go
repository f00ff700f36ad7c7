package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

const resource = "https://mcp.example.com/mcp"

// A driver sends one request after another to a handler and allocates nothing for it, so that what is measured is the
// handler. It is also the ResponseWriter, and the body.
type driver struct {
	handler http.Handler
	request *http.Request
	body    string
	change  func(http.Header) // before each request

	reader strings.Reader
	header http.Header
	status int
}

// newDriver makes one whose requests differ by what change does to their header. Without a body they are a DELETE.
func newDriver(h http.Handler, body string, change func(http.Header)) *driver {
	d := &driver{handler: h, body: body, change: change, header: make(http.Header)}
	method := http.MethodDelete
	if body != "" {
		method = http.MethodPost
	}
	d.request = httptest.NewRequest(method, resource, nil)
	// As from a connection: deadlines are set for its body.
	d.request = d.request.WithContext(context.WithValue(context.Background(), http.ServerContextKey, new(http.Server)))
	d.request.Header = http.Header{
		"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"Go-http-client/1.1"},
		"Mcp-Protocol-Version": {"2025-11-25"},
	}
	if body != "" {
		d.request.Header["Content-Type"] = []string{"application/json"}
		d.request.ContentLength = int64(len(body))
	}
	return d
}

// send panics unless the answer is a 200: whatever is refused costs something else.
func (d *driver) send() {
	if d.change != nil {
		d.change(d.request.Header)
	}
	if d.body != "" {
		d.reader.Reset(d.body)
		d.request.Body = d
	}
	clear(d.header)
	d.status = http.StatusOK
	d.handler.ServeHTTP(d, d.request)
	if d.status != http.StatusOK {
		panic(fmt.Sprintf("answered %d", d.status))
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

// inTurn sets a field of the header to one value after the other.
func inTurn(field string, values []string) func(http.Header) {
	next, room := 0, []string{""}
	return func(h http.Header) {
		room[0] = values[next]
		h[field] = room
		if next++; next == len(values) {
			next = 0
		}
	}
}

// nothing is a handler that does nothing.
var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
