package mcpauthtest

import "strings"

// maxChallenge bounds a WWW-Authenticate line, in bytes. A longer one is not read.
const maxChallenge = 16 << 10

// A challenge is one challenge of a WWW-Authenticate field (RFC 9110, Section 11.6.1). Names are in
// lower case, values without quotes and escapes.
type challenge struct {
	scheme  string
	token68 string
	params  map[string]string
}

// challenges reads all challenges of the lines. A line that is malformed counts for nothing, as does one
// that repeats a parameter within a challenge: nobody can say which was meant.
func challenges(lines []string) []challenge {
	var out []challenge
	for _, line := range lines {
		if len(line) > maxChallenge {
			continue
		}
		if read, ok := readChallenges(line); ok {
			out = append(out, read...)
		}
	}
	return out
}

func readChallenges(line string) (out []challenge, ok bool) {
	c := cursor(line)
	for {
		for c.white(); c.take(','); c.white() { // RFC 9110, Section 5.6.1.2: empty list elements are nothing
		}
		if c == "" {
			return out, true
		}
		name := c.token()
		if name == "" {
			return nil, false
		}
		rest := c
		if rest.white(); len(out) > 0 && out[len(out)-1].token68 == "" && rest.take('=') {
			// A parameter, of the challenge before it.
			rest.white()
			if !out[len(out)-1].add(name, &rest) {
				return nil, false
			}
			c = rest
		} else {
			out = append(out, challenge{scheme: strings.ToLower(name), params: map[string]string{}})
			if c != "" && c[0] != ' ' && c[0] != ',' && c[0] != '\t' {
				return nil, false
			}
			c.white()
			if !out[len(out)-1].first(&c) {
				return nil, false
			}
		}
		if c.white(); c != "" && c[0] != ',' {
			return nil, false
		}
	}
}

// first reads what follows a scheme: nothing, a token68 or a parameter.
func (ch *challenge) first(c *cursor) bool {
	rest := *c
	if name := rest.token(); name != "" {
		if rest.white(); rest.take('=') {
			rest.white()
			if ch.add(name, &rest) {
				*c = rest
				return true
			}
		}
	}
	n := 0
	for n < len(*c) && (isAlphanumeric((*c)[n]) || strings.IndexByte("-._~+/", (*c)[n]) >= 0) {
		n++
	}
	for m := n; m > 0 && m < len(*c) && (*c)[m] == '='; m++ {
		n = m + 1
	}
	ch.token68, *c = string((*c)[:n]), (*c)[n:]
	return true
}

// add reads the value of a parameter.
func (ch *challenge) add(name string, c *cursor) bool {
	name = strings.ToLower(name)
	if _, twice := ch.params[name]; twice {
		return false
	}
	value, ok := c.value()
	if ok {
		ch.params[name] = value
	}
	return ok
}

// A cursor is the part of a line that is still to be read.
type cursor string

func (c *cursor) take(b byte) bool {
	if *c == "" || (*c)[0] != b {
		return false
	}
	*c = (*c)[1:]
	return true
}

func (c *cursor) white() { *c = cursor(strings.TrimLeft(string(*c), " \t")) }

// token reads a token, or nothing (RFC 9110, Section 5.6.2).
func (c *cursor) token() string {
	n := 0
	for n < len(*c) && (isAlphanumeric((*c)[n]) || strings.IndexByte("!#$%&'*+-.^_`|~", (*c)[n]) >= 0) {
		n++
	}
	t := string((*c)[:n])
	*c = (*c)[n:]
	return t
}

// value reads a token or a quoted string (RFC 9110, Section 5.6.4).
func (c *cursor) value() (string, bool) {
	if !c.take('"') {
		t := c.token()
		return t, t != ""
	}
	var b strings.Builder
	for i := 0; i < len(*c); i++ {
		switch ch := (*c)[i]; {
		case ch == '"':
			*c = (*c)[i+1:]
			return b.String(), true
		case ch == '\\':
			if i++; i == len(*c) {
				return "", false
			}
			b.WriteByte((*c)[i])
		default:
			b.WriteByte(ch)
		}
	}
	return "", false
}

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
