package doctor

// ReadField reads one line of WWW-Authenticate by its grammar, for the fuzz test: schemes, parameters, and whether it is well formed.
func ReadField(line string) (schemes []string, params []map[string]string, ok bool) {
	r := readField([]string{line})
	for _, c := range r.all {
		schemes, params = append(schemes, c.scheme), append(params, c.params)
	}
	return schemes, params, !r.malformed
}

// PatternReading is what regular expressions find in the same line.
func PatternReading(line string) (metadata, scope string) {
	p := readField([]string{line}).pattern
	return p.metadata, p.scope
}

// Clean takes secrets out of a text.
func Clean(text string, secrets ...string) string {
	c := &censor{}
	for _, s := range secrets {
		c.hide(s)
	}
	return c.text(text)
}
