package mcpauth

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/envelope"
)

const (
	peekBytes    = 64 << 10
	peekDeadline = 2 * time.Second
	smallBody    = 128 << 10 // what is allocated before a byte of a body has come
	maxMediaType = 1 << 10   // of a Content-Type, whose parameters cost a map entry each, also of those who have no token
)

// contentOf says what a request claims its body to be, for a log.
func contentOf(h http.Header) string {
	got := "no Content-Type"
	if fields := h["Content-Type"]; len(fields) == 1 {
		got = loggable(fields[0])
	} else if len(fields) > 1 {
		got = "several Content-Type fields"
	}
	if fields := h["Content-Encoding"]; len(fields) > 0 {
		got += " with Content-Encoding " + loggable(strings.Join(fields, ", "))
	}
	return got
}

// readBody reads the whole body of a POST, or says what to answer instead. Only plain JSON in UTF-8
// is read: what other media types and encodings hold, other parsers would read otherwise.
func (m *Middleware) readBody(w http.ResponseWriter, r *http.Request) ([]byte, answer, explanation) {
	if !isJSON(r.Header) {
		limitUnread(w, r)
		return nil, answer{status: http.StatusUnsupportedMediaType}, explanation{reason: ReasonContentType,
			expected: "application/json without Content-Encoding", got: contentOf(r.Header)}
	}
	tooLarge := answer{status: http.StatusRequestEntityTooLarge}
	whyTooLarge := explanation{reason: ReasonBodyTooLarge, expected: "at most Config.MaxBodyBytes", got: "more"}
	if r.ContentLength > m.maxBody {
		limitUnread(w, r)
		if r.ProtoMajor == 1 { // in HTTP/2 it would end the streams of others, too
			w.Header().Set("Connection", "close")
		}
		return nil, tooLarge, whyTooLarge
	}
	body, err := readAll(http.MaxBytesReader(w, r.Body, m.maxBody), r.ContentLength)
	if err != nil {
		limitUnread(w, r)
		var limit *http.MaxBytesError
		if errors.As(err, &limit) {
			return nil, tooLarge, whyTooLarge
		}
		return nil, answer{status: http.StatusBadRequest},
			explanation{reason: ReasonBodyUnread, expected: "a whole body", got: "an error while reading it", err: err}
	}
	return body, answer{}, explanation{}
}

// readAll reads a body whose length is declared, or negative. A length is a promise: what is allocated
// for it is smallBody at first, and then no more than eight times what has come.
func readAll(body io.Reader, declared int64) ([]byte, error) {
	size := int64(512)
	if declared >= 0 {
		size = min(declared, smallBody) + 1 // one to spare: the end shows without growing
	}
	buf := make([]byte, 0, size)
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		case len(buf) == cap(buf):
			size = 2 * size
			if declared >= int64(len(buf)) {
				size = min(declared+1, 4*size)
			}
			buf = append(make([]byte, 0, size), buf...)
		}
	}
}

func isJSON(h http.Header) bool {
	if len(h["Content-Type"]) != 1 || len(h["Content-Encoding"]) > 0 && !strings.EqualFold(strings.Join(h["Content-Encoding"], ","), "identity") {
		return false
	}
	value := h["Content-Type"][0]
	if value == "application/json" {
		return true
	}
	if len(value) > maxMediaType {
		return false
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil || media != "application/json" {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// peekRequestID finds the id to put into a refusal. It looks at no more than 64 KiB of a JSON body
// whose length is declared, and waits for it no longer than two seconds: whoever has no good token
// gets no more work out of the server than that. A client that asks first, by way of Expect, is not
// told to send a body for the sake of its id (RFC 9110, Section 10.1.1).
func peekRequestID(w http.ResponseWriter, r *http.Request) json.RawMessage {
	body, ok := peekBody(w, r)
	if !ok {
		return nil
	}
	return envelope.RequestID(body)
}

// peekBody reads a small JSON body of a request that has no good token, or nothing.
func peekBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	if !limitUnread(w, r) || r.Method != http.MethodPost || r.ContentLength <= 0 || r.ContentLength > peekBytes ||
		len(r.Header["Expect"]) > 0 || !isJSON(r.Header) {
		return nil, false
	}
	// The length is only declared: nothing is allocated for it.
	body, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
	if err != nil || int64(len(body)) != r.ContentLength {
		return nil, false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, true
}

// limitUnread bounds the wait for the rest of a body before a refusal. net/http reads on for up to
// 256 KiB before it sends an answer, and again before it lets go of the connection, for as long as
// the client cares to take. The deadline ends with the request. It reports whether a read of the body
// will end: where no deadline can be set, the connection is closed instead.
func limitUnread(w http.ResponseWriter, r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody || isBuffered(r) {
		return true
	}
	if http.NewResponseController(w).SetReadDeadline(time.Now().Add(peekDeadline)) == nil {
		return true
	}
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	return false
}

// isBuffered reports whether the body comes from memory, as in tests with httptest.NewRequest.
func isBuffered(r *http.Request) bool {
	return r.Context().Value(http.ServerContextKey) == nil
}
