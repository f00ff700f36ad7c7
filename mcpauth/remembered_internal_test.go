package mcpauth

// Remembers reports whether a token is remembered, and whether the key of its proofs is as well.
func Remembers(m *Middleware, token string) (it, key bool) {
	t, ok := m.cache.Get(hashOf(token))
	return ok, ok && t.proofKey.Load() != nil
}

// RememberedBytes is what counts against the bound of memory.
func RememberedBytes(m *Middleware) int64 { return m.cache.Bytes() }
