package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// maxKeys bounds a key set.
const maxKeys = 256

// A keySet is what a JWK Set has for verifying signatures, and what it should not have.
type keySet struct {
	usable    []*jwks.Key
	total     int
	symmetric int
	weak      int  // RSA under 2048 bits
	private   bool // some key has its private half in it
	reason    string
	fetched   bool
}

// judgeKeys reads the keys of every authorization server.
func (v *visit) judgeKeys(ctx context.Context) {
	for _, s := range v.known() {
		v.judgeKeysOf(ctx, s)
	}
}

func (v *visit) judgeKeysOf(ctx context.Context, s *server) {
	where := s.text("jwks_uri")
	f := Finding{Status: Fail, Symptom: Refused, Clause: "RFC 7517, Section 5; RFC 8725, Section 3.1"}
	if where == "" {
		f.Status, f.Cause, f.Got = Warn, "no-jwks-uri", v.named(s)+"the metadata has no jwks_uri"
		f.Cure = "publish jwks_uri if access tokens are JWTs; if they are opaque, the server needs introspection (Issuer.Introspection)"
		v.add(f)
		return
	}
	a := v.send(ctx, request{method: http.MethodGet, url: where, header: http.Header{"Accept": {"application/jwk-set+json, application/json"}}})
	if a.problem != "" || a.status != http.StatusOK {
		f.Cause, f.Got = "unreachable", v.named(s)+"jwks_uri: "+a.problem
		if a.problem == "" {
			f.Got = fmt.Sprintf("%sjwks_uri: %d %s", v.named(s), a.status, http.StatusText(a.status))
		}
		f.Cure = "make jwks_uri answer 200 with the key set, to everybody and without a redirect; no token can be verified without keys"
		v.add(f)
		return
	}
	set, err := readKeys(a.body)
	if err != nil {
		f.Cause, f.Got, f.Cure = "not-jwks", v.named(s)+"jwks_uri: "+err.Error(), "publish a JWK Set, an object with the member keys, at jwks_uri"
		v.add(f)
		return
	}
	s.keys = set
	f.Got = fmt.Sprintf("%s%d of %d keys can verify signatures: %s", v.named(s), len(set.usable), set.total, strings.Join(set.algorithms(), ", "))
	switch {
	case set.private:
		f.Cause, f.Symptom = "private", ""
		f.Cure = "the key set has the private half of a key in it: replace that key now, and publish public members only; whoever read it can make tokens"
	case set.total == 0:
		f.Cause, f.Cure = "empty", "the key set is empty: publish the public key that signs access tokens"
	case len(set.usable) == 0 && set.symmetric > 0:
		f.Cause, f.Cure = "symmetric", "there are symmetric keys only (oct, for HS256): sign access tokens with an asymmetric algorithm such as RS256 or ES256, and publish its public key; a shared secret must never be published"
	case len(set.usable) == 0 && set.weak > 0:
		f.Cause, f.Cure = "weak", "the RSA keys are shorter than 2048 bits, which verifiers refuse: make a new one"
	case len(set.usable) == 0:
		f.Cause, f.Got, f.Cure = "unusable", f.Got+"; "+set.reason, "publish an RSA, EC or Ed25519 key for signatures"
	case set.symmetric > 0:
		f.Status, f.Cause, f.Symptom = Warn, "symmetric", ""
		f.Cure = "a symmetric key (oct) is published for everybody to read: take it out, and replace it wherever it is used"
	case set.weak > 0:
		f.Status, f.Cause = Warn, "weak"
		f.Cure = "one RSA key is shorter than 2048 bits: tokens that it signs are refused; replace it"
	default:
		v.pass(f.Got)
		return
	}
	v.add(f)
}

// algorithms are those that the keys fit.
func (k keySet) algorithms() (list []string) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		if slices.ContainsFunc(k.usable, func(key *jwks.Key) bool { return key.Fits(alg) }) {
			list = append(list, alg)
		}
	}
	if list == nil {
		list = []string{"none"}
	}
	return list
}

// readKeys reads a JWK Set key by key, as RFC 7517, Section 5 wants: one bad key spoils nothing.
func readKeys(body []byte) (keySet, error) {
	set := keySet{fetched: true}
	found := false
	sc := strictjson.NewScanner(body, strictjson.Limits{MaxDepth: 16})
	err := sc.Object(func(name []byte) error {
		if string(name) != "keys" {
			return nil
		}
		found = true
		return sc.Array(func(i int) error {
			if i == maxKeys {
				return fmt.Errorf("more than %d keys", maxKeys)
			}
			raw, err := sc.Raw()
			if err == nil {
				set.read(raw)
			}
			return err
		})
	})
	if err == nil {
		err = sc.End()
	}
	if err == nil && !found {
		err = errors.New("no member keys")
	}
	return set, err
}

func (k *keySet) read(raw []byte) {
	k.total++
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) == nil {
		if string(members["kty"]) == `"oct"` {
			k.symmetric++
		} else if _, private := members["d"]; private {
			k.private = true
		}
	}
	key, err := jwks.ParseKey(raw)
	if err != nil {
		k.reason = err.Error() // names members, never values
		if strings.Contains(k.reason, "RSA under") {
			k.weak++
		}
		return
	}
	k.usable = append(k.usable, key)
}
