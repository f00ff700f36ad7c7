package mcpauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// MutualTLS configures access tokens that are bound to the client's certificate (RFC 8705, Section 3).
// The zero value refuses them.
//
// The server must ask for certificates: tls.Config.ClientAuth at least tls.RequestClientCert. Who issued
// a certificate does not matter here. The token names it, and the TLS handshake has shown that the client
// holds its key.
type MutualTLS struct {
	// Enabled accepts tokens with cnf.x5t#S256 on connections with that certificate, and says so in the metadata
	// (tls_client_certificate_bound_access_tokens). It does not demand them: other tokens are accepted as before.
	Enabled bool

	// DangerouslyTrustHeader is the header in which a proxy that ends TLS hands on the client's
	// certificate, such as "Client-Cert" (RFC 9440). Then only the header counts, not the connection.
	// Whoever can reach this server without that proxy can claim any certificate, which is public: make
	// sure that nobody can, and that the proxy removes the header from what clients send (RFC 8705,
	// Section 6.5; RFC 9440, Section 2.4). The value is the certificate as a structured field
	// (":base64:"), as base64, or as PEM in percent-encoding (nginx: $ssl_client_escaped_cert; AWS ALB:
	// X-Amzn-Mtls-Clientcert-Leaf). It never reaches the handler.
	DangerouslyTrustHeader string
}

// maxCertificateField bounds the header. Certificates have 1 to 2 KiB, a third more in base64.
const maxCertificateField = 16 << 10

// addMutualTLS reads Config.MutualTLS.
func (m *Middleware) addMutualTLS(cfg Config, errs *mistakes) {
	m.mutualTLS = cfg.MutualTLS
	name := cfg.MutualTLS.DangerouslyTrustHeader
	if name == "" {
		return
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !cfg.MutualTLS.Enabled:
		errs.add("MutualTLS.DangerouslyTrustHeader", "is of no use without Enabled; set that, too")
	case !isFieldName(name):
		errs.add("MutualTLS.DangerouslyTrustHeader", "%q is no name of a header (RFC 9110, Section 5.1)", name)
	case isWrapsOwn(canonical):
		errs.add("MutualTLS.DangerouslyTrustHeader", "%q has another meaning; write the header in which the proxy hands on the certificate", name)
	}
	m.mutualTLS.DangerouslyTrustHeader = canonical
	m.stripped = append(m.stripped, canonical)
	m.warnings = append(m.warnings, "MutualTLS.DangerouslyTrustHeader: whoever reaches this server without the proxy can claim any certificate; see its documentation")
}

func isFieldName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return name != ""
}

// isWrapsOwn reports whether a header is one that clients set for another purpose.
func isWrapsOwn(canonical string) bool {
	switch canonical {
	case "Authorization", "Proxy-Authorization", "Dpop", "Cookie", "Host", "Origin", "Content-Type", "Content-Length", "Accept":
		return true
	}
	return strings.HasPrefix(canonical, "Mcp-")
}

// certificate checks that the client holds the certificate to which its token is bound.
func (m *Middleware) certificate(r *http.Request, used schemes, t *accessToken) *refusal {
	got, description := "none", "The access token is bound to a client certificate, and none was shown"
	if der := m.clientCertificate(r); der != nil {
		sum := sha256.Sum256(der)
		if base64.RawURLEncoding.EncodeToString(sum[:]) == t.binding.certificate {
			return nil
		}
		got, description = "another one", "The access token is bound to another client certificate"
	}
	// RFC 8705, Section 3: a mismatch is a 401 with invalid_token.
	return &refusal{answer: m.invalidToken(used, description), why: explanation{
		reason: ReasonCertificate, expected: "the client certificate that cnf.x5t#S256 names", got: got,
		cure: "the client must connect with the certificate that it showed the authorization server, this server must ask for one " +
			"(tls.Config.ClientAuth), and every proxy in between must hand it on, in a form that MutualTLS.DangerouslyTrustHeader lists",
	}}
}

// clientCertificate returns the certificate of the client in DER, or nil.
func (m *Middleware) clientCertificate(r *http.Request) []byte {
	if name := m.mutualTLS.DangerouslyTrustHeader; name != "" {
		if fields := r.Header[name]; len(fields) == 1 {
			return certificateFromField(fields[0])
		}
		return nil // of two, one may come from the client
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0].Raw
}

// certificateFromField reads one certificate in one of the forms that proxies use, or nothing.
func certificateFromField(field string) []byte {
	if len(field) > maxCertificateField {
		return nil
	}
	var der []byte
	switch inner, isBytes := strings.CutPrefix(field, ":"); {
	case isBytes: // RFC 9440, Section 2.1: a byte sequence of RFC 8941
		inner, ok := strings.CutSuffix(inner, ":")
		if !ok {
			return nil
		}
		der = fromBase64(inner)
	case strings.Contains(field, "BEGIN"):
		// Not QueryUnescape: a "+" is a letter of base64.
		text, err := url.PathUnescape(field)
		if err != nil {
			return nil
		}
		// Decode passes over whatever stands before a block, which may be somebody else's words.
		if !strings.HasPrefix(text, "-----BEGIN CERTIFICATE-----") || strings.Count(text, "-----BEGIN") > 1 {
			return nil
		}
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
			return nil
		}
		der = block.Bytes
	default:
		der = fromBase64(field)
	}
	// What is hashed is what the proxy saw; it must be a certificate all the same.
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil
	}
	return der
}

func fromBase64(s string) []byte {
	if strings.ContainsAny(s, "\r\n") {
		return nil
	}
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return der
}
