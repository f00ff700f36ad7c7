package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

const (
	maxText     = 256     // bytes of a name, an id or a claim
	maxSentence = 2 << 10 // of what Decision puts into words, with the claims in it
	maxList     = 64      // scopes of one list
)

// text makes foreign text fit for a log: bounded, and printable ASCII. Whatever is not is quoted, and so is
// what begins with a quote: nothing else can look like it.
func text(s string, limit int) string {
	more := ""
	if len(s) > limit {
		s, more = s[:limit], "..."
	}
	if s != "" && s[0] == '"' {
		return strconv.QuoteToASCII(s) + more
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return strconv.QuoteToASCII(s) + more
		}
	}
	return s + more
}

// plainJSON is JSON on one line and in ASCII: as it came, but for white space and for characters that JSON can escape.
func plainJSON(raw []byte, limit int) string {
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return text(string(raw), limit) // nobody hands that over
	}
	var b strings.Builder
	for _, c := range compact.String() {
		switch {
		case b.Len() >= limit:
			return b.String() + "..."
		case c >= 0x20 && c < 0x7f:
			b.WriteRune(c)
		default:
			for _, unit := range utf16.Encode([]rune{c}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return b.String()
}

// texts is text for a list, which is copied only where something has to be changed.
func texts(list []string) []string {
	total := len(list)
	if total > maxList {
		list = list[:maxList:maxList]
	}
	copied := false
	for i, s := range list {
		fit := text(s, maxText)
		if fit == s {
			continue
		}
		if !copied {
			list, copied = append(make([]string, 0, len(list)+1), list...), true
		}
		list[i] = fit
	}
	if total > maxList {
		list = append(list, "and "+strconv.Itoa(total-maxList)+" more")
	}
	return list
}
