package doctor

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what a finding says, in bytes.
const (
	maxQuoted = 160
	maxText   = 1200
)

// shortest is how much of a secret counts as the secret. Shorter ones count when they are whole.
const shortest = 12

// A censor takes secrets out of texts. A server may send back what it was sent, in an error message or a redirect.
type censor struct{ secrets []string }

// hide remembers a secret. Very short ones are left alone: they could not be told from words.
func (c *censor) hide(secret string) {
	if len(secret) >= 4 && !slices.Contains(c.secrets, secret) {
		c.secrets = append(c.secrets, secret)
	}
}

// clean replaces every piece of a secret that is long enough to matter, whatever stands around it.
func (c *censor) clean(text string) string {
	for _, secret := range c.secrets {
		n := min(shortest, len(secret))
		for at := 0; at+n <= len(text); {
			where := strings.Index(secret, text[at:at+n])
			if where < 0 {
				at++
				continue
			}
			// The longest piece that begins here, over all places where it could come from.
			end := at + n
			for ; where >= 0; where = next(secret, where, text[at:at+n]) {
				k := n
				for at+k < len(text) && where+k < len(secret) && text[at+k] == secret[where+k] {
					k++
				}
				end = max(end, at+k)
			}
			text = text[:at] + "[secret]" + text[end:]
			at += len("[secret]")
		}
	}
	return text
}

func next(s string, after int, piece string) int {
	i := strings.Index(s[after+1:], piece)
	if i < 0 {
		return -1
	}
	return after + 1 + i
}

// quote makes foreign text fit to be shown: without secrets, escapes and bidi controls, in ASCII, and of bounded length.
func (c *censor) quote(s string) string {
	if len(s) > 4*maxQuoted {
		// A piece of a secret at this edge is shown only if it is too short to matter, or is cut off below.
		s = s[:4*maxQuoted]
	}
	s = c.clean(s)
	if len(s) <= maxQuoted {
		return quoted(s)
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return quoted(s[:cut]) + "..."
}

// quoted puts text that has double quotes itself, as challenges do, into single ones.
func quoted(s string) string {
	q := strconv.QuoteToASCII(s)
	if strings.ContainsAny(s, `'\`) {
		return q
	}
	if inner := strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`); inner != q[1:len(q)-1] {
		return "'" + inner + "'"
	}
	return q
}

// list quotes the first few of many.
func (c *censor) list(all []string) string {
	const most = 8
	var parts []string
	for i, s := range all {
		if i == most {
			parts = append(parts, strconv.Itoa(len(all)-most)+" more")
			break
		}
		parts = append(parts, c.quote(s))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// text is the last gate of everything that a finding says: one line of printable ASCII without secrets.
func (c *censor) text(s string) string {
	s = c.clean(s)
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// shownURL leaves out the values of a query: people put keys there.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	u.User = nil
	return u.String()
}
