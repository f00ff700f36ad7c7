package cimd

import "net/http"

var Parse = parse

// SetTransport is for what a server can do only by a race.
func (f *Fetcher) SetTransport(t http.RoundTripper) { f.client.Transport = t }
