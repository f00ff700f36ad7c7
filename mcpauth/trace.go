package mcpauth

import (
	"net/http"
	"strings"
)

// headerTrace reads the trace id of a traceparent header.
func headerTrace(h http.Header) string {
	if values := h["Traceparent"]; len(values) == 1 {
		return traceID(values[0])
	}
	return ""
}

// traceID reads the trace id of a traceparent of version 00 (W3C Trace Context, Section 3.2).
func traceID(v string) string {
	if len(v) != 55 {
		return ""
	}
	for i := range len(v) {
		c := v[i]
		if i == 2 || i == 35 || i == 52 {
			if c != '-' {
				return ""
			}
		} else if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return ""
		}
	}
	if id := v[3:35]; v[:2] == "00" && id != strings.Repeat("0", 32) {
		return id
	}
	return ""
}
