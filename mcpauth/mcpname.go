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
	if !isEncodedName(h) {
		return
	}
	encoded, ok := strings.CutSuffix(h["Mcp-Name"][0][len(namePrefix):], "?=")
	if !ok {
		return
	}
	name, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(name) == 0 || !utf8.Valid(name) {
		return
	}
	h["Mcp-Name"] = []string{string(name)}
}

const namePrefix = "=?base64?"

func isEncodedName(h http.Header) bool {
	values := h["Mcp-Name"]
	return len(values) == 1 && strings.HasPrefix(values[0], namePrefix)
}
