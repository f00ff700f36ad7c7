package mcpauthtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxTokenBody bounds what is read of token requests and of answers to them, in bytes. What is longer is
// passed on unread.
const maxTokenBody = 64 << 10

// isTokenRequest reports whether a request is one to a token endpoint: a form that is posted and names a
// grant_type (RFC 6749, Section 4). It may replace the body of r by an equal one; r is the transport's own.
func isTokenRequest(r *http.Request) (bool, error) {
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody || r.ContentLength > maxTokenBody ||
		!isMediaType(r.Header, "application/x-www-form-urlencoded") {
		return false, nil
	}
	var form []byte
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return false, err
		}
		form, err = io.ReadAll(io.LimitReader(body, maxTokenBody+1))
		if err := errors.Join(err, body.Close()); err != nil {
			return false, err
		}
	} else {
		var whole bool
		var err error
		if form, whole, err = peek(&r.Body); err != nil {
			return false, err
		}
		if whole {
			// All of it is here, so it can be sent again.
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(form)), nil }
		}
	}
	if len(form) > maxTokenBody {
		return false, nil
	}
	values, err := url.ParseQuery(string(form))
	return err == nil && values.Get("grant_type") != "", nil
}

// A tokenAnswer is what matters in the body of a token endpoint (RFC 6749, Sections 5.1 and 5.2).
type tokenAnswer struct {
	accessToken, tokenType, error string
}

// readTokenAnswer reads the body of an answer and puts an equal one in its place. An answer that is not
// application/json, is encoded, or is too long, says nothing.
func readTokenAnswer(res *http.Response) (a tokenAnswer) {
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusBadRequest || res.Body == nil ||
		res.ContentLength > maxTokenBody || res.Header.Get("Content-Encoding") != "" || !isMediaType(res.Header, "application/json") {
		return a
	}
	body, whole, err := peek(&res.Body)
	if err != nil || !whole {
		return a // what was read is handed on, and then the error
	}
	// A map, because a struct would take members in any spelling of their names.
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return a
	}
	for name, to := range map[string]*string{"access_token": &a.accessToken, "token_type": &a.tokenType, "error": &a.error} {
		_ = json.Unmarshal(members[name], to) // one that is missing, or no string, stays empty
	}
	return a
}

// peek reads a body up to the limit and one byte more, and puts one in its place that reads the same,
// with the same error. Whole says that it ended within the limit without an error.
func peek(body *io.ReadCloser) (start []byte, whole bool, err error) {
	original := *body
	start, err = io.ReadAll(io.LimitReader(original, maxTokenBody+1))
	rest := io.Reader(original)
	if err != nil {
		rest = failing{err}
	}
	*body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), original}
	return start, err == nil && len(start) <= maxTokenBody, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func isMediaType(h http.Header, want string) bool {
	got, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && strings.EqualFold(got, want)
}
