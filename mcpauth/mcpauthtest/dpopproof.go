package mcpauthtest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A DPoPProof is a proof before it is signed: the members of its two parts, for a test to change, add
// or delete. The zero value has no members and is refused by every server. [DPoPKey.NewProof] makes one
// that is correct.
type DPoPProof struct {
	// Header holds typ, alg and jwk, which is what [DPoPKey.PublicJWK] returns. Whatever alg says, the
	// signature is the key's own.
	Header map[string]any
	// Claims holds jti, htm, htu, iat (an int64, in seconds), and as needed ath and nonce.
	Claims map[string]any
}

// NewProof returns the proof of a request as RFC 9449, Section 4.2, describes it: with a jti of its own,
// made now, and with the key's public half. Query and fragment of the URL are left out. An empty token
// means no ath, as in proofs for a token endpoint; an empty nonce means none. The URL is not judged.
func (k *DPoPKey) NewProof(method, url, token, nonce string) *DPoPProof {
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	p := &DPoPProof{
		Header: map[string]any{"typ": "dpop+jwt", "alg": k.alg.name, "jwk": k.PublicJWK()},
		Claims: map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix()},
	}
	if token != "" {
		p.Claims["ath"] = sum(token)
	}
	if nonce != "" {
		p.Claims["nonce"] = nonce
	}
	return p
}

// Proof returns the correct and signed proof of a request: the value of its DPoP field. The parameters
// are those of [DPoPKey.NewProof].
func (k *DPoPKey) Proof(method, url, token, nonce string) string {
	return k.Sign(k.NewProof(method, url, token, nonce))
}

// Sign signs a proof as it is, right or wrong. It panics if a member cannot be written as JSON, such as
// a function, which only a mistake in the test can bring about.
func (k *DPoPKey) Sign(p *DPoPProof) string {
	return k.SignParts(object(p.Header), object(p.Claims))
}

// SignParts signs a JWS in compact form whose parts are these texts, whatever they are: for duplicate
// members, broken JSON or bad UTF-8.
func (k *DPoPKey) SignParts(header, claims []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	input := enc(header) + "." + enc(claims)
	sig, err := k.signature([]byte(input))
	if err != nil {
		panic("mcpauthtest: signing a proof: " + err.Error())
	}
	return input + "." + enc(sig)
}

// object writes members in the order of their names, so that the headers of one key's proofs are equal.
func object(members map[string]any) []byte {
	if members == nil {
		members = map[string]any{}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // & stays readable in htu
	if err := enc.Encode(members); err != nil {
		panic(fmt.Sprintf("mcpauthtest: a member cannot be written as JSON: %v", err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// sum is SHA-256 in base64url: ath and jkt.
func sum(s string) string {
	d := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(d[:])
}
