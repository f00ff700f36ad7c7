package mcpauth

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"
)

// decodeName puts the plain form of an encoded Mcp-Name into a header that only the SDK will see: it
// compares the field with the name in the body, and v1.8.0 does not decode the one that is not plain
// ASCII (MCP 2026-07-28, Value Encoding). What is no such encoding stays, and the SDK refuses it. The
// field decides nothing here.
func decodeName(h http.Header) {
	values := h["Mcp-Name"]
	if len(values) != 1 {
		return
	}
	encoded, ok := strings.CutPrefix(values[0], "=?base64?")
	if !ok {
		return
	}
	if encoded, ok = strings.CutSuffix(encoded, "?="); !ok {
		return
	}
	name, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(name) == 0 || !utf8.Valid(name) {
		return
	}
	h["Mcp-Name"] = []string{string(name)}
}
