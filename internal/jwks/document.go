package jwks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrDocument is wrapped by every refusal of a whole document.
var ErrDocument = errors.New("not a usable key set")

// maxOthers bounds the members beside keys, none of which RFC 7517 defines. Each
// costs much more memory than its text.
const maxOthers = 64

// A Document is what a JWK Set (RFC 7517, Section 5) gave.
type Document struct {
	Keys    []*Key // in the order of the document, without repetitions
	Ignored int    // entries that are not usable
	Reason  error  // why the first of these was ignored; wraps ErrKey
}

// ParseDocument reads a JWK Set of at most maxKeys entries, usable or not.
//
// The set must be one JSON object with exactly one member keys, an array, and
// at most 64 others, which are passed over. Each
// entry is then judged for itself: RFC 7517, Section 5 says to ignore entries
// that are not understood, lack members or are out of range, and an entry with
// a duplicate member or broken UTF-8 is treated alike. A document without a
// single usable key is an error, because it could only take keys away.
func ParseDocument(data []byte, maxKeys int) (*Document, error) {
	entries, err := splitKeys(data, maxKeys)
	if err != nil {
		return nil, err
	}
	doc := &Document{}
	seen := make(map[identity]bool, len(entries))
	for _, raw := range entries {
		k, err := ParseKey(raw)
		if err != nil {
			doc.Ignored++
			if doc.Reason == nil {
				doc.Reason = err
			}
			continue
		}
		if !seen[k.identity()] {
			seen[k.identity()] = true
			doc.Keys = append(doc.Keys, k)
		}
	}
	if len(doc.Keys) == 0 {
		if doc.Reason != nil {
			return nil, fmt.Errorf("%w: none of %d keys is usable, the first because: %w", ErrDocument, len(entries), doc.Reason)
		}
		return nil, fmt.Errorf("%w: no keys in it", ErrDocument)
	}
	return doc, nil
}

// splitKeys returns the texts of the entries of keys. It uses encoding/json's
// tokens, which keep member names as they are, since a strict scanner would
// stop for good at the first bad entry.
func splitKeys(data []byte, maxKeys int) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: not a JSON object", ErrDocument)
	}
	var entries []json.RawMessage
	found, others := false, 0
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errSyntax()
		}
		if name != "keys" {
			if others++; others > maxOthers {
				return nil, fmt.Errorf("%w: more than %d members beside keys", ErrDocument, maxOthers)
			}
			var skipped json.RawMessage
			if dec.Decode(&skipped) != nil {
				return nil, errSyntax()
			}
			continue
		}
		if found {
			return nil, fmt.Errorf("%w: two members keys", ErrDocument)
		}
		found = true
		if t, err := dec.Token(); err != nil || t != json.Delim('[') {
			return nil, fmt.Errorf("%w: keys is not an array", ErrDocument)
		}
		for dec.More() {
			if len(entries) == maxKeys {
				return nil, fmt.Errorf("%w: more than %d keys", ErrDocument, maxKeys)
			}
			var raw json.RawMessage
			if dec.Decode(&raw) != nil {
				return nil, errSyntax()
			}
			entries = append(entries, raw)
		}
		if _, err := dec.Token(); err != nil {
			return nil, errSyntax()
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, errSyntax()
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: data after the object", ErrDocument)
	}
	if !found {
		return nil, fmt.Errorf("%w: no member keys", ErrDocument)
	}
	return entries, nil
}

// errSyntax replaces the errors of encoding/json, which quote characters.
func errSyntax() error { return fmt.Errorf("%w: not a JSON text", ErrDocument) }
