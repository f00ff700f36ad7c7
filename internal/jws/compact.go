// Package jws holds what access tokens and DPoP proofs share: the compact form of RFC 7515 and the
// signatures of RFC 7518 and RFC 8037. What a header may say and what a payload means is left to the
// callers.
//
// golang-jwt computes the signatures of RSA and Ed25519 and nothing else, crypto/ecdsa the others. What a
// key and a signature must look like is checked here first, whatever the caller has checked before.
package jws

import (
	"encoding/base64"
	"errors"
)

// base64url of RFC 7515, Section 2, with unused bits that must be zero: otherwise one signature has
// several spellings, and a token several hashes.
var base64url = base64.RawURLEncoding.Strict()

// alphabet marks the bytes of base64url.
var alphabet = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = true
	}
	return t
}()

// ErrEncoding is the one error of [Decode]. It does not quote the input.
var ErrEncoding = errors.New("not canonical base64url without padding")

// Decode decodes base64url in its only spelling: no padding, no line breaks, which encoding/base64 skips,
// and no unused bits that are set. The caller bounds the length.
func Decode(text string) ([]byte, error) {
	out, err := base64url.DecodeString(text)
	// Each length that is possible stands for another number of bytes, so a byte that was skipped shows.
	if err != nil || len(text)%4 == 1 || len(out) != base64url.DecodedLen(len(text)) {
		return nil, ErrEncoding
	}
	return out, nil
}

// Parts are the parts of a compact JWS in their encoded form (RFC 7515, Section 7.1).
type Parts struct {
	Header, Payload, Signature string // empty unless [Parts.OK]; each of them may be empty then, too

	Dots    int  // how many dots there were
	Foreign bool // there was a byte that is neither a dot nor of base64url
}

// Split finds the two dots of a compact JWS. It looks at each byte once and allocates nothing, whatever
// the number of dots. The caller bounds the length.
func Split(token string) Parts {
	var p Parts
	var at [2]int
	for i := range len(token) {
		if c := token[i]; c == '.' {
			if p.Dots < len(at) {
				at[p.Dots] = i
			}
			p.Dots++
		} else if !alphabet[c] {
			p.Foreign = true
		}
	}
	if p.OK() {
		p.Header, p.Payload, p.Signature = token[:at[0]], token[at[0]+1:at[1]], token[at[1]+1:]
	}
	return p
}

// OK reports whether there are exactly three parts of base64url. The zero Parts are not.
func (p Parts) OK() bool { return p.Dots == 2 && !p.Foreign }
