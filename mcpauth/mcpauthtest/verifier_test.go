package mcpauthtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A parsedProof is a proof whose signature fits the key in it.
type parsedProof struct {
	header, claims map[string]any
	thumbprint     string
}

// naive reads a proof with nothing but the standard library, one check after the other in the order of
// RFC 9449, Section 4.3. It shares no code with the package.
func naive(proof string) (parsedProof, error) {
	var p parsedProof
	parts := strings.Split(proof, ".")
	if len(parts) != 3 {
		return p, errors.New("not three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return p, err
		}
	}
	if err := errors.Join(json.Unmarshal(raw[0], &p.header), json.Unmarshal(raw[1], &p.claims)); err != nil {
		return p, err
	}
	if p.header["typ"] != "dpop+jwt" {
		return p, fmt.Errorf("typ %v", p.header["typ"])
	}
	jwk, _ := p.header["jwk"].(map[string]any)
	num := func(name string) *big.Int {
		s, _ := jwk[name].(string)
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil || len(b) == 0 {
			return new(big.Int)
		}
		return new(big.Int).SetBytes(b)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := jwk[private]; there {
			return p, errors.New("a private member")
		}
	}
	input, sig := []byte(parts[0]+"."+parts[1]), raw[2]
	alg, _ := p.header["alg"].(string)
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[strings.TrimLeft(alg, "ESRP")]
	digest := func() []byte { h := hash.New(); h.Write(input); return h.Sum(nil) }
	var canonical string
	good := false
	switch {
	case strings.HasPrefix(alg, "ES"):
		curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
		names := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
		if curve == nil || jwk["kty"] != "EC" || jwk["crv"] != names[alg] {
			return p, errors.New("key and alg differ")
		}
		half := (curve.Params().BitSize + 7) / 8
		if len(sig) != 2*half {
			return p, errors.New("length of the signature")
		}
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, jwk["crv"], jwk["x"], jwk["y"])
		pub := &ecdsa.PublicKey{Curve: curve, X: num("x"), Y: num("y")}
		good = ecdsa.Verify(pub, digest(), new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:]))
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		if hash == 0 || jwk["kty"] != "RSA" {
			return p, errors.New("key and alg differ")
		}
		canonical = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, jwk["e"], jwk["n"])
		pub := &rsa.PublicKey{N: num("n"), E: int(num("e").Int64())}
		if alg[0] == 'R' {
			good = rsa.VerifyPKCS1v15(pub, hash, digest(), sig) == nil
		} else {
			good = rsa.VerifyPSS(pub, hash, digest(), sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case alg == "EdDSA":
		if jwk["kty"] != "OKP" || jwk["crv"] != "Ed25519" {
			return p, errors.New("key and alg differ")
		}
		canonical = fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, jwk["x"])
		x, _ := jwk["x"].(string)
		pub, err := base64.RawURLEncoding.Strict().DecodeString(x)
		good = err == nil && len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, input, sig)
	default:
		return p, fmt.Errorf("alg %q", alg)
	}
	if !good {
		return p, errors.New("the signature is wrong")
	}
	p.thumbprint = hashed(canonical)
	return p, nil
}

func hashed(s string) string {
	d := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// A judge checks the proofs of requests, and that none comes twice.
type judge struct {
	thumbprint string
	mu         sync.Mutex
	jti        map[string]bool
}

// check judges the proof of a request for this URL; token is empty where there must be no ath.
func (j *judge) check(r *http.Request, url, token, nonce string) error {
	if n := len(r.Header["Dpop"]); n != 1 {
		return fmt.Errorf("%d DPoP fields", n)
	}
	p, err := naive(r.Header.Get("DPoP"))
	if err != nil {
		return err
	}
	want := map[string]any{"htm": r.Method, "htu": url}
	if token != "" {
		want["ath"] = hashed(token)
	}
	if nonce != "" {
		want["nonce"] = nonce
	}
	for _, name := range []string{"htm", "htu", "ath", "nonce"} {
		if p.claims[name] != want[name] {
			return fmt.Errorf("%s is %v, want %v", name, p.claims[name], want[name])
		}
	}
	if iat, ok := p.claims["iat"].(float64); !ok || time.Since(time.Unix(int64(iat), 0)).Abs() > 5*time.Minute {
		return fmt.Errorf("iat %v", p.claims["iat"])
	}
	jti, _ := p.claims["jti"].(string)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.jti[jti] || len(jti) < 20 || len(p.claims) != 4+min(len(token), 1)+min(len(nonce), 1) {
		return fmt.Errorf("jti %q, claims %v", jti, p.claims)
	}
	if j.jti == nil {
		j.jti = make(map[string]bool)
	}
	j.jti[jti] = true
	if p.thumbprint != j.thumbprint {
		return errors.New("another key")
	}
	return nil
}
