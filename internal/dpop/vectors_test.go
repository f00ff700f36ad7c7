package dpop_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/dpop"
)

// A vector is a good ES256 proof after replacements, signed again. Everything else about it is right, so
// that it fails when its one check is removed.
type vector struct {
	name      string
	header    [2]string // text of the header to replace, and by what
	claims    [2]string
	alg, key  string                    // of the signature; default ES256 and p256
	edit      func(proof string) string // of the encoded proof
	request   func(*dpop.Request)
	configure func(*dpop.Config)
	reason    string // "" for a proof that is accepted
	known     bool   // the vector's header is the good one: try again with Known
	check     func(t *testing.T, e *dpop.Error)
}

var longJTI = strings.Repeat("j", 256)

func vectors(t testing.TB) []vector {
	p256 := jwkOf(keys()["p256"].Public())
	point := must(keys()["p256"].Public().(*ecdsa.PublicKey).Bytes())
	x, y := b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])
	scalar := b64.EncodeToString(must(keys()["p256"].(*ecdsa.PrivateKey).Bytes()))
	member := func(text string) [2]string { return [2]string{`"kty":`, text + `,"kty":`} }
	jwk := func(text string) [2]string { return [2]string{p256, text} }
	htu := func(url string) [2]string { return [2]string{resource, url} }
	iat := func(text string) [2]string { return [2]string{"1767225600", text} }
	jti := func(text string) [2]string { return [2]string{`"jti-1"`, text} }
	without := func(claim string) [2]string { return [2]string{claim, ""} }
	claim := func(text string) [2]string { return [2]string{`{"jti"`, `{` + text + `,"jti"`} }
	head := func(text string) [2]string { return [2]string{`{"typ"`, `{` + text + `,"typ"`} }
	parts := func(f func(p []string)) func(string) string {
		return func(proof string) string {
			p := strings.Split(proof, ".")
			f(p)
			return strings.Join(p, ".")
		}
	}
	athClaim := `,"ath":"` + ath(accessToken) + `"`
	rs := func(i int) func(p []string) { // signatures with R or S of zero
		return func(p []string) {
			sig := must(b64.DecodeString(p[2]))
			clear(sig[i*32 : i*32+32])
			p[2] = b64.EncodeToString(sig)
		}
	}

	list := []vector{
		{name: "RFC 9449 4.2: the good proof"},

		// Item 1 of RFC 9449, Section 4.3: the caller counts fields.
		{name: "DPOP-01 4.3(1): an empty field", edit: func(string) string { return "" }, reason: dpop.ReasonCount},
		{name: "DPOP-01 4.3(1): two joined by a comma", edit: func(p string) string { return p + "," + p }, reason: dpop.ReasonCount},
		{name: "DPOP-01 4.3(1): two joined by comma and space", edit: func(p string) string { return p + ", " + p }, reason: dpop.ReasonCount},
		{name: "DPOP-01 4.3(1): a comma at the end", edit: func(p string) string { return p + "," }, reason: dpop.ReasonCount},

		// Item 2: a single and well-formed JWT.
		{name: "DPOP-02 4.3(2): no JWT", edit: func(string) string { return "this-is-not-a-jwt" }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): two parts", edit: func(p string) string { return p[:strings.LastIndexByte(p, '.')] }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): four parts", edit: func(p string) string { return p + "." }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): five parts", edit: func(p string) string { return p + ".a.b" }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): padding", edit: func(p string) string { return p + "==" }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): a space before", edit: func(p string) string { return " " + p }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): a line break", edit: func(p string) string { return p + "\n" }, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): a signature with unused bits set", edit: loosen, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): a header with unused bits set", header: head(`"pad":"` + strings.Repeat("a", padding(len(goodHeader("p256"))+9)) + `"`), edit: parts(func(p []string) { p[0] = loosen(p[0]) }), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): claims with unused bits set", claims: claim(`"pad":"` + strings.Repeat("a", padding(len(goodClaims)+9)) + `"`), edit: parts(func(p []string) { p[1] = loosen(p[1]) }), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): more than 8 KiB", claims: claim(`"pad":"` + strings.Repeat("a", 6000) + `"`), reason: dpop.ReasonTooLong},
		{name: "DPOP-02 4.3(2): nearly 8 KiB", claims: claim(`"pad":"` + strings.Repeat("a", 5700) + `"`)},
		{name: "DPOP-02 4.3(2): a long header", header: head(`"pad":"` + strings.Repeat("a", 4000) + `"`), reason: dpop.ReasonTooLong},
		{name: "DPOP-02 4.3(2): a header that is an array", edit: parts(func(p []string) { p[0] = b64.EncodeToString([]byte(`["dpop+jwt"]`)) }), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): claims that are an array", claims: [2]string{goodClaims, `[` + goodClaims + `]`}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): an empty payload", claims: [2]string{goodClaims, ``}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): data after the claims", claims: [2]string{goodClaims, goodClaims + "{}"}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): data after the header", header: [2]string{`}}`, `}}{}`}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): claims too deep", claims: claim(`"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20)), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): header too deep", header: head(`"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20)), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): a claim twice", claims: claim(`"htm":"POST"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): an ignored claim twice", claims: claim(`"a":1,"a":1`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): alg twice", header: head(`"alg":"ES256"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): jwk twice", header: head(`"jwk":` + p256), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): a member of jwk twice", header: member(`"kty":"EC"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): claim HTU beside htu", claims: claim(`"HTU":"https://evil.example/"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): header member Alg beside alg", header: head(`"Alg":"ES256"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(2): jwk member KTY beside kty", header: member(`"KTY":"EC"`), reason: dpop.ReasonMalformed},
		{name: "RFC 7515 4.1.11: crit", header: head(`"crit":["exp"],"exp":1`), reason: dpop.ReasonCritical},
		{name: "RFC 7797 7: b64", header: head(`"b64":true`), reason: dpop.ReasonCritical},
		{name: "RFC 7516 4.1.3: zip", header: head(`"zip":"DEF"`), reason: dpop.ReasonCritical},
		{name: "RFC 7516 4.1.2: enc", header: head(`"enc":"A128GCM"`), reason: dpop.ReasonCritical},

		// Item 3: all required claims, and of their types (Section 4.2).
		{name: "DPOP-02 4.3(3): no jti", claims: without(`"jti":"jti-1",`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): no htm", claims: without(`"htm":"POST",`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): no htu", claims: without(`"htu":"` + resource + `",`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): no iat", claims: without(`"iat":1767225600,`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): jti as a number", claims: jti("1"), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): jti null", claims: jti("null"), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): htm as a list", claims: [2]string{`"POST"`, `["POST"]`}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): htu as a list", claims: [2]string{`"` + resource + `"`, `["` + resource + `"]`}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): ath as a list", claims: [2]string{`"` + ath(accessToken) + `"`, `["` + ath(accessToken) + `"]`}, reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): iat as a string", claims: iat(`"1767225600"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): nonce as a number", claims: claim(`"nonce":1`), reason: dpop.ReasonMalformed},
		{name: "DPOP-02 4.3(3): claims in escapes", claims: [2]string{`"htm":"POST"`, `"\u0068tm":"\u0050OST"`}},

		// Item 4: typ.
		{name: "DPOP-02 4.3(4): no typ", header: [2]string{`"typ":"dpop+jwt",`, ``}, reason: dpop.ReasonType, check: func(t *testing.T, e *dpop.Error) { require.Equal(t, "no typ", e.Got) }},
		{name: "DPOP-02 4.3(4): typ JWT", header: [2]string{"dpop+jwt", "JWT"}, reason: dpop.ReasonType},
		{name: "DPOP-02 4.3(4): typ at+jwt", header: [2]string{"dpop+jwt", "at+jwt"}, reason: dpop.ReasonType},
		{name: "DPOP-02 4.3(4): an empty typ", header: [2]string{"dpop+jwt", ""}, reason: dpop.ReasonType},
		{name: "DPOP-02 4.3(4): typ of another tree", header: [2]string{"dpop+jwt", "text/dpop+jwt"}, reason: dpop.ReasonType},
		{name: "DPOP-02 4.3(4): typ as a list", header: [2]string{`"dpop+jwt"`, `["dpop+jwt"]`}, reason: dpop.ReasonMalformed},
		{name: "RFC 7515 4.1.9: typ in capitals", header: [2]string{"dpop+jwt", "DPoP+JWT"}},
		{name: "RFC 7515 4.1.9: typ with its prefix", header: [2]string{"dpop+jwt", "application/dpop+jwt"}},

		// Item 5: alg.
		{name: "DPOP-03 4.3(5): no alg", header: [2]string{`"alg":"ES256",`, ``}, reason: dpop.ReasonMalformed},
		{name: "DPOP-03 4.3(5): alg none", header: [2]string{"ES256", "none"}, alg: "none", reason: dpop.ReasonAlgorithm},
		{name: "DPOP-03 4.3(5): alg None", header: [2]string{"ES256", "None"}, alg: "none", reason: dpop.ReasonAlgorithm},
		{name: "DPOP-03 4.3(5): HS256 by the public key", header: [2]string{"ES256", "HS256"}, alg: "HS256", reason: dpop.ReasonAlgorithm},
		{name: "DPOP-03 4.3(5): HS512 by the public key", header: [2]string{"ES256", "HS512"}, alg: "HS512", reason: dpop.ReasonAlgorithm},
		{name: "DPOP-03 4.3(5): alg es256", header: [2]string{"ES256", "es256"}, reason: dpop.ReasonAlgorithm},
		{name: "DPOP-03 4.3(5): an asymmetric alg that is not configured", configure: func(c *dpop.Config) { c.Algorithms = []string{"EdDSA"} }, reason: dpop.ReasonAlgorithm},
		{name: "DPOP-03 4.3(5): alg as a list", header: [2]string{`"ES256"`, `["ES256"]`}, reason: dpop.ReasonMalformed},

		// Item 6: the signature, and what jwk must be for it.
		{name: "DPOP-04 4.3(6): another key's signature", key: "foreign", reason: dpop.ReasonSignature, known: true},
		{name: "DPOP-04 4.3(6): no signature", edit: parts(func(p []string) { p[2] = "" }), reason: dpop.ReasonSignature, known: true},
		{name: "DPOP-04 4.3(6): R is zero", edit: parts(rs(0)), reason: dpop.ReasonSignature, known: true},
		{name: "DPOP-04 4.3(6): S is zero", edit: parts(rs(1)), reason: dpop.ReasonSignature, known: true},
		{name: "DPOP-04 4.3(6): a zero before the signature", edit: parts(func(p []string) {
			p[2] = b64.EncodeToString(append([]byte{0}, must(b64.DecodeString(p[2]))...))
		}), reason: dpop.ReasonSignature, known: true},
		{name: "DPOP-04 4.3(6): the claims of another proof", edit: parts(func(p []string) {
			p[1] = b64.EncodeToString([]byte(strings.Replace(goodClaims, "jti-1", "jti-2", 1)))
		}), reason: dpop.ReasonSignature, known: true},
		{name: "DPOP-04 4.3(6): no jwk", header: [2]string{`,"jwk":` + p256, ``}, reason: dpop.ReasonMalformed, check: func(t *testing.T, e *dpop.Error) { require.Equal(t, "a header with jwk", e.Expected) }},
		{name: "DPOP-04 4.3(6): jwk null", header: jwk(`null`), reason: dpop.ReasonMalformed},
		{name: "DPOP-04 4.3(6): jwk as a string", header: jwk(`"` + x + `"`), reason: dpop.ReasonMalformed},
		{name: "DPOP-04 4.3(6): jwk as a list", header: jwk(`[` + p256 + `]`), reason: dpop.ReasonMalformed},
		{name: "DPOP-04 4.3(6): an empty jwk", header: jwk(`{}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): jwk without y", header: jwk(`{"kty":"EC","crv":"P-256","x":"` + x + `"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): jwk without crv", header: jwk(`{"kty":"EC","x":"` + x + `","y":"` + y + `"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): a point off the curve", header: jwk(`{"kty":"EC","crv":"P-256","x":"` + y + `","y":"` + x + `"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): the point at infinity", header: jwk(`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): empty coordinates", header: jwk(`{"kty":"EC","crv":"P-256","x":"","y":""}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): coordinates of 72 bytes", header: jwk(`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 53) + x + `","y":"` + y + `"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): coordinates of 1.5 KB", header: jwk(`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 2000) + `","y":"` + y + `"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): a curve with another alg", header: jwk(jwkOf(keys()["p384"].Public())), alg: "ES384", key: "p384", reason: dpop.ReasonKey,
			request: func(r *dpop.Request) { r.Thumbprint = thumbprintOf("p384") }},
		{name: "DPOP-04 4.3(6): an unknown curve", header: [2]string{`"P-256"`, `"secp256k1"`}, reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): a symmetric key type", header: jwk(`{"kty":"oct"}`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): use enc", header: member(`"use":"enc"`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): key_ops without verify", header: member(`"key_ops":["encrypt"]`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): jwk for another alg", header: member(`"alg":"ES384"`), reason: dpop.ReasonKey},
		{name: "DPOP-04 4.3(6): jwk for none", header: member(`"alg":"none"`), reason: dpop.ReasonKey},
		{name: "RFC 7517 4: a jwk that says what it is for", header: member(`"alg":"ES256","use":"sig","key_ops":["verify"],"kid":"one"`)},
		{name: "RFC 7515 4.1: kid, jku and x5c are ignored", header: head(`"kid":"one","jku":"https://evil.example/","x5u":"http://169.254.169.254/","x5c":["AA"],"x5t#S256":"AA"`)},
		{name: "RFC 8725 3.5: RSA of 1024 bits", header: [2]string{goodHeader("p256"), `{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"` + number(1024) + `"}}`}, reason: dpop.ReasonKey},
		{name: "DPOP-04: RSA of 4104 bits", header: [2]string{goodHeader("p256"), `{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"` + number(4104) + `"}}`}, reason: dpop.ReasonKey,
			check: func(t *testing.T, e *dpop.Error) { require.Contains(t, e.Got, "4104") }},
		{name: "DPOP-04: RSA with the exponent 1", header: [2]string{goodHeader("p256"), `{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","e":"AQ","n":"` + number(2048) + `"}}`}, reason: dpop.ReasonKey},
		{name: "DPOP-04: Ed25519 of small order", header: [2]string{goodHeader("p256"), `{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AQ` + strings.Repeat("A", 41) + `"}}`}, reason: dpop.ReasonKey},
		{name: "DPOP-04: X25519", header: [2]string{goodHeader("p256"), `{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"X25519","x":"` + x + `"}}`}, reason: dpop.ReasonKey},

		// Item 7: no private key.
		{name: "DPOP-04 4.3(7): the private key itself", header: member(`"d":"` + scalar + `"`), reason: dpop.ReasonPrivateKey},
		{name: "DPOP-04 4.3(7): d null", header: member(`"d":null`), reason: dpop.ReasonPrivateKey},
		{name: "DPOP-04 4.3(7): d in an escape", header: member(`"\u0064":""`), reason: dpop.ReasonPrivateKey},
		{name: "DPOP-04 4.3(7): D", header: member(`"D":"` + scalar + `"`), reason: dpop.ReasonPrivateKey},
		{name: "DPOP-04 4.3(7): k with the Kelvin sign", header: member("\"\u212a\":\"AA\""), reason: dpop.ReasonPrivateKey},
		{name: "DPOP-04 4.3(7): a symmetric key", header: jwk(`{"kty":"oct","k":"AAAA"}`), reason: dpop.ReasonPrivateKey},

		// Item 8: htm.
		{name: "DPOP-05 4.3(8): another method", claims: [2]string{"POST", "GET"}, reason: dpop.ReasonMethod, known: true},
		{name: "DPOP-05 4.3(8): post", claims: [2]string{"POST", "post"}, reason: dpop.ReasonMethod, known: true},
		{name: "DPOP-05 4.3(8): an empty htm for an empty method", claims: [2]string{"POST", ""}, request: func(r *dpop.Request) { r.Method = "" }, reason: dpop.ReasonMethod, known: true},
		{name: "DPOP-05 4.3(8): GET has a proof of its own", claims: [2]string{"POST", "GET"}, request: func(r *dpop.Request) { r.Method = "GET" }},
		{name: "DPOP-05 4.3(8): DELETE has a proof of its own", claims: [2]string{"POST", "DELETE"}, request: func(r *dpop.Request) { r.Method = "DELETE" }},
		{name: "DPOP-05 4.3(8): a proof for POST does not do for DELETE", request: func(r *dpop.Request) { r.Method = "DELETE" }, reason: dpop.ReasonMethod, known: true},

		// Item 9: htu; more in TestDPOP06.
		{name: "DPOP-06 4.3(9): another host", claims: htu("https://wrong.example.com/mcp"), reason: dpop.ReasonURL, known: true},
		{name: "DPOP-06 4.3(9): another path", claims: htu("https://mcp.example.com/mcp2"), reason: dpop.ReasonURL, known: true},
		{name: "DPOP-06 4.3(9): the host behind the proxy", claims: htu("http://127.0.0.1:8080/mcp"), reason: dpop.ReasonURL, known: true},
		{name: "DPOP-06 4.3(9): an empty htu", claims: htu(""), reason: dpop.ReasonURL, known: true},
		{name: "DPOP-06 4.3(9): with query and fragment", claims: htu(resource + "?a=b#c")},
		{name: "DPOP-06 4.3(9): not yet normalized", claims: htu("HTTPS://MCP.Example.com:443/a/../%6dcp")},
		{name: "DPOP-06 4.3(9): a resource with a query", configure: func(c *dpop.Config) { c.URL += "?tenant=a" }},

		// Item 10: the nonce; see TestDPOP16 and those after it.
		{name: "DPOP-16 4.3(10): a nonce that nobody asked for", claims: claim(`"nonce":"of-somebody-else"`)},

		// Item 11: the time.
		{name: "DPOP-09 4.3(11): 303 s old", claims: iat("1767225297"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): 303 s ahead", claims: iat("1767225903"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): 301 s old", claims: iat("1767225299"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): 301 s ahead", claims: iat("1767225901"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): a little more than 300 s old", claims: iat("1767225299.99"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): a little more than 300 s ahead", claims: iat("1767225900.01"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): 300 s old", claims: iat("1767225300")},
		{name: "DPOP-09 4.3(11): 300 s ahead", claims: iat("1767225900")},
		{name: "DPOP-09 4.3(11): 290 s old", claims: iat("1767225310")},
		{name: "DPOP-09 4.3(11): a fraction", claims: iat("1767225599.5")},
		{name: "DPOP-09 4.3(11): an exponent", claims: iat("1.7672256e9")},
		{name: "DPOP-09 4.3(11): in milliseconds", claims: iat("1767225600000"), reason: dpop.ReasonTime, known: true, check: func(t *testing.T, e *dpop.Error) { require.Equal(t, "iat 9999-12-31T23:59:59Z", e.Got) }},
		{name: "DPOP-09 4.3(11): zero", claims: iat("0"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): negative", claims: iat("-1767225600"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): one that wraps in 64 bits", claims: iat("18446744075476777216"), reason: dpop.ReasonTime, known: true},
		{name: "DPOP-09 4.3(11): more than a float64 holds", claims: iat("1e400"), reason: dpop.ReasonTime, known: true, check: func(t *testing.T, e *dpop.Error) { require.Equal(t, "iat 9999-12-31T23:59:59Z", e.Got) }},
		{name: "DPOP-09 4.3(11): less than one holds", claims: iat("-1e400"), reason: dpop.ReasonTime, known: true, check: func(t *testing.T, e *dpop.Error) { require.Equal(t, "iat 0001-01-01T00:00:01Z", e.Got) }},
		{name: "DPOP-09 4.3(11): a window of a minute", claims: iat("1767225539"), configure: func(c *dpop.Config) { c.Window = 60e9 }, reason: dpop.ReasonTime},

		// Item 12: the token and its key.
		{name: "DPOP-07 4.3(12): no ath", claims: without(athClaim), reason: dpop.ReasonMalformed, known: true},
		{name: "DPOP-07 4.3(12): ath of another token", claims: [2]string{ath(accessToken), ath("another")}, reason: dpop.ReasonToken, known: true},
		{name: "DPOP-07 4.3(12): an empty ath", claims: [2]string{ath(accessToken), ""}, reason: dpop.ReasonToken, known: true},
		{name: "DPOP-07 4.3(12): ath with padding", claims: [2]string{ath(accessToken), ath(accessToken) + "="}, reason: dpop.ReasonToken, known: true},
		{name: "DPOP-07 4.3(12): the token instead of its hash", claims: [2]string{ath(accessToken), accessToken}, reason: dpop.ReasonToken, known: true},
		{name: "DPOP-07 4.3(12): a request without token", claims: [2]string{ath(accessToken), b64.EncodeToString(make([]byte, 32))},
			request: func(r *dpop.Request) { r.TokenHash = [32]byte{} }, reason: dpop.ReasonToken, known: true},
		{name: "DPOP-08 4.3(12): a token of another key", request: func(r *dpop.Request) { r.Thumbprint = thumbprintOf("foreign") }, reason: dpop.ReasonBinding, known: true},
		{name: "DPOP-08 4.3(12): a token without a key", request: func(r *dpop.Request) { r.Thumbprint = "" }, reason: dpop.ReasonBinding, known: true},
		{name: "DPOP-08 4.3(12): another key with all of its proof", header: jwk(jwkOf(keys()["foreign"].Public())), key: "foreign", reason: dpop.ReasonBinding},
		{name: "DPOP-08 4.3(12): cnf.jkt with padding", request: func(r *dpop.Request) { r.Thumbprint += "=" }, reason: dpop.ReasonBinding, known: true},

		// Section 4.2 and 11.1: jti.
		{name: "DPOP-14 11.1: an empty jti", claims: jti(`""`), reason: dpop.ReasonID, known: true},
		{name: "DPOP-14 11.1: a jti of 257 bytes", claims: jti(`"` + longJTI + `j"`), reason: dpop.ReasonID, known: true},
		{name: "DPOP-14 11.1: a jti of 256 bytes", claims: jti(`"` + longJTI + `"`)},
		{name: "DPOP-14 11.1: a jti of 256 bytes in escapes", claims: jti(`"` + strings.Repeat(`\u006a`, 256) + `"`)},
		{name: "DPOP-23 4.2: other claims", claims: claim(`"content_digest":"x","iss":"y","aud":[1,{}],"exp":1,"nbf":9999999999`)},
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		list = append(list, vector{name: "DPOP-04 4.3(7): member " + name, header: member(`"` + name + `":"AA"`), reason: dpop.ReasonPrivateKey},
			vector{name: "DPOP-04 4.3(7): member " + strings.ToUpper(name), header: member(`"` + strings.ToUpper(name) + `":"AA"`), reason: dpop.ReasonPrivateKey})
	}
	return list
}

func number(bits int) string {
	n := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1))))
	return b64.EncodeToString(n.SetBit(n.SetBit(n, bits-1, 1), 0, 1).Bytes())
}

// padding is how many bytes are missing until a text of this length leaves unused bits in base64url.
func padding(length int) int { return (4 - length%3) % 3 }

// loosen sets an unused bit at the end of a base64url text, which lenient decoders ignore.
func loosen(proof string) string {
	last := len(proof) - 1
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return proof[:last] + string(alphabet[strings.IndexByte(alphabet, proof[last])|1])
}

func (tt vector) replace(t testing.TB, text string, by [2]string) string {
	if by == [2]string{} {
		return text
	}
	require.Contains(t, text, by[0], "the vector replaces nothing")
	return strings.Replace(text, by[0], by[1], 1)
}

func (tt vector) proof(t testing.TB) string {
	alg, key := "ES256", "p256"
	if tt.alg != "" {
		alg = tt.alg
	}
	if tt.key != "" {
		key = tt.key
	}
	proof := sign(t, alg, key, tt.replace(t, goodHeader("p256"), tt.header), tt.replace(t, goodClaims, tt.claims))
	if tt.edit != nil {
		proof = tt.edit(proof)
	}
	return proof
}

func TestVectors(t *testing.T) {
	for _, tt := range vectors(t) {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, tt.configure)
			req := requestFor("p256", tt.proof(t))
			if tt.request != nil {
				tt.request(&req)
			}
			got, err := v.Verify(req)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Equal(t, req.Thumbprint, got.Key.Thumbprint())
				sum := got.Key.Sum()
				require.Equal(t, req.Thumbprint, b64.EncodeToString(sum[:]))
				// The same proof with the key that is known now.
				req.Known = got.Key
				again, err := v.Verify(req)
				require.NoError(t, err)
				require.Equal(t, got, again)
				require.Same(t, got.Key, again.Key)
				return
			}
			require.Equal(t, dpop.Proof{}, got)
			refusal := refusalOf(t, err)
			require.Equal(t, tt.reason, refusal.Reason, "%v", err)
			wantCode := dpop.CodeInvalidProof
			if tt.reason == dpop.ReasonBinding {
				wantCode = dpop.CodeInvalidToken
			}
			require.Equal(t, wantCode, refusal.Code)
			if tt.check != nil {
				tt.check(t, refusal)
			}
			if req.Proof != "" && len(req.Proof) > 20 {
				require.NotContains(t, refusal.Error(), req.Proof[len(req.Proof)-20:])
			}
			// A known key saves work and nothing else.
			good := requestFor("p256", goodProof(t, "p256"))
			if req.Known = acceptedKey(v, good); req.Known == nil {
				require.False(t, tt.known)
				return
			}
			_, err = v.Verify(req)
			require.Equal(t, tt.reason, refusalOf(t, err).Reason, "with a known key")
		})
	}
}

func acceptedKey(v *dpop.Verifier, req dpop.Request) *dpop.Key {
	proof, err := v.Verify(req)
	if err != nil {
		return nil
	}
	return proof.Key
}

// TestDPOP03_AlgorithmsAndKeys signs with each configurable algorithm and verifies where it is, and is
// not, configured.
func TestDPOP03_AlgorithmsAndKeys(t *testing.T) {
	for alg, key := range keyOf {
		header := `{"typ":"dpop+jwt","alg":"` + alg + `","jwk":` + jwkOf(keys()[key].Public()) + `}`
		req := requestFor(key, sign(t, alg, key, header, goodClaims))
		proof, err := newVerifier(t, func(c *dpop.Config) { c.Algorithms = []string{alg} }).Verify(req)
		require.NoError(t, err, alg)
		require.Positive(t, proof.Key.Size())
		other := "RS256"
		if alg == other {
			other = "PS256"
		}
		_, err = newVerifier(t, func(c *dpop.Config) { c.Algorithms = []string{other} }).Verify(req)
		require.Equal(t, dpop.ReasonAlgorithm, refusalOf(t, err).Reason, alg)

		// The key of another kind under this alg.
		foreign := "p256"
		if key == "p256" {
			foreign = "rsa"
		}
		header = `{"typ":"dpop+jwt","alg":"` + alg + `","jwk":` + jwkOf(keys()[foreign].Public()) + `}`
		_, err = newVerifier(t, func(c *dpop.Config) { c.Algorithms = []string{alg} }).Verify(requestFor(foreign, sign(t, algorithmOf[foreign], foreign, header, goodClaims)))
		require.Equal(t, dpop.ReasonKey, refusalOf(t, err).Reason, alg)
	}
	for _, alg := range newVerifier(t, nil).Algorithms() {
		require.Contains(t, keyOf, alg)
	}
}

// TestRFC9449Examples takes the proofs and the thumbprint that the RFC prints.
func TestRFC9449Examples(t *testing.T) {
	const (
		header = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMi" +
			"LCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
		atServer = header + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYy" +
			"NjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
		atResource = header + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJj" +
			"ZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR" +
			"6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
		thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" // Section 6.1
	)
	at := func(c *dpop.Config) { c.Now = fixed(1562262618) }
	proof, err := newVerifier(t, func(c *dpop.Config) { at(c); c.URL, c.Issuance = "https://server.example.com/token", true }).
		Verify(dpop.Request{Method: "POST", Proof: atServer})
	require.NoError(t, err)
	require.Equal(t, thumbprint, proof.Key.Thumbprint())
	require.Equal(t, sha256.Sum256([]byte("-BwC3ESc6acc2lTc")), proof.ID)

	v := newVerifier(t, func(c *dpop.Config) { at(c); c.URL = "https://resource.example.org/protectedresource" })
	hash := sha256.Sum256([]byte("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"))
	proof, err = v.Verify(dpop.Request{Method: "GET", Proof: atResource, TokenHash: hash, Thumbprint: thumbprint})
	require.NoError(t, err)
	require.Equal(t, thumbprint, proof.Key.Thumbprint())
	_, err = v.Verify(dpop.Request{Method: "GET", Proof: atServer, TokenHash: hash, Thumbprint: thumbprint})
	require.Equal(t, dpop.CodeInvalidProof, refusalOf(t, err).Code)
}

// naive is an independent check by the standard library alone: what everybody would write, less careful
// than this package.
func naive(proof string, req dpop.Request, url string, now float64) error {
	parts := strings.Split(proof, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return err
		}
	}
	header, ok := object(raw[0])
	if !ok {
		return fmt.Errorf("header")
	}
	claims, ok := object(raw[1])
	if !ok {
		return fmt.Errorf("claims")
	}
	jwk, ok := header["jwk"].(map[string]any)
	if !ok {
		return fmt.Errorf("jwk")
	}
	for name := range jwk {
		switch strings.ToLower(name) {
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			return fmt.Errorf("private %s", name)
		}
	}
	typ, _ := header["typ"].(string)
	if typ = strings.ToLower(typ); typ != "dpop+jwt" && typ != "application/dpop+jwt" {
		return fmt.Errorf("typ %q", typ)
	}
	if _, found := header["crit"]; found {
		return fmt.Errorf("crit")
	}
	x, _ := jwk["x"].(string)
	public, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(x, "="))
	if err != nil || len(public) != ed25519.PublicKeySize || jwk["kty"] != "OKP" || jwk["crv"] != "Ed25519" || header["alg"] != "EdDSA" {
		return fmt.Errorf("key")
	}
	if !ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return fmt.Errorf("signature")
	}
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != req.Thumbprint {
		return fmt.Errorf("thumbprint")
	}
	jti, _ := claims["jti"].(string)
	htu, _ := claims["htu"].(string)
	iat, isNumber := claims["iat"].(float64)
	switch {
	case jti == "" || len(jti) > 256:
		return fmt.Errorf("jti")
	case claims["htm"] != req.Method:
		return fmt.Errorf("htm")
	case claims["ath"] != base64.RawURLEncoding.EncodeToString(req.TokenHash[:]):
		return fmt.Errorf("ath")
	case !isNumber || iat < now-300.000001 || iat > now+300.000001:
		return fmt.Errorf("iat")
	case !naiveSame(htu, url):
		return fmt.Errorf("htu %q", htu)
	}
	return nil
}
