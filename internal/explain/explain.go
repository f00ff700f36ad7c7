// Package explain puts a refusal into words for a log: what was expected, what came, why, and what cures it.
// The checks of tokens, proofs and introspection answers share it, so that their lines read alike.
package explain

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text is one line that begins with what was refused and for which reason. Empty parts and a nil cause are
// left out.
func Text(refused, reason, expected, got, cure string, cause error) string {
	var b strings.Builder
	b.WriteString(refused + ": " + reason)
	if expected != "" {
		b.WriteString(": expected " + expected)
	}
	if got != "" {
		b.WriteString("; got " + got)
	}
	if cause != nil {
		fmt.Fprintf(&b, "; cause: %v", cause)
	}
	if cure != "" {
		b.WriteString("; cure: " + cure)
	}
	return b.String()
}

// maxQuoted bounds one foreign text in a log line, in bytes.
const maxQuoted = 96

// Quote makes foreign text fit for a log line: ASCII without line breaks, escapes or bidi controls, and of
// bounded length. What is cut off is told by its size, and never in the middle of a character.
func Quote[S string | []byte](s S) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(string(s))
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(string(s[:cut])) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}
