package prm

import (
	"net/http"
	"strings"
)

// Limits on the header names that a preflight request may ask for. Browsers send one line with a handful of names.
const (
	maxRequestHeaders = 1024 // bytes
	maxHeaderNames    = 32
)

// isPreflight recognises a CORS preflight request (WHATWG Fetch, "CORS protocol").
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers OPTIONS, whether or not it comes from a browser. MCP clients ask to send MCP-Protocol-Version and other headers that
// vary by client and version; since the document is the same for everyone, all of them may be sent.
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Allow"] = methods
	header["Access-Control-Allow-Methods"] = methods
	header.Set("Access-Control-Max-Age", "300")
	header.Add("Vary", "Access-Control-Request-Headers")
	if names := requestHeaders(r.Header["Access-Control-Request-Headers"]); names != "" {
		header.Set("Access-Control-Allow-Headers", names)
	}
	w.WriteHeader(http.StatusNoContent)
}

// requestHeaders returns the names asked for as one list, or "" when a field is malformed or too long: the browser then sends nothing.
func requestHeaders(fields []string) string {
	var names []string
	size := 0
	for _, field := range fields {
		if size += len(field); size > maxRequestHeaders {
			return ""
		}
		for name := range strings.SplitSeq(field, ",") {
			name = strings.Trim(name, " \t")
			if name == "" { // RFC 9110, Section 5.6.1: empty elements are ignored
				continue
			}
			if !all(name, tokenByte) || len(names) == maxHeaderNames {
				return ""
			}
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// tokenByte is tchar of RFC 9110, Section 5.6.2.
func tokenByte(c byte) bool { return alphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }
