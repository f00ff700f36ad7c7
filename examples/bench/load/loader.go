//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/examples/bench/internal/peers"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// A loaderCommand is what the loader is told. To the first line, which is empty, it answers with its
// issuer's public key. Prepare makes everything ready and says nothing of importance, and the next Go sends
// the requests and answers with a burst.
type loaderCommand struct {
	Prepare *target
	Go      bool
}

// A target is one server and what it is sent.
type target struct {
	Name, URL   string
	Credentials credentials
	Protected   bool // bad credentials must be refused
	OnceOnly    bool // a proof that was used before must be refused
	Connections int
	WarmUp      int // requests before the first that counts
	Duration    time.Duration
}

type credentials string

const (
	noCredentials credentials = "none"
	bearer        credentials = "bearer"
	dpop          credentials = "dpop"
)

// A burst is what the loader saw of one shot.
type burst struct {
	Elapsed   time.Duration
	Latencies []time.Duration // of each request
	CPU       time.Duration   // of the loader itself
}

func load(in io.Reader, out io.Writer) error {
	issuer, err := peers.NewIssuer("ES256")
	if err != nil {
		return err
	}
	key, err := mcpauthtest.NewDPoPKey("ES256")
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(issuer.Key().Public)
	if err != nil {
		return err
	}
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	guns := map[string]*gun{}
	defer func() {
		for _, g := range guns {
			g.close()
		}
	}()
	var ready *gun
	for {
		var c loaderCommand
		if err := decoder.Decode(&c); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var err error
		switch {
		case c.Prepare != nil:
			g := guns[c.Prepare.Name]
			if g == nil {
				if g, err = newGun(*c.Prepare, issuer, key); err == nil {
					guns[c.Prepare.Name] = g
				}
			}
			if err == nil {
				err = g.prepare()
			}
			ready = g
			err = answer(encoder, true, err)
		case c.Go && ready != nil:
			var b burst
			b, err = ready.fire(ready.target.Duration, maxRequests)
			err = answer(encoder, b, err)
		default:
			err = answer(encoder, public, nil)
		}
		if err != nil {
			return err
		}
	}
}

// A gun sends requests to one target, over connections that it keeps.
type gun struct {
	target      target
	key         *mcpauthtest.DPoPKey
	token       string
	head, tail  string // of a request; a proof goes between them
	proofs      []string
	connections []*connection
	warm        bool
}

const (
	maxProofs   = 20_000 // made for one shot
	maxRequests = 1_000_000
	call        = `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"write_note","arguments":{"path":"2025/a.md","text":"All work and no play makes a dull day, as the saying goes."}}}`
)

func newGun(t target, issuer peers.Issuer, key *mcpauthtest.DPoPKey) (*gun, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	g := &gun{target: t, key: key}
	thumbprint := ""
	if t.Credentials == dpop {
		thumbprint = key.Thumbprint()
	}
	if g.token, err = issuer.Token(t.URL, thumbprint, 1); err != nil {
		return nil, err
	}
	g.head = "POST " + u.Path + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUser-Agent: load\r\nContent-Type: application/json\r\n" +
		"Accept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2025-11-25\r\n"
	g.tail = fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(call), call)
	if err := g.probe(); err != nil {
		return nil, err
	}
	switch t.Credentials {
	case bearer:
		g.head += "Authorization: Bearer " + g.token + "\r\n"
	case dpop:
		g.head += "Authorization: DPoP " + g.token + "\r\nDPoP: "
		g.tail = "\r\n" + g.tail
	}
	for range t.Connections {
		c, err := dial(u.Host)
		if err != nil {
			return nil, err
		}
		g.connections = append(g.connections, c)
	}
	return g, nil
}

func (g *gun) close() {
	for _, c := range g.connections {
		c.Close()
	}
}

// probe makes sure that the server protects what it should: what does not verify is not worth comparing.
func (g *gun) probe() error {
	if !g.target.Protected {
		return nil
	}
	proof := func() string { return g.key.Proof(http.MethodPost, g.target.URL, g.token, "") }
	once := proof()
	type attempt struct {
		what, authorization, proof string
		accepted                   bool
	}
	attempts := []attempt{{"no credentials", "", "", false}}
	if g.target.Credentials == bearer {
		attempts = append(attempts, attempt{"a damaged token", "Bearer " + damage(g.token), "", false}, attempt{"a good token", "Bearer " + g.token, "", true})
	} else {
		attempts = append(attempts, attempt{"no proof", "DPoP " + g.token, "", false}, attempt{"a bound token as bearer", "Bearer " + g.token, "", false},
			attempt{"a damaged proof", "DPoP " + g.token, damage(proof()), false}, attempt{"a damaged token", "DPoP " + damage(g.token), proof(), false},
			attempt{"a good proof", "DPoP " + g.token, once, true}, attempt{"a proof that was used before", "DPoP " + g.token, once, !g.target.OnceOnly})
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, a := range attempts {
		r, err := http.NewRequest(http.MethodPost, g.target.URL, strings.NewReader(call))
		if err != nil {
			return err
		}
		r.Header = http.Header{
			"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"},
		}
		if a.authorization != "" {
			r.Header.Set("Authorization", a.authorization)
		}
		if a.proof != "" {
			r.Header.Set("DPoP", a.proof)
		}
		res, err := client.Do(r)
		if err != nil {
			return err
		}
		res.Body.Close()
		if a.accepted != (res.StatusCode == http.StatusOK) || !a.accepted && res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusBadRequest {
			return fmt.Errorf("%s: %s was answered %d", g.target.Name, a.what, res.StatusCode)
		}
	}
	return nil
}

// damage changes one byte in the middle of the signature.
func damage(token string) string {
	at := strings.LastIndexByte(token, '.') + 20
	other := "A"
	if token[at] == 'A' {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

// prepare warms the server up, and makes as many proofs as the shot can use.
func (g *gun) prepare() error {
	warm := 4 * g.target.Connections
	if !g.warm {
		warm += g.target.WarmUp
	}
	g.warm = true
	g.mint(warm)
	b, err := g.fire(time.Minute, warm)
	if err != nil {
		return err
	}
	expected := float64(len(b.Latencies)) / b.Elapsed.Seconds() * g.target.Duration.Seconds()
	g.mint(min(maxProofs, int(2*expected)+warm))
	return nil
}

func (g *gun) mint(n int) {
	g.proofs = g.proofs[:0]
	if g.target.Credentials != dpop {
		return
	}
	for range n {
		g.proofs = append(g.proofs, g.key.Proof(http.MethodPost, g.target.URL, g.token, ""))
	}
}

// fire keeps all connections busy, until the time is over, the limit is reached or the proofs are used up.
func (g *gun) fire(duration time.Duration, limit int) (burst, error) {
	if g.target.Credentials == dpop {
		limit = min(limit, len(g.proofs))
	}
	before, err := processTime()
	if err != nil {
		return burst{}, err
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	errs := make([]error, len(g.connections))
	began := time.Now()
	end := began.Add(duration)
	for i, c := range g.connections {
		wait.Go(func() {
			c.times = c.times[:0]
			c.SetDeadline(end.Add(10 * time.Second))
			for now := began; now.Before(end); {
				n := int(next.Add(1)) - 1
				if n >= limit {
					return
				}
				proof := ""
				if g.target.Credentials == dpop {
					proof = g.proofs[n]
				}
				c.request = append(append(append(c.request[:0], g.head...), proof...), g.tail...)
				if errs[i] = c.exchange(); errs[i] != nil {
					return
				}
				done := time.Now()
				c.times = append(c.times, done.Sub(now))
				now = done
			}
		})
	}
	wait.Wait()
	b := burst{Elapsed: time.Since(began)}
	for _, err := range errs {
		if err != nil {
			return b, fmt.Errorf("%s: %w", g.target.Name, err)
		}
	}
	after, err := processTime()
	if err != nil {
		return b, err
	}
	b.CPU = after - before
	for _, c := range g.connections {
		b.Latencies = append(b.Latencies, c.times...)
	}
	if len(b.Latencies) == 0 {
		return b, fmt.Errorf("%s: no request was answered", g.target.Name)
	}
	return b, nil
}

// A connection speaks as much HTTP/1.1 as these servers need, and takes little time for it, since it
// shares the machine with what it measures.
type connection struct {
	net.Conn
	reader  *bufio.Reader
	request []byte
	body    []byte
	times   []time.Duration
}

func dial(address string) (*connection, error) {
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, reader: bufio.NewReaderSize(c, 8<<10)}, nil
}

var (
	okStatus      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("Content-Length: ")
)

// exchange sends the request, and reads an answer that must be a good one.
func (c *connection) exchange() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, okStatus) {
		return fmt.Errorf("answered %q", line)
	}
	length := -1
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
		if digits, ok := bytes.CutPrefix(line, contentLength); ok {
			length = 0
			for _, d := range bytes.TrimSpace(digits) {
				length = 10*length + int(d-'0')
			}
		}
	}
	if length < 0 || length > 64<<10 {
		return errors.New("an answer without Content-Length, or a large one")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	if _, err := io.ReadFull(c.reader, c.body); err != nil {
		return err
	}
	if !bytes.Contains(c.body, []byte(written)) {
		return fmt.Errorf("answered %.200q", c.body)
	}
	return nil
}
