package mcpauthtest

import (
	"net"
	"net/http"
	"strings"
	"time"
)

// Hostility is one way of being a bad authorization server. The zero value is a good one.
type Hostility int

// What an issuer can do to those who ask it. All but WrongIssuer and NoKeys concern metadata, keys and
// introspection alike.
const (
	_                 Hostility = iota
	TruncatedJSON               // 200 with half of the document
	HTMLPage                    // 200 with a login page
	HugeBody                    // 200 with 64 MB of JSON
	WrongIssuer                 // metadata and introspection that name another issuer
	NoKeys                      // a key set without keys
	RedirectElsewhere           // 302 to another origin, which counts its visitors in Fetches.Elsewhere
	HangUp                      // the connection ends without an answer
)

const hugeSize = 64 << 20

// Hostile makes the issuer answer so until it is told otherwise. The zero value makes it good again.
func (is *Issuer) Hostile(how Hostility) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.hostile = how
}

// Down makes the issuer answer everything with 503 until [Issuer.Up].
func (is *Issuer) Down() {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.down = true
}

// Up ends [Issuer.Down], [Issuer.Slow] and [Issuer.Hostile].
func (is *Issuer) Up() {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.down, is.delay, is.hostile = false, 0, 0
}

// Slow makes the issuer wait before each answer, in real time: [Issuer.Now] has no say in it. It waits no
// longer than the client does, nor than the test runs, so an hour stands for an issuer that never answers.
func (is *Issuer) Slow(d time.Duration) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.delay = d
}

// weather delays an answer, and gives it where the issuer is down.
func (is *Issuer) weather(w http.ResponseWriter, r *http.Request) (how Hostility, ok bool) {
	is.mu.Lock()
	down, delay, how := is.down, is.delay, is.hostile
	is.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return how, false
		case <-is.ended:
			return how, false
		}
	}
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return how, false
	}
	return how, true
}

// write sends a document, or what takes its place.
func (how Hostility) write(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	switch how {
	case TruncatedJSON:
		text = text[:len(text)/2]
	case HTMLPage:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		status, text = http.StatusOK, []byte("<!doctype html>\n<title>Log in</title>\n<form>...</form>\n")
	case HugeBody:
		w.WriteHeader(http.StatusOK)
		writeHuge(w)
		return
	case RedirectElsewhere:
		// The same listener under another name is another origin (RFC 6454, Section 4).
		_, port, _ := net.SplitHostPort(r.Host)
		http.Redirect(w, r, "http://localhost:"+port+elsewherePath, http.StatusFound)
		return
	case HangUp:
		panic(http.ErrAbortHandler) // net/http closes the connection, and logs nothing
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="introspection"`) // RFC 6749, Section 5.2
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// writeHuge writes an object of the size of a flood, or as much of it as is read.
func writeHuge(w http.ResponseWriter) {
	if _, err := w.Write([]byte(`{"padding":"`)); err != nil {
		return
	}
	chunk := []byte(strings.Repeat("x", 64<<10))
	for sent := 0; sent < hugeSize; sent += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
	_, _ = w.Write([]byte(`"}`))
}
