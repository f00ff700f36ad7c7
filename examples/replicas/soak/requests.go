//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// A reply is what came back. Status 0: nothing did.
type reply struct {
	status    int
	challenge string
	nonce     string
	wrong     string // what no answer may be, whatever was asked
}

const (
	callWhoami = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`
	callReport = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"report","arguments":{"lines":%d}}}`
	maxAnswer  = 4 << 20
)

// header is that of a call. An empty token means no credentials, an empty proof a bearer token.
func header(token, proof string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"}}
	switch {
	case proof != "":
		h["Authorization"], h["Dpop"] = []string{"DPoP " + token}, []string{proof}
	case token != "":
		h["Authorization"] = []string{"Bearer " + token}
	}
	return h
}

// send makes a call.
func (c *clients) send(ctx context.Context, replica int, token, proof string, body io.Reader) reply {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.urls[replica%len(c.urls)], body)
	if err != nil {
		panic(err) // the URL is ours
	}
	req.Host, req.Header = c.host, header(token, proof)
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return reply{}
	}
	r := reply{status: res.StatusCode, challenge: strings.Join(res.Header.Values("WWW-Authenticate"), ", "), nonce: res.Header.Get("DPoP-Nonce")}
	r.wrong = wrong(res, text, token, proof)
	return r
}

// wrong says what is wrong with an answer whatever was asked.
func wrong(res *http.Response, text []byte, token, proof string) string {
	switch {
	case res.StatusCode == 200 && !bytes.Contains(text, []byte(`"text":`)):
		return "200 without a result"
	case res.StatusCode != 200 && bytes.Contains(text, []byte(`"text":`)):
		return "a result without 200"
	case (res.StatusCode == 429 || res.StatusCode == 503) && res.Header.Get("Retry-After") == "":
		return "no Retry-After"
	case res.StatusCode == 401 && res.Header.Get("WWW-Authenticate") == "":
		return "no challenge"
	case res.StatusCode == 503 && res.Header.Get("WWW-Authenticate") != "":
		return "a challenge, so that clients would throw away good tokens"
	case token != "" && bytes.Contains(text, []byte(token)), proof != "" && bytes.Contains(text, []byte(proof)):
		return "it repeats a secret"
	}
	return ""
}

// dial writes the head of a call by hand, for clients that do with the connection what no library does.
func (c *clients) dial(replica int, token string, length int) (*net.TCPConn, error) {
	u := c.urls[replica%len(c.urls)]
	address, _, _ := strings.Cut(strings.TrimPrefix(u, "http://"), "/")
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	t := conn.(*net.TCPConn)
	_ = t.SetDeadline(time.Now().Add(30 * time.Second))
	var head strings.Builder
	fmt.Fprintf(&head, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", c.host, length)
	for name, values := range header(token, "") {
		for _, v := range values {
			fmt.Fprintf(&head, "%s: %s\r\n", name, v)
		}
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(t, head.String()); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// readSlowly asks for a long report, reads it a little at a time, and hangs up in the middle.
func (c *clients) readSlowly(ctx context.Context, replica int, token string) reply {
	body := fmt.Sprintf(callReport, 10_000) // 400 KB, more than the buffers of the system hold
	conn, err := c.dial(replica, token, len(body))
	if err != nil {
		return reply{}
	}
	defer conn.Close()
	_ = conn.SetReadBuffer(4 << 10)
	if _, err := io.WriteString(conn, body); err != nil {
		return reply{}
	}
	reader := bufio.NewReaderSize(conn, 1<<10)
	line, err := reader.ReadString('\n')
	var status int
	if _, scan := fmt.Sscanf(line, "HTTP/1.1 %d ", &status); err != nil || scan != nil {
		return reply{}
	}
	for range 10 {
		if !pause(ctx, 100*time.Millisecond) {
			break
		}
		if _, err := reader.Discard(1 << 10); err != nil {
			break
		}
	}
	return reply{status: status}
}

// sendSlowly sends half of a body, waits, and hangs up.
func (c *clients) sendSlowly(ctx context.Context, replica int, token string) reply {
	conn, err := c.dial(replica, token, len(callWhoami))
	if err != nil {
		return reply{}
	}
	defer conn.Close()
	for i := range 10 {
		if _, err := io.WriteString(conn, callWhoami[4*i:4*i+4]); err != nil || !pause(ctx, 100*time.Millisecond) {
			break
		}
	}
	return reply{}
}

// pause reports whether the time has passed, rather than the run.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// endless is a body of so many bytes that is no JSON at all.
type endless struct{ left int }

func (e *endless) Read(b []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(b), e.left)
	for i := range b[:n] {
		b[i] = ' '
	}
	e.left -= n
	return n, nil
}
