package jws

import "github.com/go-mcpauth/sdk/internal/strictjson"

// VariantOf returns the one of names of which the given name is another spelling by letter case, or "".
// To a decoder that folds case the two would be the same member, so callers refuse such a name. All of
// names are lower case, so a name without capitals and letters outside ASCII is no variant.
func VariantOf[S string | []byte](name S, names []string) string {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			for _, known := range names {
				if strictjson.EqualFold(name, known) {
					return known
				}
			}
			return ""
		}
	}
	return ""
}
