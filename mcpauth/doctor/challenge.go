package doctor

import (
	"regexp"
	"slices"
	"strings"
)

// maxField bounds what is read of WWW-Authenticate, all lines together.
const maxField = 16 << 10

// A challenge is one challenge by the grammar of RFC 9110, Section 11.6.1. Names are in lower case; values are without quotes.
type challenge struct {
	scheme string
	params map[string]string
	line   int
}

// A reading is the field as different clients read it.
type reading struct {
	lines     []string
	all       []challenge
	malformed bool // some line is not by the grammar
	escaped   bool // some value has an escaped quote or a backslash
	pattern   patternReading
}

// A patternReading is what the regular expressions of the TypeScript SDK and its kin find in all lines joined: nothing at all unless the
// field begins with Bearer, and the first name=value wherever it stands.
type patternReading struct {
	bearer                 bool
	metadata, scope, error string
}

var (
	metadataPattern = regexp.MustCompile(`resource_metadata=(?:"([^"]+)"|([^\s,]+))`)
	scopePattern    = regexp.MustCompile(`scope=(?:"([^"]+)"|([^\s,]+))`)
	errorPattern    = regexp.MustCompile(`error=(?:"([^"]+)"|([^\s,]+))`)
)

// readField reads all lines of WWW-Authenticate, as far as they fit.
func readField(lines []string) reading {
	var r reading
	size := 0
	for i, line := range lines {
		if size += len(line); size > maxField {
			r.malformed = true
			break
		}
		r.lines = append(r.lines, line)
		found, escaped, ok := parseLine(line, i)
		r.all, r.escaped, r.malformed = append(r.all, found...), r.escaped || escaped, r.malformed || !ok
	}
	joined := strings.Join(r.lines, ", ")
	if scheme, rest, ok := strings.Cut(joined, " "); ok && rest != "" && strings.EqualFold(scheme, "bearer") {
		r.pattern = patternReading{true, group(metadataPattern, joined), group(scopePattern, joined), group(errorPattern, joined)}
	}
	return r
}

func group(p *regexp.Regexp, s string) string {
	m := p.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return m[1] + m[2] // one of them is empty
}

// of returns the first challenge of a scheme.
func (r reading) of(scheme string) (challenge, bool) {
	for _, c := range r.all {
		if strings.EqualFold(c.scheme, scheme) {
			return c, true
		}
	}
	return challenge{}, false
}

// param is a parameter of the Bearer challenge, or else of the DPoP challenge.
func (r reading) param(name string) string {
	for _, scheme := range []string{"bearer", "dpop"} {
		if c, ok := r.of(scheme); ok {
			return c.params[name]
		}
	}
	return ""
}

// refusal is the first challenge with an error, or the zero value.
func (r reading) refusal() challenge {
	for _, c := range r.all {
		if c.params["error"] != "" {
			return c
		}
	}
	return challenge{}
}

// namesScopes reports whether any client finds scopes in the field, however it reads. The pattern takes scope="" for two quotes.
func (r reading) namesScopes() bool {
	return strings.Trim(r.pattern.scope, `"`) != "" || slices.ContainsFunc(r.all, func(c challenge) bool { return len(scopesOf(c.params["scope"])) > 0 })
}

// joined reports whether two challenges share a line.
func (r reading) joined() bool {
	for i := 1; i < len(r.all); i++ {
		if r.all[i].line == r.all[i-1].line {
			return true
		}
	}
	return false
}

// parseLine reads one line by its grammar. It consumes what it reads, so its time is linear.
func parseLine(line string, number int) (found []challenge, escaped, ok bool) {
	s := line
	skip := func(set string) { s = strings.TrimLeft(s, set) }
	for {
		skip(" \t,")
		if s == "" {
			return found, escaped, true
		}
		name := takeToken(&s)
		if name == "" {
			return found, escaped, false
		}
		afterName := s
		skip(" \t")
		if len(found) > 0 && strings.HasPrefix(s, "=") {
			value, esc, good := takeValue(&s)
			params := found[len(found)-1].params
			if _, twice := params[strings.ToLower(name)]; !good || twice {
				return found, escaped, false
			}
			params[strings.ToLower(name)], escaped = value, escaped || esc
		} else {
			found = append(found, challenge{scheme: name, params: map[string]string{}, line: number})
			if s == "" || s[0] == ',' {
				continue
			}
			if afterName == s {
				return found, escaped, false // no space after the scheme
			}
			// A parameter follows, or a token68 that no client of MCP uses.
			probe := s
			if first := takeToken(&probe); first != "" && strings.HasPrefix(strings.TrimLeft(probe, " \t"), "=") {
				continue
			}
			end := strings.IndexAny(s, " \t,")
			if end < 0 {
				end = len(s)
			}
			if strings.Contains(s[:end], `"`) {
				return found, escaped, false
			}
			s = s[end:]
		}
		if skip(" \t"); s != "" && s[0] != ',' {
			return found, escaped, false
		}
	}
}

func takeToken(s *string) string {
	n := 0
	for n < len(*s) && tokenByte((*s)[n]) {
		n++
	}
	token := (*s)[:n]
	*s = (*s)[n:]
	return token
}

func tokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// takeValue reads "=" and a token or quoted string.
func takeValue(s *string) (value string, escaped, ok bool) {
	rest := strings.TrimLeft((*s)[1:], " \t")
	if !strings.HasPrefix(rest, `"`) {
		value = takeToken(&rest)
		*s = rest
		return value, false, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			*s = rest[i+1:]
			return b.String(), escaped, true
		case c == '\\' && i+1 < len(rest):
			i, escaped = i+1, true
			b.WriteByte(rest[i])
		case c < ' ' && c != '\t' || c == 0x7f || c == '\\':
			return "", escaped, false
		default:
			b.WriteByte(c)
		}
	}
	return "", escaped, false
}
