package jwt

import (
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
)

// maxCandidates bounds the public-key operations that one token can cause: without a kid every
// compatible key is tried.
const maxCandidates = 8

// Algorithms returns every alg that can be configured, which is also the default: providers use ES384 or
// RS512 without saying so. See [jws.Algorithms].
func Algorithms() []string { return jws.Algorithms() }

// firstThatVerifies tries a bounded number of keys.
func firstThatVerifies(m *jws.Method, keys []*jwks.Key, input string, signature []byte) *jwks.Key {
	for _, key := range keys[:min(len(keys), maxCandidates)] {
		if m.Verify(key, input, signature) {
			return key
		}
	}
	return nil
}
