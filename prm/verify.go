package prm

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits on what is verified.
const (
	defaultLeeway = 30 * time.Second
	mostLeeway    = 5 * time.Minute
	maxTried      = 8 // keys that one signature is tried with
)

// ErrUnsigned is the error of [Verifier.Verify] for a document without signed_metadata. Such a document is complete (RFC 9728, Section 2.2):
// whether it will do is for the reader to say.
var ErrUnsigned = errors.New("prm: the document is not signed: it has no signed_metadata")

// A VerificationKey is a public key of the party that vouches for a document.
type VerificationKey struct {
	ID        string           // kid; a signature that names another is not tried with it. Empty: it is tried with all
	Algorithm string           // the one alg that it is for; empty: all that its kind fits
	Public    crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
}

// A Verifier verifies signed documents. The zero value refuses all: Resource and Keys are required. It is safe for concurrent use while nobody
// changes it.
type Verifier struct {
	// Resource is the identifier from which the URL of the document was made. The document must be about it, byte for byte (RFC 9728, Section
	// 3.3). Required.
	Resource string

	// Issuer is whose word is taken: the iss of the signature, byte for byte. Empty: the resource itself.
	Issuer string

	// Keys are those of Issuer, had from it or from a federation, and not by way of the document that they are to verify. Required.
	Keys []VerificationKey

	// Leeway is how far the clocks may differ. Zero: 30 s; negative: none; more than 5 min is refused.
	Leeway time.Duration

	Now func() time.Time // nil: time.Now
}

// Signed is what a verified document says. It has no zero value of use.
type Signed struct {
	Metadata         Metadata // by its claims, which equal the plain members
	Issuer           string   // iss
	KeyID            string   // kid; empty without one
	Algorithm        string   // alg
	IssuedAt, Expiry time.Time
}

// Verify reads a document, verifies its signed_metadata, and compares the two (RFC 9728, Section 2.2 and 3.3). Refused are: everything that
// [Metadata.UnmarshalJSON] refuses, in the plain members and in the claims; another resource or issuer than the Verifier's; an alg outside
// those of [Signing]; a typ of another kind of JWT, and crit; a signature by none of Keys; a signature without iat or exp, from the future,
// or past its exp; a claim aud, since the signature is then for somebody else; signed_metadata among the claims; and any member that stands on
// one side only, or differs. The RFC lets a reader take the claims where they differ. Here that is an error that names the members, because
// most clients read the plain ones.
//
// Keys in the header of the JWT (jwk, jku, x5c) are not looked at. The error never quotes a value of the document.
func (v *Verifier) Verify(document []byte) (*Signed, error) {
	if err := v.check(); err != nil {
		return nil, named("prm:", err)
	}
	plain, err := parse(document)
	if err != nil {
		return nil, err
	}
	var doc Metadata
	if err := doc.UnmarshalJSON(document); err != nil {
		return nil, err
	}
	if doc.Resource != v.Resource {
		return nil, errors.New("prm: the document is about another resource, so nothing in it may be used (RFC 9728, Section 3.3)")
	}
	value, ok := plain[signedMetadata]
	if !ok {
		return nil, ErrUnsigned
	}
	text, ok := value.(string)
	if !ok {
		return nil, errors.New("prm: signed_metadata must be a string")
	}
	delete(plain, signedMetadata)
	out, claims, err := v.open(text)
	if err != nil {
		return nil, named("prm: signed_metadata", err)
	}
	for _, name := range registered {
		delete(claims, name)
	}
	if names := differences(plain, claims); len(names) > 0 {
		return nil, fmt.Errorf("prm: signed_metadata and the plain members differ in %s", strings.Join(names, ", "))
	}
	out.Metadata = doc
	return out, nil
}

func (v *Verifier) check() error {
	var errs []error
	if v.Resource == "" {
		errs = append(errs, errors.New("Verifier.Resource is empty; write the identifier from which the URL of the document was made"))
	}
	if len(v.Keys) == 0 {
		errs = append(errs, errors.New("Verifier.Keys is empty; write the public keys of the issuer"))
	}
	if v.Leeway > mostLeeway {
		errs = append(errs, fmt.Errorf("Verifier.Leeway is %v; write %v or less", v.Leeway, mostLeeway))
	}
	return errors.Join(errs...)
}

// open verifies the JWT and returns its claims.
func (v *Verifier) open(text string) (*Signed, map[string]any, error) {
	parts := strings.SplitN(text, ".", 4)
	if len(parts) != 3 {
		return nil, nil, errors.New("is no JWS in its compact form (RFC 7515, Section 7.1)")
	}
	head, err := decodePart(parts[0])
	if err != nil {
		return nil, nil, fmt.Errorf("has a header that cannot be read: %w", err)
	}
	alg, kid, err := readHeader(head)
	if err != nil {
		return nil, nil, err
	}
	sig, err := decode(parts[2])
	if err != nil {
		return nil, nil, fmt.Errorf("has a signature that cannot be read: %w", err)
	}
	if !v.signed(alg, kid, []byte(parts[0]+"."+parts[1]), sig) {
		return nil, nil, errors.New("was signed by none of the keys")
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return nil, nil, fmt.Errorf("has claims that cannot be read: %w", err)
	}
	out := &Signed{KeyID: kid, Algorithm: alg.name}
	return out, claims, v.judge(claims, out)
}

// readHeader returns alg and kid (RFC 7515, Section 4.1).
func readHeader(head map[string]any) (alg *algorithm, kid string, err error) {
	name, _ := head["alg"].(string)
	if alg = algorithmOf(name); alg == nil {
		return nil, "", fmt.Errorf("has an alg that is not accepted; those are %s", strings.Join(algorithmNames(), ", "))
	}
	if _, has := head["crit"]; has {
		return nil, "", errors.New("has crit, and no extension is understood here (RFC 7515, Section 4.1.11)")
	}
	if value, has := head["kid"]; has {
		var ok bool
		if kid, ok = value.(string); !ok {
			return nil, "", errors.New("has a kid that is no string")
		}
	}
	if value, has := head["typ"]; has {
		typ, _ := value.(string)
		typ = strings.TrimPrefix(strings.ToLower(typ), "application/") // RFC 7515, Section 4.1.9
		if typ != "jwt" && typ != signedType {
			return nil, "", errors.New("has the typ of another kind of JWT (RFC 8725, Section 3.11)")
		}
	}
	return alg, kid, nil
}

// signed tries the keys that the header leaves.
func (v *Verifier) signed(alg *algorithm, kid string, input, sig []byte) bool {
	tried := 0
	for _, key := range v.Keys {
		if kid != "" && key.ID != "" && kid != key.ID || key.Algorithm != "" && key.Algorithm != alg.name || alg.fits(key.Public) != nil {
			continue
		}
		if tried++; tried > maxTried {
			return false
		}
		if alg.verify(key.Public, input, sig) {
			return true
		}
	}
	return false
}

// judge looks at what the claims say about the signature.
func (v *Verifier) judge(claims map[string]any, out *Signed) error {
	issuer := v.Issuer
	if issuer == "" {
		issuer = v.Resource
	}
	if got, ok := claims["iss"].(string); !ok || got != issuer {
		return errors.New("has no iss, or that of another issuer than the one that is trusted")
	}
	if _, has := claims["aud"]; has {
		return errors.New("has an aud, so it is for somebody else")
	}
	if _, has := claims[signedMetadata]; has {
		return errors.New("holds signed_metadata itself (RFC 9728, Section 2.2)")
	}
	leeway := v.Leeway
	if leeway == 0 {
		leeway = defaultLeeway
	}
	leeway = max(leeway, 0)
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	at := now()
	issued, err := date(claims, "iat")
	if err != nil {
		return err
	}
	expiry, err := date(claims, "exp")
	if err != nil {
		return err
	}
	start := issued
	if _, has := claims["nbf"]; has {
		if start, err = date(claims, "nbf"); err != nil {
			return err
		}
	}
	switch {
	case !expiry.After(issued):
		return errors.New("expires before it was issued")
	case at.Add(leeway).Before(issued), at.Add(leeway).Before(start):
		return errors.New("is not good yet; is a clock wrong?")
	case !at.Add(-leeway).Before(expiry): // RFC 7519, Section 4.1.4: not on or after
		return errors.New("has expired; the server must sign anew before")
	}
	out.Issuer, out.IssuedAt, out.Expiry = issuer, issued, expiry
	return nil
}

// date reads a NumericDate (RFC 7519, Section 2). A fraction is dropped.
func date(claims map[string]any, name string) (time.Time, error) {
	number, ok := claims[name].(json.Number)
	if !ok {
		return time.Time{}, fmt.Errorf("has no %s that is a number", name)
	}
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil || !(f >= 0 && f <= 253402300799) { // the year 9999
		return time.Time{}, fmt.Errorf("has an %s outside of what a date can be", name)
	}
	return time.Unix(int64(math.Floor(f)), 0), nil
}

// decodePart reads a part of a JWS that is a JSON object.
func decodePart(text string) (map[string]any, error) {
	raw, err := decode(text)
	if err != nil {
		return nil, err
	}
	object, err := parse(raw)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "prm: "))
	}
	return object, nil
}

// decode reads base64url in its only spelling (RFC 7515, Section 2): encoding/base64 passes over line breaks and unused bits.
func decode(text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
		return nil, errors.New("it is not canonical base64url without padding")
	}
	return raw, nil
}

// differences names the members that are not the same on both sides. Numbers are compared as they are written.
func differences(a, b map[string]any) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if other, has := b[name]; !has || !reflect.DeepEqual(a[name], other) {
			names = append(names, quote(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, has := a[name]; !has {
			names = append(names, quote(name))
		}
	}
	const most = 8
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return names
}
