package mcpauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-mcpauth/sdk/internal/authheader"
)

// ask asks the Authenticator. A panic goes on without the credentials that it may quote.
func (a *authentication) ask(r *http.Request) (*Principal, error) {
	defer func() {
		if v := recover(); v != nil {
			panic(a.withoutSecrets(r, fmt.Errorf("%v", v)).Error())
		}
	}()
	return a.Authenticate(r)
}

// withoutSecrets is an error as a log may have it (SEC-02): whatever an Authenticator quotes of the credentials is taken
// out, which can be done here, where it is known in which fields they came. The work grows with what came, and anybody can
// send a megabyte: where it is too much to be looked for, nothing of the error is shown.
func (a *authentication) withoutSecrets(r *http.Request, err error) error {
	if errors.Is(err, errUnknownKey) {
		return errUnknownKey // it quotes nothing
	}
	size := 0
	for _, name := range a.headers {
		for _, value := range r.Header[name] {
			size += len(value)
		}
	}
	if size > authheader.MaxToken {
		return fmt.Errorf("a %T, whose text may quote the credentials: they have %d bytes, which is too much to take them out", err, size)
	}
	text := err.Error()
	for _, name := range a.headers {
		for _, value := range r.Header[name] {
			for _, secret := range forms(value) {
				text = strings.ReplaceAll(text, secret, "[redacted]")
			}
		}
	}
	return errors.New(text)
}

// forms are the texts as which a credential may stand in an error, the longest first: as it came, in its parts, escaped
// as by net/url and strconv, and what Basic has encoded.
func forms(value string) (out []string) {
	pieces := []string{value}
	split := func(s string) {
		pieces = append(pieces, strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(" ,;=\".:", c) })...)
	}
	split(value)
	for _, field := range strings.Fields(value) {
		pieces = append(pieces, field)
		if plain, err := base64.StdEncoding.DecodeString(field); err == nil {
			pieces = append(pieces, string(plain))
			split(string(plain))
			if _, password, ok := strings.Cut(string(plain), ":"); ok {
				pieces = append(pieces, password)
			}
		}
	}
	seen := make(map[string]bool)
	for _, s := range pieces {
		if len(s) < minSecret {
			continue
		}
		quoted := strconv.Quote(s)
		for _, form := range []string{s, quoted[1 : len(quoted)-1], url.QueryEscape(s), url.PathEscape(s)} {
			if !seen[form] {
				seen[form] = true
				out = append(out, form)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

const minSecret = 8 // what is shorter may be the name of a scheme, or a word of the error's own
