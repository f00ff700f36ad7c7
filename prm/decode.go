package prm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits on a document that is read. Real ones have one or two KiB and a depth of two.
const (
	maxDocument = 256 << 10
	maxDepth    = 32
)

// UnmarshalJSON reads a document. Member names are compared with case. Refused are: anything but one object, duplicate members at any depth,
// members that differ only in case from a managed one, a managed member of the wrong type (null included), invalid UTF-8, more than 256 KiB,
// more than 32 levels. Unknown members go to Extra; signed_metadata is passed over, as RFC 9728, Section 2.2 allows. An empty array is
// kept as an empty slice, so that a caller can tell it from an absent one. Every wrong member is named in the error, and m is left alone then.
//
// The values are not judged; see [Metadata.Validate].
func (m *Metadata) UnmarshalJSON(data []byte) error {
	object, err := parse(data)
	if err != nil {
		return err
	}
	var doc Metadata
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if err := doc.set(name, object[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*m = doc
	return nil
}

// set stores one member of a document.
func (m *Metadata) set(name string, value any) error {
	if name == signedMetadata {
		return nil
	}
	base, tag, tagged := strings.Cut(name, "#")
	for _, member := range members {
		switch {
		case name == member.name:
			return assign(name, member.field(m), value)
		case tagged && base == member.name && member.local != nil:
			l := m.Languages[tag]
			if err := assign(name, member.local(&l), value); err != nil {
				return err
			}
			if m.Languages == nil {
				m.Languages = make(map[string]Localized)
			}
			m.Languages[tag] = l
			return nil
		}
	}
	if managed := reserved(name); managed != "" {
		return fmt.Errorf("prm: member %s differs only in case from %s", quote(name), managed)
	}
	if name == "" {
		return errors.New("prm: a member has an empty name")
	}
	if m.Extra == nil {
		m.Extra = make(map[string]any)
	}
	m.Extra[name] = value
	return nil
}

// assign stores a decoded value in a field of the same kind.
func assign(name string, field, value any) error {
	switch field := field.(type) {
	case *string:
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("prm: %s must be a string", quote(name))
		}
		*field = s
	case *[]string:
		array, ok := value.([]any)
		if !ok {
			return fmt.Errorf("prm: %s must be an array of strings", quote(name))
		}
		list := make([]string, len(array))
		for i, element := range array {
			if list[i], ok = element.(string); !ok {
				return fmt.Errorf("prm: %s[%d] must be a string", quote(name), i)
			}
		}
		*field = list
	case *bool:
		b, ok := value.(bool)
		if !ok {
			return fmt.Errorf("prm: %s must be true or false", quote(name))
		}
		*field = b
	case **bool:
		b, ok := value.(bool)
		if !ok {
			return fmt.Errorf("prm: %s must be true or false", quote(name))
		}
		*field = &b
	}
	return nil
}

// parse reads one JSON object. The grammar is left to json.Valid; the walk adds what encoding/json does not check.
func parse(data []byte) (map[string]any, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("prm: the document is longer than %d bytes", maxDocument)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("prm: the document is not valid UTF-8")
	}
	if !json.Valid(data) {
		return nil, errors.New("prm: the document is not valid JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("prm: the document is not a JSON object")
	}
	return object, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, errors.New("prm: the document is not valid JSON")
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth++; depth > maxDepth {
		return nil, fmt.Errorf("prm: the document is nested deeper than %d levels", maxDepth)
	}
	if delim == '[' {
		array := []any{}
		for dec.More() {
			element, err := parseValue(dec, depth)
			if err != nil {
				return nil, err
			}
			array = append(array, element)
		}
		_, err := dec.Token()
		return array, err
	}
	object := map[string]any{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, errors.New("prm: the document is not valid JSON")
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("prm: the document is not valid JSON")
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("prm: member %s appears twice", quote(name))
		}
		if object[name], err = parseValue(dec, depth); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return object, err
}
