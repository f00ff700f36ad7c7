package mcpauthtest

// Remembered tells how many tokens and nonces a transport holds.
func (t *DPoPTransport) Remembered() (tokens, nonces int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tokens.order.Len(), t.nonces.order.Len()
}

// The bounds.
const (
	MaxTokens    = maxTokens
	MaxNonces    = maxNonces
	MaxTokenBody = maxTokenBody
)

// NonceError returns what the first DPoP challenge with an error says, as the transport reads it.
func NonceError(lines []string) string {
	for _, ch := range challenges(lines) {
		if ch.scheme == "dpop" && ch.params["error"] != "" {
			return ch.params["error"]
		}
	}
	return ""
}

// Challenges renders each challenge in one spelling.
func Challenges(line string) (out []map[string]string) {
	for _, ch := range challenges([]string{line}) {
		m := map[string]string{" scheme": ch.scheme, " token68": ch.token68}
		for k, v := range ch.params {
			m[k] = v
		}
		out = append(out, m)
	}
	return out
}

// WriteGrant puts scopes and roles where a Mapper looks for them.
var WriteGrant = writeGrant
