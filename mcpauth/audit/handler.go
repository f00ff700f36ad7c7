package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// Handler serves the counts as JSON, to whom allow lets. It says who used what and when, so it must not be
// open: allow is asked for every request, and where it is nil nobody is let in. A bearer token of the MCP
// server is no reason to let its holder in, and neither is a loopback address behind a proxy.
//
// GET and HEAD take two parameters: by, with names of a [Column], separated by commas, adds rows up as [Group]
// does; since, a time as in RFC 3339, leaves out rows whose last decision was before it. It leaves out
// whole rows and counts nothing anew. The answer holds ASCII alone, is not to be stored, and has the members of [Row]:
//
//	{"rows": [{"client": "desk", "allowed": 12, "refused": 1, "first": "...", "last": "..."}]}
func (u *Usage) Handler(allow func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if allow == nil || !allow(r) {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		by, since, err := parameters(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := u.document(by, since)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // net/http writes none of it for HEAD
	})
}

const maxQuery = 1 << 10

// parameters reads the query strictly: who misspells a filter must not get everything.
func parameters(query string) (by []Column, since time.Time, err error) {
	if len(query) > maxQuery {
		return nil, since, errors.New("the query is too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, since, errors.New("the query is malformed")
	}
	for name, list := range values {
		if len(list) != 1 {
			return nil, since, errors.New("a parameter is repeated; separate columns by commas")
		}
		switch name {
		case "by":
			for column := range strings.SplitSeq(list[0], ",") {
				by = append(by, Column(column))
			}
		case "since":
			if since, err = time.Parse(time.RFC3339, list[0]); err != nil {
				return nil, since, errors.New("since: write a time such as 2026-07-28T12:00:00Z")
			}
		default:
			return nil, since, fmt.Errorf("there is no parameter %q; write by or since", name)
		}
	}
	return by, since, nil
}

func (u *Usage) document(by []Column, since time.Time) ([]byte, error) {
	all := u.Snapshot()
	rows := all[:0]
	for _, r := range all {
		if !r.Last.Before(since) {
			rows = append(rows, r)
		}
	}
	if by != nil {
		var err error
		if rows, err = Group(rows, by...); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(struct {
		Rows []Row `json:"rows"`
	}{rows})
	if err != nil {
		return nil, err
	}
	return append(ascii(body), '\n'), nil
}

// ascii escapes what is left outside of ASCII in a JSON document, and DEL: a terminal may take C1 controls and bidi
// controls for its own (CWE-150).
func ascii(document []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(document) + 1)
	for _, r := range string(document) {
		switch {
		case r < 0x7f:
			out.WriteByte(byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}
